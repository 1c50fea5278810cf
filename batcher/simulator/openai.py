"""What OpenAI's endpoints share: error bodies and response headers.

Source: SDK types (openai 3.54) and stored samples of errors and headers, 2026-11. Headers exist
for requests and for tokens together only; a limit of input or output alone shows in 429s.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import orjson

from batcher.records import Bucket
from batcher.simulator.exchange import Denial, Reading, Trouble
from batcher.simulator.faults import FaultKind

_QUOTA = "You exceeded your current quota, please check your plan and billing details."
_INVALID = "invalid_request_error"

_F = FaultKind
_TROUBLES: dict[FaultKind, tuple[int, str, str, str | None]] = {
    _F.BAD_REQUEST: (400, _INVALID, "Invalid request", None),
    _F.UNAUTHORIZED: (401, _INVALID, "Incorrect API key provided.", "invalid_api_key"),
    _F.PAYMENT: (402, "insufficient_quota", "Insufficient credits", "insufficient_credits"),
    _F.FORBIDDEN: (403, "permission_error", "Your key may not use this resource", "forbidden"),
    _F.NOT_FOUND: (404, _INVALID, "Not found", "model_not_found"),
    _F.TIMED_OUT: (408, "timeout", "Request timeout", None),
    _F.CONFLICT: (409, _INVALID, "The request conflicts with another one", None),
    _F.TOO_LARGE: (413, _INVALID, "Request body too large", None),
    _F.RATE: (429, "requests", "Rate limit reached", "rate_limit_exceeded"),
    _F.INTERNAL: (500, "server_error", "The server had an error", None),
    _F.BAD_GATEWAY: (502, "server_error", "Bad gateway", None),
    _F.UNAVAILABLE: (503, "server_error", "The engine is currently overloaded", None),
    _F.GATEWAY_TIMEOUT: (504, "server_error", "Gateway timeout", None),
    _F.OVERLOADED: (529, "server_error", "Overloaded", None),
    _F.RAMP: (429, "requests", "Your usage grew too fast", "ramp_limit_exceeded"),
    _F.BALANCE_429: (429, "insufficient_quota", _QUOTA, "insufficient_quota"),
    _F.BALANCE_400: (
        400,
        _INVALID,
        "Billing hard limit has been reached",
        "billing_hard_limit_reached",
    ),
    _F.SPEND_400: (
        400,
        _INVALID,
        "Billing hard limit has been reached",
        "billing_hard_limit_reached",
    ),
}


class OpenAI:
    """Errors and headers of api.openai.com and the many that copy it."""

    def trouble(self, kind: FaultKind, message: str | None = None) -> Trouble:
        """How this vendor words a fault that is an error response; see Dialect."""
        if kind is FaultKind.ECHO_KEY:
            kind, message = FaultKind.UNAUTHORIZED, f"Incorrect API key provided: {message}."
        status, error_type, default, code = _TROUBLES[kind]
        return Trouble(status=status, message=message or default, error_type=error_type, code=code)

    def over(self, denial: Denial, model: str, *, names_limit: bool) -> Trouble:
        """How this vendor words a broken limit; see Dialect."""
        by_requests = denial.bucket is Bucket.REQUESTS
        message = f"Rate limit reached for {model}"
        if names_limit:
            unit = "requests per min (RPM)" if by_requests else "tokens per min (TPM)"
            used = max(0, round(denial.limit - denial.remaining))
            message += (
                f" on {unit}: Limit {round(denial.limit)}, Used {used}, "
                f"Requested {round(denial.need)}."
            )
        error_type = "requests" if by_requests else "tokens"
        return replace(self.trouble(FaultKind.RATE, message), error_type=error_type)

    def error(
        self,
        trouble: Trouble,
        request_id: str,  # noqa: ARG002 - named in a header only
    ) -> bytes:
        """An error body."""
        return orjson.dumps(_error(trouble))

    def error_event(self, trouble: Trouble) -> bytes:
        """An error in the middle of a stream."""
        return data_event(_error(trouble))

    def error_200(self) -> bytes:
        """An error body as routers send it with status 200: `code` is a number."""
        error = {
            "code": 502,
            "message": "Provider returned error",
            "metadata": {"provider_name": "Simulated"},
        }
        return orjson.dumps({"error": error})

    def lines(
        self,
        request_id: str,
        *,
        scope: str | None,  # noqa: ARG002 - this vendor names no workspace
    ) -> bytes:
        """The header line that names the exchange."""
        return b"x-request-id: %b\r\n" % request_id.encode()

    def limit_lines(
        self,
        readings: Sequence[Reading],
        *,
        epoch_s: float,  # noqa: ARG002 - this vendor tells durations
    ) -> bytes:
        """Limit, remaining and time until full, as a duration."""
        lines = []
        for reading in readings:
            name = {Bucket.REQUESTS: "requests", Bucket.TOTAL: "tokens"}.get(reading.bucket)
            if name:
                lines.append(
                    f"x-ratelimit-limit-{name}: {round(reading.limit)}\r\n"
                    f"x-ratelimit-remaining-{name}: {int(reading.remaining)}\r\n"
                    f"x-ratelimit-reset-{name}: {duration(reading.full_in_s)}\r\n"
                )
        return "".join(lines).encode()

    def models(self, names: Sequence[str]) -> bytes:
        """Answer of GET /v1/models."""
        data = [
            {"id": name, "object": "model", "created": 1767225600, "owned_by": "simulator"}
            for name in names
        ]
        return orjson.dumps({"object": "list", "data": data})


def duration(seconds: float) -> str:
    """Seconds as Go prints them: `12ms`, `1.5s`, `6m0s`, `1h2m3s`; rounded up to milliseconds."""
    millis = math.ceil(seconds * 1000 - 1e-6)
    if millis < 1000:
        return f"{millis}ms" if millis else "0s"
    minutes, rest = divmod(millis, 60_000)
    tail = f"{rest / 1000:g}s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{tail}"
    return f"{minutes}m{tail}" if minutes else tail


def _error(trouble: Trouble) -> dict[str, object]:
    return {
        "error": {
            "message": trouble.message,
            "type": trouble.error_type,
            "param": None,
            "code": trouble.code,
        }
    }


def data_event(data: object) -> bytes:
    """One unnamed server-sent event."""
    return b"data: %b\n\n" % orjson.dumps(data)
