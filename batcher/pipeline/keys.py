"""The values of the keys: read at the start, read again when one is refused.

Values live in one mapping that the transport reads at each sending; nobody else sees them.
"""

import asyncio
from collections.abc import Callable, Mapping, MutableMapping

from batcher.errors import ConfigError
from batcher.events import Event, KeyBenched, KeyReturned
from batcher.policy.keyring import Keyring
from batcher.ports import SecretSource
from batcher.secret import Redactor, Secret


class Keys:
    """Keeps the key values fresh and takes refused keys out of use.

    Args:
        sources: Alias to where its value comes from.
        values: Alias to value; filled here, read by the transport.
    """

    def __init__(
        self,
        sources: Mapping[str, SecretSource],
        *,
        values: MutableMapping[str, Secret],
        keyring: Keyring,
        redactor: Redactor,
        emit: Callable[[Event], None],
    ) -> None:
        self._sources = sources
        self._values = values
        self._keyring = keyring
        self._redactor = redactor
        self._emit = emit
        self._versions = dict.fromkeys(sources, 0)
        self._reading = asyncio.Lock()

    async def read_all(self) -> None:
        """Read every key once.

        Raises:
            ConfigError: A key is not where its source says.
        """
        for alias, source in self._sources.items():
            self._keep(alias, await source.get())

    def version(self, alias: str) -> int:
        """Counts the values this key has had; noted with each attempt."""
        return self._versions.get(alias, 0)

    async def refused(self, alias: str, *, version: int, reason: str) -> bool:
        """A server refused this version of a key; returns whether any key is left to go on with."""
        async with self._reading:
            if alias in self._sources and self._versions[alias] == version:
                await self._renew(alias, reason)
            elif alias not in self._sources:
                self._bench(alias, reason)
        return self._keyring.has_usable()

    async def _renew(self, alias: str, reason: str) -> None:
        try:
            value = await self._sources[alias].get()
        except ConfigError as fault:
            self._bench(alias, f"{reason}; reading it anew failed: {fault}")
            return
        if value == self._values.get(alias):
            self._bench(alias, reason)
            return
        self._keep(alias, value)
        self._versions[alias] += 1
        self._keyring.unbench(alias)
        self._emit(KeyReturned(key=alias, reason="its source has a new value"))

    def _bench(self, alias: str, reason: str) -> None:
        if self._keyring.bench(alias):
            self._emit(KeyBenched(key=alias, reason=reason))

    def _keep(self, alias: str, value: Secret) -> None:
        self._redactor.learn(value)
        self._values[alias] = value
