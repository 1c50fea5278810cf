"""What is left of an OpenAI-style quota, from the `x-ratelimit-*` headers."""

from collections.abc import Mapping, Sequence

from batcher.providers.quotas import amount
from batcher.providers.waits import duration_s
from batcher.records import Bucket, Quota

_BUCKETS = tuple(
    (
        bucket,
        f"x-ratelimit-limit-{unit}",
        f"x-ratelimit-remaining-{unit}",
        f"x-ratelimit-reset-{unit}",
    )
    for bucket, unit in ((Bucket.REQUESTS, "requests"), (Bucket.TOTAL, "tokens"))
)


def quotas(headers: Mapping[str, str]) -> Sequence[Quota]:
    """The buckets the headers speak of; none when they are absent or make no sense.

    Azure writes a limit of -1 or 0 where it has none to tell; such a bucket is left out.
    """
    found: list[Quota] = []
    for bucket, limit_name, remaining_name, reset_name in _BUCKETS:
        if limit_name not in headers:
            continue
        limit, remaining = amount(headers[limit_name]), amount(headers.get(remaining_name))
        if limit and remaining is not None:
            reset = headers.get(reset_name)
            found.append(
                Quota(
                    bucket=bucket,
                    limit=limit,
                    remaining=remaining,
                    resets_in_s=None if reset is None else duration_s(reset),
                )
            )
    return found
