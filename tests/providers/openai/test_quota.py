"""OpenAI-style rate-limit headers."""

from batcher.providers.openai.chat import Chat
from batcher.providers.openai.quota import quotas
from batcher.records import Bucket, Quota

HEADERS = {
    "x-ratelimit-limit-requests": "5000",
    "x-ratelimit-remaining-requests": "4999",
    "x-ratelimit-reset-requests": "12ms",
    "x-ratelimit-limit-tokens": "160000",
    "x-ratelimit-remaining-tokens": "150000",
    "x-ratelimit-reset-tokens": "6m0s",
}


def test_requests_and_tokens_together_are_read() -> None:
    assert quotas(HEADERS) == [
        Quota(bucket=Bucket.REQUESTS, limit=5000, remaining=4999, resets_in_s=0.012),
        Quota(bucket=Bucket.TOTAL, limit=160_000, remaining=150_000, resets_in_s=360.0),
    ]


def test_azures_minus_one_and_zero_are_no_limits() -> None:
    odd = {**HEADERS, "x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-tokens": "-1"}

    assert quotas(odd) == []


def test_anthropics_headers_are_read_from_its_compatible_endpoint() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
    }

    assert [quota.limit for quota in Chat().quotas(headers, epoch_s=0.0)] == [50]
