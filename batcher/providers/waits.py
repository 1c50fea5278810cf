"""How long a server asks to wait: Retry-After in its three forms, and written durations."""

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from batcher import clock

_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ms|us|µs|ns|h|m|s)")
_TRY_AGAIN = re.compile(r"try (?:again )?(?:in|after) (\d[\d.]{0,20}) ?([a-zµ]*(?:[\d.]+[a-zµ]+)*)")
_WORD_S = {
    "millisecond": 1e-3,
    "second": 1.0,
    "sec": 1.0,
    "minute": 60.0,
    "min": 60.0,
    "hour": 3600.0,
}
_LONGEST = 40  # characters of a duration; more is no duration


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds the headers ask to wait: `retry-after-ms`, or `retry-after` as seconds or a date."""
    millis = headers.get("retry-after-ms")
    if millis is not None and (found := _number(millis)) is not None:
        return found / 1000
    text = headers.get("retry-after")
    if text is None:
        return None
    seconds = _number(text)
    return seconds if seconds is not None else _until(text, headers.get("date"))


def duration_s(text: str) -> float | None:
    """Seconds of `6m0s`, `12ms`, `1.5s` or a plain number; None when it is none of them.

    Source: Go's time.Duration text, as OpenAI writes its x-ratelimit-reset headers.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    plain = _number(text)
    if plain is not None:
        return plain
    total, end = 0.0, 0
    for part in _PART.finditer(text):
        if part.start() != end:
            return None
        total += float(part.group(1)) * _UNIT_S[part.group(2)]
        end = part.end()
    return total if end and end == len(text) and math.isfinite(total) else None


def told_in_words_s(message: str) -> float | None:
    """Seconds named in a message: "Please try again in 6m0s"."""
    found = _TRY_AGAIN.search(message.lower())
    if found is None:
        return None
    figure, unit = found.group(1).rstrip("."), found.group(2)
    word_s = _WORD_S.get(unit.removesuffix("s"))
    if word_s is None:
        return duration_s(figure + unit)
    figure_s = _number(figure)
    return None if figure_s is None else figure_s * word_s


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None


def _until(text: str, date: str | None) -> float | None:
    """Seconds from the response's own date (else from now) to an HTTP date."""
    try:
        target = parsedate_to_datetime(text).timestamp()
        # The server's own clock, so that a clock set wrong on either side does no harm.
        start = clock.epoch() if date is None else parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return max(0.0, target - start)
