"""Keys kept in files, as systemd's LoadCredential and Kubernetes secrets provide them."""

import asyncio
import stat
from pathlib import Path

from batcher.errors import ConfigError
from batcher.secret import Secret
from batcher.secrets.value import as_key

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class FileSource:
    """`file:PATH`, refused when others can read it; implements ports.SecretSource."""

    is_fixed = False

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser()
        self.name = f"the key file {self._path}"

    async def get(self) -> Secret:
        """The file's present content, without surrounding blanks."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> Secret:
        try:
            mode = self._path.stat().st_mode
            if not stat.S_ISREG(mode):  # reading a pipe or a device may never end
                raise ConfigError(f"{self.name} is no regular file")
            text = self._path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as fault:
            raise ConfigError(f"{self.name} cannot be read: {fault}") from fault
        if mode & _OTHERS:
            raise ConfigError(f"{self.name} can be read by others; run: chmod 600 {self._path}")
        return as_key(text, where=self.name, fix="put the API key into it")
