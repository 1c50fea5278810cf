"""What is left of an Anthropic quota, from the `anthropic-ratelimit-*` headers."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from batcher.providers.quotas import amount
from batcher.providers.waits import duration_s
from batcher.records import Bucket, Quota


def _names(unit: str) -> tuple[str, str, str]:
    stem = f"anthropic-ratelimit-{unit}"
    return f"{stem}-limit", f"{stem}-remaining", f"{stem}-reset"


_OWN = tuple(
    (bucket, *_names(unit))
    for bucket, unit in (
        (Bucket.REQUESTS, "requests"),
        (Bucket.INPUT, "input-tokens"),
        (Bucket.OUTPUT, "output-tokens"),
    )
)
_FIRST, _SECOND, _THIRD = (names[1] for names in _OWN)
# Not a fourth dimension: the tightest limit in force, or the sum of the two above.
_SUM = (Bucket.TOTAL, *_names("tokens"))


def quotas(headers: Mapping[str, str], *, epoch_s: float) -> Sequence[Quota]:
    """The buckets the headers speak of; none when they are absent or make no sense."""
    if not (_FIRST in headers or _SECOND in headers or _THIRD in headers or _SUM[1] in headers):
        return []  # gateways and servers of one's own seldom speak of quotas
    found = [
        quota
        for names in _OWN
        if names[1] in headers and (quota := _quota(headers, names, epoch_s)) is not None
    ]
    if _SUM[1] in headers and all(quota.bucket is Bucket.REQUESTS for quota in found):
        quota = _quota(headers, _SUM, epoch_s)
        return found if quota is None else [*found, quota]
    return found


def _quota(
    headers: Mapping[str, str], names: tuple[Bucket, str, str, str], epoch_s: float
) -> Quota | None:
    bucket, limit_name, remaining_name, reset_name = names
    limit, remaining = amount(headers.get(limit_name)), amount(headers.get(remaining_name))
    if not limit or remaining is None:
        return None
    reset = headers.get(reset_name)
    return Quota(
        bucket=bucket,
        limit=limit,
        remaining=remaining,
        resets_in_s=None if reset is None else _until(reset, epoch_s),
    )


def _until(reset: str, epoch_s: float) -> float | None:
    """Seconds to an RFC 3339 time; some gateways send seconds instead."""
    try:
        target = datetime.fromisoformat(reset)
        if target.tzinfo is None:
            target = target.replace(tzinfo=UTC)
        return max(0.0, target.timestamp() - epoch_s)
    except (ValueError, OverflowError):
        return duration_s(reset)


def account(headers: Mapping[str, str]) -> str | None:
    """Organisation and workspace, whose limits all their keys share; None when not both are said.

    One organisation alone proves nothing: its workspaces may have limits of their own.
    """
    organisation = headers.get("anthropic-organization-id")
    workspace = headers.get("anthropic-workspace-id")
    return f"{organisation}/{workspace}" if organisation and workspace else None
