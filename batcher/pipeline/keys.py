"""The values of the keys: read at the start, when one is refused, and every now and then.

Values live in one mapping that the transport reads at each sending; nobody else sees them.
A key that is refused stays out until its source has another value; meanwhile the others go on.
Its source is looked at more often then: a new value is usually put there within the minute.
"""

import asyncio
import itertools
import math
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from datetime import datetime

from batcher import clock
from batcher.errors import BatcherError, ConfigError
from batcher.events import (
    Event,
    KeyBenched,
    KeyReturned,
    KeyRotated,
    KeyStale,
    SharedQuotaSuspected,
)
from batcher.pipeline.hours import Hours
from batcher.policy.keyring import Keyring
from batcher.ports import SecretSource
from batcher.secret import Redactor, Secret

_LONGEST_READING_S = 3600.0  # a key being read anew is out for the moment, not for good
_MOST_FRUITLESS = 3  # new values in a row of which none ever worked
_FIRST_LOOK_S = 2.0  # at the source of a refused key, then twice as long each time
_LONGEST_LOOK_S = 60.0
_LAST_LOOKS_S = (0.5, 1.0, 1.5, 2.0)  # before a run ends whose last key worked until now
_FIRST_REST_S = 2.0
_LONGEST_REST_S = 300.0
_MOST_RESTS = 4  # without an answer in between: the key is refused
_RESTS_TOLD = 3  # one odd row gives a key a rest or two; more is worth a line


async def _value(source: SecretSource) -> Secret | BatcherError:
    """The value a source has now, or why it has none; whatever breaks in it breaks nothing else."""
    try:
        return await source.get()
    except BatcherError as fault:
        return fault
    except Exception as bug:  # noqa: BLE001 - libraries and networks fail in unheard-of ways
        return ConfigError(f"a key's source failed with {type(bug).__name__}")


def _no_change() -> None:
    """What nobody waits for."""


class Keys:
    """Keeps the key values fresh and takes refused keys out of use.

    Args:
        sources: Alias to where its value comes from.
        values: Alias to value; filled here, read by the transport.
        refresh_s: Alias to seconds between two readings of its source; 0 or none: only when
            it is refused, and while it is out for that.
        wall: The present, with a zone, for the hours of keys.

    Attributes:
        hours: Of their use.
        on_change: Called when a key may have come into use.
    """

    def __init__(
        self,
        sources: Mapping[str, SecretSource],
        *,
        values: MutableMapping[str, Secret],
        keyring: Keyring,
        redactor: Redactor,
        emit: Callable[[Event], None],
        refresh_s: Mapping[str, float] | None = None,
        wall: Callable[[], datetime] = clock.wall,
    ) -> None:
        self._sources = sources
        self._values = values
        self._keyring = keyring
        self._redactor = redactor
        self._emit = emit
        self._refresh_s = refresh_s or {}
        self.hours = Hours(keyring, wall=wall, emit=emit)
        self._versions = dict.fromkeys(sources, 0)
        self._locks = {alias: asyncio.Lock() for alias in sources}
        self._worked: dict[str, int] = {}  # alias -> the version that was answered
        self._refused: dict[str, int] = {}  # alias -> the version that was refused
        self._fruitless: dict[str, int] = {}
        self._rests: dict[str, int] = {}
        self._forbidden: dict[str, int] = {}
        self._stale: set[str] = set()
        self._due_s = dict.fromkeys(sources, math.inf)  # when each is read again
        self._look_s: dict[str, float] = {}
        self._is_due_anew = asyncio.Event()
        self._is_ending = asyncio.Event()
        self.on_change: Callable[[], None] = _no_change

    # Values

    async def read_all(self) -> None:
        """Read every key once, and see which are within their hours.

        Raises:
            ConfigError: Keys are not where their sources say; names each.
        """
        async with asyncio.TaskGroup() as group:
            found = {a: group.create_task(_value(source)) for a, source in self._sources.items()}
        problems = []
        for alias, reading in found.items():
            value = reading.result()
            if isinstance(value, Secret):
                self._keep(alias, value)
            else:
                problems.append(str(value))
        if problems:
            raise ConfigError("\n".join(problems))
        for one, other in itertools.combinations(self._values, 2):
            if self._values[one] == self._values[other]:
                reason = "they are the same key; no extra capacity"
                self._emit(SharedQuotaSuspected(keys=(one, other), reason=reason))
        self.hours.look()

    def version(self, alias: str) -> int:
        """Counts the values this key has had; noted with each attempt."""
        return self._versions.get(alias, 0)

    def called(self, alias: str) -> str:
        """What a key is called where a person must find it."""
        source = self._sources.get(alias)
        return alias if source is None else f"{alias} ({source.name})"

    async def refresh(self) -> None:
        """Read each key again when its time has come, for ever."""
        for alias in self._sources:
            self._plan(alias)
        while True:
            self._is_due_anew.clear()
            due_s = min(self._due_s.values(), default=math.inf)
            pause_s = None if math.isinf(due_s) else due_s - clock.now()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_due_anew.wait(), pause_s)
            for alias in [a for a, due_s in self._due_s.items() if due_s <= clock.now()]:
                await self.read_again(alias)
                self._plan(alias)

    def _plan(self, alias: str) -> None:
        """Say when a key is read next: soon, then ever later, while it is out for a refusal."""
        every_s = self._refresh_s.get(alias) or math.inf
        is_hopeless = self._fruitless.get(alias, 0) >= _MOST_FRUITLESS
        if alias in self._refused and not self._sources[alias].is_fixed and not is_hopeless:
            look_s = self._look_s.get(alias, _FIRST_LOOK_S)
            self._look_s[alias] = min(_LONGEST_LOOK_S, 2.0 * look_s)
            every_s = min(every_s, look_s)
        self._due_s[alias] = clock.now() + every_s

    async def read_all_again(self) -> None:
        """Take the values all keys' sources have now."""
        for alias in self._sources:
            await self.read_again(alias)

    async def read_again(self, alias: str) -> None:
        """Take the value a key's source has now; one that cannot be read costs nothing but news."""
        async with self._locks[alias]:
            value = await _value(self._sources[alias])
            if not isinstance(value, Secret):
                if alias not in self._stale:
                    self._stale.add(alias)
                    self._emit(KeyStale(key=alias, reason=str(value)))
                return
            self._stale.discard(alias)
            if value != self._values.get(alias):
                self._adopt(alias, value)

    def end(self) -> None:
        """Nothing more is sent: no value is worth waiting for."""
        self._is_ending.set()

    # Health

    def worked(self, alias: str, version: int) -> None:
        """A server answered this version of a key."""
        self._worked[alias] = version
        if self._rests:
            self._rests.pop(alias, None)
        if self._forbidden:
            self._forbidden.pop(alias, None)

    def has_worked(self, alias: str, version: int) -> bool:
        """Whether a server has ever answered this version of a key."""
        return self._worked.get(alias) == version

    def has_other(self, alias: str) -> bool:
        """Whether there is another key to go on with."""
        return self._keyring.has_usable(besides=alias)

    async def refused(self, alias: str, *, version: int, reason: str) -> bool:
        """A server refused this version of a key; returns whether any key is left to go on with."""
        if alias not in self._sources:
            self._bench(alias, reason)
        elif self.version(alias) == version:
            if self._refused.get(alias) != version:
                # Out at once: reading takes time, and every request sent meanwhile is in vain.
                self._keyring.bench(alias, until=clock.now() + _LONGEST_READING_S)
            async with self._locks[alias]:
                if self.version(alias) == version and self._refused.get(alias) != version:
                    await self._replace(alias, version, reason)
        return self._keyring.has_usable()

    def forbidden(self, alias: str, version: int) -> int:
        """This version of a key may not do something; returns for the how-manieth time in a row."""
        if self.version(alias) != version:
            return 1
        times = self._forbidden[alias] = self._forbidden.get(alias, 0) + 1
        return times

    async def doubt(self, alias: str, *, version: int, reason: str) -> bool:
        """A key that worked is forbidden everything; returns whether any key is left to go on with.

        It rests, and its source is asked for another value, a few times; then it is refused.
        """
        if self.version(alias) != version or self._keyring.is_benched(alias, now=clock.now()):
            return self._keyring.has_usable()
        if self._rests.get(alias, 0) >= _MOST_RESTS:
            return await self.refused(alias, version=version, reason=reason)
        self.rest(alias, reason=reason)
        if alias in self._sources:
            await self.read_again(alias)
            if self.version(alias) != version:
                self._keyring.unbench(alias)
                self.on_change()
        return True

    def spent(self, alias: str, *, reason: str) -> bool:
        """The money of a key's scope is used up; returns whether any key is left to go on with."""
        for mate in self._keyring.scope_mates(alias):
            self._bench(mate, reason)
        return self._keyring.has_usable()

    def rest(self, alias: str, *, reason: str) -> None:
        """A key that has worked, or its row, is at fault: let the key be, longer each time."""
        now = clock.now()
        if self._keyring.is_benched(alias, now=now):
            return
        times = self._rests[alias] = self._rests.get(alias, 0) + 1
        until_s = now + min(_LONGEST_REST_S, _FIRST_REST_S**times)
        self._keyring.bench(alias, until=until_s)
        if times >= _RESTS_TOLD:
            self._emit(KeyBenched(key=alias, reason=reason, until_s=until_s))

    async def _replace(self, alias: str, version: int, reason: str) -> None:
        """Go on with the value the source has now; without another one the key is out."""
        self._refused[alias] = version
        if self.has_worked(alias, version):
            self._look_s.pop(alias, None)
        value = await self._another_value(alias, version)
        if not isinstance(value, Secret):
            self._bench(alias, f"{reason}; reading it anew failed: {value}")
            return
        if value == self._values.get(alias):
            self._bench(alias, reason)
            return
        fruitless = 0 if self.has_worked(alias, version) else self._fruitless.get(alias, 0) + 1
        self._fruitless[alias] = fruitless
        if fruitless >= _MOST_FRUITLESS:
            # A source that makes a new value each time would keep a hopeless run alive for ever.
            self._bench(alias, f"{reason}; so were the other values its source gave")
            return
        self._adopt(alias, value)

    async def _another_value(self, alias: str, version: int) -> Secret | BatcherError:
        """What the source has now; where no other key is left to go on with, a few times.

        Whoever rotates a key often ends the old value a moment before the new one is there.
        """
        source, keyring = self._sources[alias], self._keyring
        value = await _value(source)
        if source.is_fixed or not self.has_worked(alias, version):
            return value
        for pause_s in _LAST_LOOKS_S:
            is_new = isinstance(value, Secret) and value != self._values.get(alias)
            if is_new or keyring.has_usable(besides=alias):
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_ending.wait(), pause_s)
                break
            value = await _value(source)
        return value

    def _adopt(self, alias: str, value: Secret) -> None:
        self._keep(alias, value)
        self._versions[alias] += 1
        self._rests.pop(alias, None)
        self._forbidden.pop(alias, None)
        was_refused = self._refused.pop(alias, None) is not None
        if self._keyring.unbench(alias) or was_refused:
            self._emit(KeyReturned(key=alias, reason="its source has a new value"))
        else:
            self._emit(KeyRotated(key=alias))
        self.hours.look()
        self.on_change()

    def _bench(self, alias: str, reason: str) -> None:
        if self._keyring.bench(alias):
            self._emit(KeyBenched(key=alias, reason=reason))
            self.hours.look()
        if alias in self._refused:
            self._plan(alias)
            self._is_due_anew.set()

    def _keep(self, alias: str, value: Secret) -> None:
        self._redactor.learn(value)
        self._values[alias] = value
