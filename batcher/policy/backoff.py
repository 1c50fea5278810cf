"""How long a row rests after a failed try. Full jitter: rows that failed together part again."""

from batcher.job import Patience

_BUSY_BASE_S = 0.1  # after a 429 the rate controller does the waiting; this only parts the rows
_BUSY_MAX_S = 8.0


def delay_s(patience: Patience, *, failures: int, random: float) -> float:
    """Seconds to rest after this many counted failures of the row.

    Args:
        patience: Base, ceiling and growth.
        failures: 1 after the first failed try.
        random: Uniform in [0, 1); the caller's, so that this stays pure.

    Source: full jitter as in "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    steps = failures if patience.backoff == "linear" else 2.0 ** min(failures - 1, 30)
    return min(patience.backoff_max_s, patience.backoff_base_s * steps) * random


def busy_delay_s(*, refusals: int, random: float) -> float:
    """Seconds to rest after this many 429s of the row: short, the controller paces the scope."""
    longest = min(_BUSY_MAX_S, _BUSY_BASE_S * 2.0 ** min(refusals - 1, 10))
    return longest * (0.5 + random / 2)
