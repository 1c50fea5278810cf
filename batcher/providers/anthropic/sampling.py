"""Which settings a Claude model takes: the rule table, and what a request breaks of it.

| anthropic-version   | generation         | temperature, top_p, top_k                |
|---------------------|--------------------|------------------------------------------|
| 2026-10-21 or newer | all                | none of them, not even at its default    |
| 2023-06-01          | 4.7 and newer      | temperature 1 only                       |
| 2023-06-01          | 4.1 to 4.6         | temperature 0 to 1, or top_p; not both   |
| 2023-06-01          | older              | all, temperature 0 to 1                  |

Names that do not begin with `claude-` are other servers' models: nothing is refused here.

Source: the API's versioning page and migration guides of 2026-08 to 2026-11. For the newest
models on the old version "refused" is inferred from every model since 4.7.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from batcher.records import record

NEWEST_VERSION = "2026-10-21"
OLD_VERSION = "2023-06-01"
_MINOR_DIGITS = 2  # longer numbers in a model name are dates


class Sampling(StrEnum):
    """What a model does with sampling settings under the old API version."""

    FREE = "free"
    ONE_OF_TWO = "one_of_two"  # temperature or top_p
    DEFAULT_ONLY = "default_only"


@record
class Generation:
    """What Claude models from one version number on have in common.

    Attributes:
        since: First version, major and minor.
        prefill: Whether the last turn may be the assistant's.
        max_output: Most tokens of `max_tokens`; None where not known.
    """

    since: tuple[int, int]
    sampling: Sampling
    prefill: bool
    max_output: int | None


_GENERATIONS = (
    Generation(since=(4, 7), sampling=Sampling.DEFAULT_ONLY, prefill=False, max_output=128_000),
    Generation(since=(4, 6), sampling=Sampling.ONE_OF_TWO, prefill=False, max_output=128_000),
    Generation(since=(4, 5), sampling=Sampling.ONE_OF_TWO, prefill=True, max_output=64_000),
    Generation(since=(4, 1), sampling=Sampling.ONE_OF_TWO, prefill=True, max_output=None),
    Generation(since=(0, 0), sampling=Sampling.FREE, prefill=True, max_output=None),
)


class Problem(NamedTuple):
    """A setting the server would refuse, and what to write instead."""

    setting: str
    message: str
    hint: str


@lru_cache(maxsize=512)
def generation(model: str) -> Generation | None:
    """The generation a model belongs to; None for names that are not Claude's or bear no number.

    >>> generation("claude-haiku-4-5-20251001").since
    (4, 5)
    """
    if not model.startswith("claude-"):
        return None
    found = [int(digits) for digits in re.findall(r"\d+", model) if len(digits) <= _MINOR_DIGITS]
    if not found:
        return None
    version = (found[0], found[1] if len(found) > 1 else 0)
    return next(each for each in _GENERATIONS if version >= each.since)


def default_version(model: str, *, sampled: bool) -> str:
    """The `anthropic-version` to send: the newest that takes the request's settings.

    Other servers' models get the version every compatible server knows.
    """
    return NEWEST_VERSION if model.startswith("claude-") and not sampled else OLD_VERSION


def refused(
    *, model: str, version: str, temperature: object, top_p: object, top_k: object
) -> Iterator[Problem]:
    """What a Claude model refuses of these sampling settings under this API version.

    A setting that is None is not given.
    """
    given = [
        (name, value)
        for name, value in (("temperature", temperature), ("top_p", top_p), ("top_k", top_k))
        if value is not None
    ]
    if not given or not model.startswith("claude-"):
        return
    rule = generation(model)
    if version >= NEWEST_VERSION:
        for name, _ in given:
            yield Problem(name, f"API version {version} refuses {name}", _without(name, rule))
        return
    if isinstance(temperature, int | float) and temperature > 1:
        yield Problem("temperature", f"{model} takes at most 1, not {temperature}", "write 0 to 1")
    if rule is None:
        return
    if rule.sampling is Sampling.DEFAULT_ONLY:
        for name, value in given:
            if name != "temperature" or value != 1:
                yield Problem(name, f"{model} refuses {name}", f"leave {name} out")
    elif rule.sampling is Sampling.ONE_OF_TWO and temperature is not None and top_p is not None:
        yield Problem("top_p", f"{model} takes temperature or top_p, not both", "leave one out")


def _without(name: str, rule: Generation | None) -> str:
    if rule is None or rule.sampling is Sampling.DEFAULT_ONLY:
        return f"leave {name} out"
    return f"leave {name} out, or leave request.api_version out, which then picks {OLD_VERSION}"
