"""Keys kept in environment variables."""

import os

from batcher.errors import ConfigError
from batcher.secret import Secret
from batcher.secrets.value import as_key


class EnvSource:
    """`env:NAME`; implements ports.SecretSource."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def get(self) -> Secret:
        """The variable's present value, without surrounding blanks."""
        value = os.environ.get(self._name, "").strip()
        if not value:
            raise ConfigError(
                f"the environment variable {self._name} is not set; set it to the API key, "
                f"for example: export {self._name}=..."
            )
        return as_key(value, where=f"the environment variable {self._name}", fix="set it")
