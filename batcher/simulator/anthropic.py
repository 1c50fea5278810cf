"""What both Anthropic endpoints share: error bodies and response headers.

Source: the vendor's error and rate-limit pages and its SDK's error types, 2026-11; wording of
messages after stored samples. `x-should-retry` as in samples of 401 and 429.
"""

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from time import gmtime, strftime

import orjson

from batcher.records import Bucket
from batcher.simulator.dialects import event
from batcher.simulator.exchange import Denial, Reading, Trouble
from batcher.simulator.faults import FaultKind

ORGANIZATION = "00000000-0000-4000-8000-000000000000"
_ID_LINES = f"anthropic-organization-id: {ORGANIZATION}\r\n".encode()

_SPENT = (
    "You have reached your API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."
)
_SPENT_OWN = (
    "You have reached your specified API usage limits. "
    "You will regain access on 2026-12-01 at 00:00 UTC."
)
_NO_CREDIT = (
    "Your credit balance is too low to access the Anthropic API. "
    "Please go to Plans & Billing to upgrade or purchase credits."
)

_F = FaultKind
_TROUBLES: dict[FaultKind, tuple[int, str, str, str | None]] = {
    _F.BAD_REQUEST: (400, "invalid_request_error", "Invalid request", None),
    _F.UNAUTHORIZED: (401, "authentication_error", "invalid x-api-key", None),
    _F.PAYMENT: (402, "billing_error", "Your billing details need attention", None),
    _F.FORBIDDEN: (403, "permission_error", "Your API key may not use this resource", None),
    _F.NOT_FOUND: (404, "not_found_error", "Not found", None),
    _F.TIMED_OUT: (408, "timeout_error", "Request timeout", None),
    _F.CONFLICT: (409, "conflict_error", "The request conflicts with another one", None),
    _F.TOO_LARGE: (413, "request_too_large", "Request exceeds the maximum size", None),
    _F.RATE: (429, "rate_limit_error", "Your account has hit a rate limit", None),
    _F.INTERNAL: (500, "api_error", "Internal server error", None),
    _F.BAD_GATEWAY: (502, "api_error", "Bad gateway", None),
    _F.UNAVAILABLE: (503, "api_error", "Service unavailable", None),
    _F.GATEWAY_TIMEOUT: (504, "timeout_error", "Request timeout", None),
    _F.OVERLOADED: (529, "overloaded_error", "Overloaded", None),
    _F.RAMP: (
        429,
        "rate_limit_error",
        "Your usage grew too fast; please raise it more gradually",
        "ramp_limit_exceeded",
    ),
    _F.BALANCE_429: (429, "rate_limit_error", _SPENT, "enforced_spend_limit_reached"),
    _F.BALANCE_400: (400, "invalid_request_error", _NO_CREDIT, None),
    _F.SPEND_400: (400, "invalid_request_error", _SPENT_OWN, None),
}
_ECHO = "invalid x-api-key: "
_UNITS = {
    Bucket.REQUESTS: "requests",
    Bucket.INPUT: "input tokens",
    Bucket.OUTPUT: "output tokens",
    Bucket.TOTAL: "tokens",
}
_HEADER_NAMES = {
    Bucket.REQUESTS: "requests",
    Bucket.INPUT: "input-tokens",
    Bucket.OUTPUT: "output-tokens",
    Bucket.TOTAL: "tokens",
}


@cache
def _account_lines(scope: str) -> bytes:
    """Whose budget it is: keys with a quota of their own are of a workspace of their own."""
    letters = "".join(filter(str.isalnum, scope))
    return _ID_LINES + f"anthropic-workspace-id: wrkspc_01Simulated{letters}\r\n".encode()


class Anthropic:
    """Errors and headers of api.anthropic.com."""

    def trouble(self, kind: FaultKind, message: str | None = None) -> Trouble:
        """How this vendor words a fault that is an error response; see Dialect."""
        if kind is FaultKind.ECHO_KEY:
            kind, message = FaultKind.UNAUTHORIZED, _ECHO + (message or "")
        status, error_type, default, code = _TROUBLES[kind]
        heals = kind in (FaultKind.RATE, FaultKind.RAMP)
        return Trouble(
            status=status,
            message=message or default,
            error_type=error_type,
            code=code,
            should_retry=True if heals else (False if status == 401 else None),
            known_key=status != 401,
        )

    def over(
        self,
        denial: Denial,
        model: str,  # noqa: ARG002 - this vendor names no model
        *,
        names_limit: bool,
    ) -> Trouble:
        """How this vendor words a broken limit; see Dialect."""
        if not names_limit:
            return self.trouble(FaultKind.RATE)
        limit = f"{round(denial.limit):,} {_UNITS[denial.bucket]} per minute"
        return self.trouble(
            FaultKind.RATE,
            f"This request would exceed your organization's rate limit of {limit}.",
        )

    def error(self, trouble: Trouble, request_id: str) -> bytes:
        """An error body; `request_id` in it equals the header's."""
        return orjson.dumps({**_body(trouble), "request_id": request_id})

    def error_event(self, trouble: Trouble) -> bytes:
        """An error in the middle of a stream; it names no request."""
        return event("error", _body(trouble))

    def error_200(self) -> bytes:
        """An error body as it comes with status 200."""
        return orjson.dumps(_body(self.trouble(FaultKind.OVERLOADED)))

    def lines(self, request_id: str, *, scope: str | None) -> bytes:
        """Header lines that name the exchange; an unknown key learns no workspace."""
        account = _ID_LINES if scope is None else _account_lines(scope)
        return b"request-id: %b\r\n%b" % (request_id.encode(), account)

    def limit_lines(self, readings: Sequence[Reading], *, epoch_s: float) -> bytes:
        """Limit, remaining and time of full refill; tokens left are rounded to thousands."""
        lines = [_limit_line(reading, epoch_s) for reading in readings]
        dimensions = {reading.bucket: reading for reading in readings}
        sides = [dimensions[b] for b in (Bucket.INPUT, Bucket.OUTPUT) if b in dimensions]
        if sides and Bucket.TOTAL not in dimensions:
            total = Reading(
                Bucket.TOTAL,
                sum(side.limit for side in sides),
                sum(side.remaining for side in sides),
                max(side.full_in_s for side in sides),
            )
            lines.append(_limit_line(total, epoch_s))
        return "".join(lines).encode()

    def models(self, names: Sequence[str]) -> bytes:
        """Answer of GET /v1/models."""
        data = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "2026-01-01T00:00:00Z",
                "max_input_tokens": 200_000,
                "max_tokens": 64_000,
                "lifecycle": "active",
            }
            for name in names
        ]
        first, last = (names[0], names[-1]) if names else (None, None)
        return orjson.dumps({"data": data, "has_more": False, "first_id": first, "last_id": last})


def _body(trouble: Trouble) -> dict[str, object]:
    error: dict[str, object] = {"type": trouble.error_type, "message": trouble.message}
    if trouble.code:
        error["details"] = {"error_code": trouble.code}
    return {"type": "error", "error": error}


def _limit_line(reading: Reading, epoch_s: float) -> str:
    name = f"anthropic-ratelimit-{_HEADER_NAMES[reading.bucket]}"
    if reading.bucket is Bucket.REQUESTS:
        remaining = int(reading.remaining)
    else:
        remaining = round(reading.remaining / 1000) * 1000
    return (
        f"{name}-limit: {round(reading.limit)}\r\n{name}-remaining: {remaining}\r\n"
        f"{name}-reset: {_date(math.ceil(epoch_s + reading.full_in_s))}\r\n"
    )


@lru_cache(maxsize=1024)
def _date(epoch_s: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(epoch_s))
