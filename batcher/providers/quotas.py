"""Numbers in rate-limit headers."""

import math


def amount(text: str | None) -> float | None:
    """A count of requests or tokens; None for what is missing, negative or no number."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None
