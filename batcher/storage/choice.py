"""Which lines of an input a run takes: the first N, a sample, a shard.

Chosen by line number alone, so that a resumed run, a verification and the other shards agree.
"""

import heapq
from collections.abc import Iterable, Mapping
from typing import Any

from batcher.records import record

_MASK = (1 << 64) - 1


@record
class Choice:
    """The lines to take; all of them unless something is set.

    A limit counts lines that pass the rest: the first 100 of this shard.

    Attributes:
        limit: Only so many lines that hold something.
        shard: (i, n): every n-th line, beginning with the i-th, i from 1.
        sample: Only about so many lines, spread evenly over the whole input by `seed`.
        seed: Which sample.
    """

    limit: int | None = None
    shard: tuple[int, int] | None = None
    sample: int | None = None
    seed: int = 0

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "Choice":
        """The choice that `settings` gave, also after a way through JSON."""
        shard = settings.get("shard")
        return cls(
            limit=settings.get("limit"),
            shard=(shard[0], shard[1]) if shard else None,
            sample=settings.get("sample"),
            seed=settings.get("seed", 0),
        )

    def settings(self) -> dict[str, Any]:
        """What is set, by name."""
        named = {"limit": self.limit, "shard": self.shard, "sample": self.sample}
        chosen: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
        return chosen | ({"seed": self.seed} if self.sample is not None else {})

    @property
    def is_all(self) -> bool:
        """Whether every line is taken."""
        return self.limit is None and self.shard is None and self.sample is None


class Picker:
    """Says of each non-blank line, in order, whether it is taken."""

    def __init__(self, choice: Choice, *, threshold: int | None = None) -> None:
        """Start at the beginning of the input.

        Args:
            choice: What to take.
            threshold: From `sample_threshold`; needed when the choice is a sample.
        """
        self._left = choice.limit
        self._shard = choice.shard
        self._seed = choice.seed
        self._threshold = threshold

    @classmethod
    def of_all(cls) -> "Picker":
        """One that takes every line."""
        return cls(Choice())

    @property
    def is_done(self) -> bool:
        """Whether no further line will be taken."""
        return self._left == 0

    def takes(self, line: int) -> bool:
        """Whether this line is taken; counts it against the limit when it is."""
        if self._left == 0:
            return False
        if self._shard and line % self._shard[1] != self._shard[0] % self._shard[1]:
            return False
        if self._threshold is not None and _dice(self._seed, line) > self._threshold:
            return False
        if self._left is not None:
            self._left -= 1
        return True


def sample_threshold(lines: Iterable[int], choice: Choice) -> int | None:
    """The highest throw of the dice that belongs to the sample of these lines; None for no sample.

    Exact: that many lines lie at or below it (of the shard's lines, when it is a shard too).
    """
    if choice.sample is None:
        return None
    shard = Picker(Choice(shard=choice.shard))
    throws = (_dice(choice.seed, line) for line in lines if shard.takes(line))
    return max(heapq.nsmallest(choice.sample, throws), default=0)


def _dice(seed: int, line: int) -> int:
    """64 even bits from two numbers. Source: splitmix64 (Steele, Lea, Flood 2014)."""
    z = (line * 0x9E3779B97F4A7C15 + seed * 0xD1B54A32D192ED03 + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)
