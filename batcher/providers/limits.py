"""The limit a 429 names in its text, for servers that send no rate-limit headers."""

import re

from batcher.records import Bucket, Quota

# As in: would exceed the rate limit of 40,000 input tokens per minute
_ANTHROPIC = re.compile(r"(\d[\d,]{0,20}) (requests?|input tokens|output tokens|tokens) per minute")
# As in: reached on tokens per min (TPM): Limit 30000, Used 28500, Requested 2500
_OPENAI = re.compile(
    r"on (requests|tokens|input tokens|output tokens) per min(?:ute)?\b[^:.]{0,40}[:.] ?"
    r"limit:? (\d[\d,]{0,20}\b)(?:, ?(?:used|current):? (\d[\d,]{0,20}\b))?"
)
_BUCKETS = {
    "request": Bucket.REQUESTS,
    "requests": Bucket.REQUESTS,
    "input tokens": Bucket.INPUT,
    "output tokens": Bucket.OUTPUT,
    "tokens": Bucket.TOTAL,
}
_LONGEST = 18  # digits of a believable limit


def limit_named_in(message: str) -> Quota | None:
    """The per-minute limit a message names, with what it says is left of it (0 when it does not).

    Limits per day or hour are no pace and are left out.
    """
    text = message.lower()
    if found := _OPENAI.search(text):
        return _quota(found.group(1), found.group(2), found.group(3))
    if found := _ANTHROPIC.search(text):
        return _quota(found.group(2), found.group(1), None)
    return None


def _quota(unit: str, limit_text: str, used_text: str | None) -> Quota | None:
    limit = _count(limit_text)
    if limit <= 0:
        return None
    left = 0.0 if used_text is None else max(0.0, limit - _count(used_text))
    return Quota(bucket=_BUCKETS[unit], limit=limit, remaining=left)


def _count(digits: str) -> float:
    plain = digits.replace(",", "")
    return float(plain) if plain.isascii() and len(plain) <= _LONGEST else 0.0
