"""Limits named in the text of a 429."""

import pytest

from batcher.providers.limits import limit_named_in
from batcher.records import Bucket, Quota


@pytest.mark.parametrize(
    ("message", "bucket", "limit", "remaining"),
    [
        ("exceed the rate limit of 40,000 input tokens per minute. For", Bucket.INPUT, 40_000, 0),
        ("rate limit of 8,000 output tokens per minute", Bucket.OUTPUT, 8_000, 0),
        ("exceeded your rate limit of 50 requests per minute", Bucket.REQUESTS, 50, 0),
        ("limit of 90,000 tokens per minute", Bucket.TOTAL, 90_000, 0),
        (
            "Rate limit reached for m in organization o on tokens per min (TPM): "
            "Limit 30000, Used 28500, Requested 2500.",
            Bucket.TOTAL,
            30_000,
            1_500,
        ),
        (
            "on requests per min (RPM): Limit 3, Used 3, Requested 1.",
            Bucket.REQUESTS,
            3,
            0,
        ),
        ("on requests per min. Limit: 3 / min. Please try", Bucket.REQUESTS, 3, 0),
        ("on tokens per min (TPM): Limit 10000, Requested 12000.", Bucket.TOTAL, 10_000, 0),
    ],
)
def test_a_limit_per_minute_is_found(
    message: str, bucket: Bucket, limit: float, remaining: float
) -> None:
    assert limit_named_in(message) == Quota(bucket=bucket, limit=limit, remaining=remaining)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "This request would exceed your account's rate limit. Please try again later.",
        "on requests per day (RPD): Limit 200, Used 200, Requested 1.",
        "on tokens per min (TPM): Limit 0, Used 0",
        "a limit of 0 requests per minute",
        "9" * 2000 + " requests per minute"[:5],
    ],
)
def test_nothing_is_made_up(message: str) -> None:
    assert limit_named_in(message) is None
