"""Keys kept in environment variables."""

import os

from batcher.errors import ConfigError
from batcher.secret import Secret
from batcher.secrets.value import as_key


class EnvSource:
    """`env:NAME`; implements ports.SecretSource."""

    is_fixed = True

    def __init__(self, name: str) -> None:
        self._variable = name
        self.name = f"the environment variable {name}"

    async def get(self) -> Secret:
        """The variable's present value, without surrounding blanks."""
        value = os.environ.get(self._variable, "").strip()
        if not value:
            raise ConfigError(
                f"{self.name} is not set; set it to the API key, "
                f"for example: export {self._variable}=..."
            )
        return as_key(value, where=self.name, fix="set it")
