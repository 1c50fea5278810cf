"""What is used for a wire format where the job says nothing: server, key variables, key style."""

from collections.abc import Sequence
from typing import NamedTuple

from batcher.records import AuthStyle, record


class KeyEnv(NamedTuple):
    """An environment variable that may hold a key, and how that key travels."""

    name: str
    auth: AuthStyle


@record
class Defaults:
    """A wire format's defaults.

    Attributes:
        base_url: The vendor's server.
        base_url_env: Environment variable that names another one.
        auth: How a key travels when nothing says otherwise.
        key_envs: Where keys are looked for, in this order.
    """

    base_url: str
    base_url_env: str
    auth: AuthStyle
    key_envs: Sequence[KeyEnv]


ANTHROPIC = Defaults(
    base_url="https://api.anthropic.com",
    base_url_env="ANTHROPIC_BASE_URL",
    auth=AuthStyle.X_API_KEY,
    key_envs=(
        KeyEnv(name="ANTHROPIC_API_KEY", auth=AuthStyle.X_API_KEY),
        KeyEnv(name="ANTHROPIC_AUTH_TOKEN", auth=AuthStyle.BEARER),
    ),
)
ANTHROPIC_COMPLETE = Defaults(
    base_url="https://api.anthropic.com",
    base_url_env="ANTHROPIC_BASE_URL",
    auth=AuthStyle.BEARER,
    key_envs=(
        KeyEnv(name="ANTHROPIC_API_KEY", auth=AuthStyle.BEARER),
        KeyEnv(name="ANTHROPIC_AUTH_TOKEN", auth=AuthStyle.BEARER),
    ),
)
OPENAI = Defaults(
    base_url="https://api.openai.com",
    base_url_env="OPENAI_BASE_URL",
    auth=AuthStyle.BEARER,
    key_envs=(KeyEnv(name="OPENAI_API_KEY", auth=AuthStyle.BEARER),),
)
