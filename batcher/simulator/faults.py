"""What can go wrong on purpose: the closed list of fault kinds and who suffers them.

A fault belongs to a prompt, not to a moment: the same seed gives the same prompts the same
faults in whatever order they come, so that a test can say beforehand how each row will end.
"""

from collections.abc import Mapping
from enum import StrEnum

from batcher.errors import ConfigError
from batcher.simulator.answers import draw

FAULT_SALT = 1


class FaultKind(StrEnum):
    """Every way to go wrong. The value is what settings call it."""

    # An error response in the dialect's shape.
    BAD_REQUEST = "400"
    UNAUTHORIZED = "401"
    PAYMENT = "402"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    TIMED_OUT = "408"
    CONFLICT = "409"
    TOO_LARGE = "413"
    RATE = "429"  # without any quota behind it
    INTERNAL = "500"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    GATEWAY_TIMEOUT = "504"
    OVERLOADED = "529"
    RAMP = "ramp_429"  # usage grew too fast
    BALANCE_429 = "balance_429"  # the account is empty: insufficient_quota, spend limit
    BALANCE_400 = "balance_400"  # the account is empty: credit balance too low
    SPEND_400 = "spend_400"  # a spend limit the customer set
    ECHO_KEY = "echo_key"  # 401 whose message quotes the received key
    HTML = "html"  # a page with status 200
    HTML_502 = "html_502"  # a proxy's page
    RESET = "reset"  # RST before any byte
    # An answer that arrives damaged, late or never.
    RESET_BODY = "reset_body"  # RST in the middle of the body
    CUT_BODY = "cut_body"  # an orderly close before the body is whole
    CUT_JSON = "cut_json"  # a whole response whose JSON ends early
    INVALID_UTF8 = "invalid_utf8"  # bytes in the answer's text that no UTF-8 has
    EMPTY_BODY = "empty_body"  # 200 and not one byte
    ERROR_200 = "error_200"  # an error object with status 200
    WRONG_SHAPE = "wrong_shape"  # JSON that is no answer: [], {} or null
    HANG = "hang"  # never answers
    SLOW_LORIS = "slow_loris"  # a byte a second, for ever
    STREAM_ERROR = "stream_error"  # an error event after half the answer
    STREAM_CUT = "stream_cut"  # a stream that ends in good order after half its events
    # A whole answer that is no result.
    TRUNCATED = "truncated"
    REFUSED = "refused"
    PAUSED = "paused"
    EMPTY_TEXT = "empty_text"


OUTCOMES = frozenset(
    {FaultKind.TRUNCATED, FaultKind.REFUSED, FaultKind.PAUSED, FaultKind.EMPTY_TEXT}
)
"""Faults of the answer itself: well-formed, billed, and of no use."""

DAMAGE = frozenset(
    {
        FaultKind.RESET_BODY,
        FaultKind.CUT_BODY,
        FaultKind.CUT_JSON,
        FaultKind.INVALID_UTF8,
        FaultKind.EMPTY_BODY,
        FaultKind.ERROR_200,
        FaultKind.WRONG_SHAPE,
        FaultKind.HANG,
        FaultKind.SLOW_LORIS,
        FaultKind.STREAM_ERROR,
        FaultKind.STREAM_CUT,
    }
)
"""Faults of the transport: the request was let in and worked on, its answer does not arrive."""


def is_refusal(kind: FaultKind) -> bool:
    """Whether it happens instead of an answer, at once and without touching any quota."""
    return kind not in OUTCOMES and kind not in DAMAGE


class Faults:
    """Decides which prompt suffers what."""

    def __init__(self, shares: Mapping[str, float], *, once: bool, seed: int) -> None:
        self._once = once
        self._seed = seed
        self._suffered: set[str] = set()
        self._edges: list[tuple[float, FaultKind]] = []
        edge = 0.0
        for name in sorted(shares):
            edge += _share(name, shares[name])
            self._edges.append((edge, fault_kind(name)))
        if edge > 1.0 + 1e-9:
            raise ConfigError(f"simulator.faults: the shares add up to {edge:g}, more than 1")

    def of(self, digest: str) -> FaultKind | None:
        """The fault a prompt meets on its next try; asking changes nothing."""
        if not self._edges or (self._once and digest in self._suffered):
            return None
        u = draw(digest, self._seed, FAULT_SALT)
        return next((kind for edge, kind in self._edges if u < edge), None)

    def suffered(self, digest: str) -> None:
        """Note that a prompt met its fault."""
        if self._once:
            self._suffered.add(digest)


def fault_kind(name: str) -> FaultKind:
    """The fault a setting names.

    Raises:
        ConfigError: There is no such fault; the message lists those there are.
    """
    try:
        return FaultKind(name)
    except ValueError:
        known = ", ".join(FaultKind)
        raise ConfigError(
            f"simulator.faults: no fault is called {name!r}; known: {known}"
        ) from None


def _share(name: str, share: float) -> float:
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"simulator.faults: the share of {name} must be 0 to 1, not {share:g}")
    return share
