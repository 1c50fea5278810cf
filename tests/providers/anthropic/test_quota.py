"""Anthropic's rate-limit headers."""

from batcher.providers.anthropic.quota import account, quotas
from batcher.records import Bucket, Quota

EPOCH_S = 1_795_338_000.0  # 2026-11-22T09:00:00Z


def told(unit: str, *, limit: str = "1000", remaining: str = "998", reset: str | None = None):
    stem = f"anthropic-ratelimit-{unit}"
    headers = {f"{stem}-limit": limit, f"{stem}-remaining": remaining}
    return headers if reset is None else {**headers, f"{stem}-reset": reset}


def test_each_bucket_is_read_with_its_seconds_to_full() -> None:
    headers = {
        **told("requests", reset="2026-11-22T09:00:01Z"),
        **told("input-tokens", limit="2000000", remaining="1999000", reset="2026-11-22T09:00:30Z"),
        **told("output-tokens", limit="400000", remaining="0", reset="2026-11-22T08:59:00Z"),
        **told("tokens", limit="2400000", remaining="1999000"),
    }

    assert quotas(headers, epoch_s=EPOCH_S) == [
        Quota(bucket=Bucket.REQUESTS, limit=1000, remaining=998, resets_in_s=1.0),
        Quota(bucket=Bucket.INPUT, limit=2_000_000, remaining=1_999_000, resets_in_s=30.0),
        Quota(bucket=Bucket.OUTPUT, limit=400_000, remaining=0, resets_in_s=0.0),
    ]


def test_the_sum_counts_only_where_the_parts_are_missing() -> None:
    """It is the tightest limit or the sum of both, not a bucket of its own."""
    headers = {**told("requests"), **told("tokens", limit="5000", remaining="10")}

    assert [quota.bucket for quota in quotas(headers, epoch_s=EPOCH_S)] == [
        Bucket.REQUESTS,
        Bucket.TOTAL,
    ]
    headers |= told("output-tokens")
    assert [quota.bucket for quota in quotas(headers, epoch_s=EPOCH_S)] == [
        Bucket.REQUESTS,
        Bucket.OUTPUT,
    ]


def test_senseless_headers_are_left_out() -> None:
    for odd in (
        told("requests", limit="0"),
        told("requests", limit="-1"),
        told("requests", limit="many"),
        told("requests", remaining="-1"),
        told("requests", limit="inf"),
        {"anthropic-ratelimit-requests-limit": "5"},
    ):
        assert quotas(odd, epoch_s=EPOCH_S) == []


def test_a_senseless_reset_leaves_the_rest_of_its_bucket() -> None:
    for odd in ("soon", "", "9999-99-99T00:00:00Z"):
        (quota,) = quotas(told("requests", reset=odd), epoch_s=EPOCH_S)
        assert quota.resets_in_s is None
    (quota,) = quotas(told("requests", reset="12"), epoch_s=EPOCH_S)
    assert quota.resets_in_s == 12.0


def test_an_account_is_an_organisation_and_a_workspace() -> None:
    both = {"anthropic-organization-id": "o1", "anthropic-workspace-id": "w1"}

    assert account(both) == "o1/w1"
    assert account({"anthropic-organization-id": "o1"}) is None
    assert account({}) is None
