"""An error body, whatever its dialect, into a Failure by a provider's table.

Error bodies of one server family come through another's wire format (gateways, proxies,
compatible servers), so one reader takes every shape: error as object or text, code as
number, text or null, flat bodies, lists. What its names mean stands in each provider's
failures.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from batcher.providers.limits import limit_named_in
from batcher.providers.waits import duration_s, retry_after_s, told_in_words_s
from batcher.providers.wire import one_line, read_json, request_id_of, text_of, what_came
from batcher.records import Failure, FailureKind, Response, Scope, record

_NAME_CHARS = 100
_READ_CHARS = 2000  # of a message; more is a page, not a sentence


class Meaning(NamedTuple):
    """What an error means for the run."""

    kind: FailureKind
    scope: Scope = Scope.ROW


BILLING = Meaning(FailureKind.BILLING, Scope.QUOTA)
RATE = Meaning(FailureKind.RATE, Scope.QUOTA)
RAMP = Meaning(FailureKind.RAMP, Scope.QUOTA)
TOO_LARGE = Meaning(FailureKind.TOO_LARGE)
REFUSED = Meaning(FailureKind.REFUSED)
BAD_REQUEST = Meaning(FailureKind.BAD_REQUEST)
BAD_RESPONSE = Meaning(FailureKind.BAD_RESPONSE)
SERVER = Meaning(FailureKind.SERVER)
OVERLOADED = Meaning(FailureKind.OVERLOADED)
NOT_FOUND = Meaning(FailureKind.NOT_FOUND, Scope.RUN)
AUTH = Meaning(FailureKind.AUTH, Scope.KEY)
PERMISSION = Meaning(FailureKind.PERMISSION, Scope.KEY)

STATUSES: Mapping[int, Meaning] = {
    400: BAD_REQUEST,
    401: AUTH,
    402: BILLING,
    403: PERMISSION,
    404: NOT_FOUND,
    405: NOT_FOUND,  # a path that takes no POST is the wrong path
    407: Meaning(FailureKind.PERMISSION, Scope.RUN),  # the proxy on the way wants credentials
    408: SERVER,
    409: SERVER,
    410: NOT_FOUND,
    413: TOO_LARGE,
    422: BAD_REQUEST,
    425: SERVER,
    429: RATE,
    503: OVERLOADED,
    529: OVERLOADED,
}
"""Status -> meaning where the body says nothing more telling; others by their hundred."""


@record
class Table:
    """How one provider names its errors.

    Attributes:
        provider: Name of the wire format, as request.provider spells it.
        names: `error.type`, `error.code` or `details.error_code` -> meaning, whatever the status.
        phrases: Lower-case pieces of a 4xx message -> meaning; for what has no name of its own.
        types: Error name -> the HTTP status it goes with, for errors inside a 200.
    """

    provider: str
    names: Mapping[str, Meaning]
    phrases: Sequence[tuple[str, Meaning]]
    types: Mapping[str, int]


class Fault(NamedTuple):
    """What an error body says."""

    message: str
    names: tuple[str, ...]  # most telling first
    code: int | None = None  # a number in `error.code`, often an HTTP status
    wait_s: float | None = None
    flagged: bool = False  # a moderation filter says which input it stopped


def failure_of(response: Response, table: Table, *, error: dict[str, Any] | None = None) -> Failure:
    """The failure an unsuccessful response, or a successful one without an answer, stands for.

    Args:
        response: As it came.
        table: The provider's names.
        error: The error object, where it stands elsewhere in the body than usual.
    """
    body = read_json(response.body) if error is None else {"error": error}
    status = response.status
    fault = fault_in(body)
    message = fault.message if fault.message.strip() else what_came(response)
    if 200 <= status < 300:
        if not _holds_error(body):
            fault, message = Fault("", ()), what_came(response) + _other_format(body, table)
        status = told_status(fault, table) or 0
    elif 300 <= status < 400:
        message = _redirected(response)
    meaning = _meaning(status, fault, table)
    if status >= 500 and response.headers.get("x-should-retry") == "false":
        meaning, message = BAD_REQUEST, f"{message} (the server says not to try again)"
    wait_s = retry_after_s(response.headers)
    if wait_s is None:
        wait_s = fault.wait_s
    limited = status == 429
    if wait_s is None and limited:
        wait_s = told_in_words_s(message)
    return Failure(
        kind=meaning.kind,
        message=one_line(message),
        scope=meaning.scope,
        status=response.status,
        error_type=fault.names[0] if fault.names else None,
        retry_after_s=wait_s,
        limit_hint=limit_named_in(message) if limited else None,
        request_id=request_id_of(response.headers, body),
    )


def told_status(fault: Fault, table: Table) -> int | None:
    """The HTTP status an error inside a successful response or a stream goes with."""
    if fault.code is not None and 400 <= fault.code < 600:
        return fault.code
    return next((table.types[name] for name in fault.names if name in table.types), None)


def fault_in(body: object) -> Fault:
    """What an error body says, in any dialect; an empty message when it says nothing."""
    if isinstance(body, list) and body:  # Gemini's compatible endpoint wraps the object so
        body = body[0]
    if isinstance(body, str):
        return Fault(body[:_READ_CHARS], ())
    if not isinstance(body, dict):
        return Fault("", ())
    error = body.get("error")
    if isinstance(error, str):
        return Fault(error[:_READ_CHARS], _names(body), _code(body))
    return _fault(error if isinstance(error, dict) else body)


def _fault(error: dict[str, Any]) -> Fault:
    message = _message(error)
    extras = error.get("metadata")  # OpenRouter
    extras = extras if isinstance(extras, dict) else {}
    raw = text_of(extras.get("raw"))
    if raw is not None and raw not in message:
        message = f"{message}: {raw[:_READ_CHARS]}"
    return Fault(
        message=message,
        names=_names(error),
        code=_code(error),
        wait_s=_told_wait(extras),
        flagged="flagged_input" in extras or "reasons" in extras,
    )


def _message(error: dict[str, Any]) -> str:
    for key in ("message", "detail", "msg", "title"):
        value = error.get(key)
        if isinstance(value, list) and value:  # FastAPI lists what it could not validate
            value = value[0]
        if isinstance(value, dict):
            value = value.get("msg") or value.get("message")
        if text := text_of(value):
            return text[:_READ_CHARS]
    return ""


def _names(error: dict[str, Any]) -> tuple[str, ...]:
    """The error's names, most telling first: error_code, code in words, type, code in figures."""
    details = error.get("details")
    code = error.get("code")
    figures = str(code) if type(code) is int or (isinstance(code, str) and code.isdigit()) else None
    told = (
        details.get("error_code") if isinstance(details, dict) else None,
        code if figures is None else None,
        error.get("type"),
        figures,
    )
    texts = (one_line(text_of(name) or "", _NAME_CHARS) for name in told)
    return tuple(text for text in texts if text and text != "error")


def _code(error: dict[str, Any]) -> int | None:
    """`code` as a number, also where it is written as a text."""
    code = error.get("code")
    if isinstance(code, str) and len(code) == 3 and code.isascii() and code.isdigit():
        return int(code)
    return code if type(code) is int else None


def _told_wait(extras: dict[str, Any]) -> float | None:
    headers = extras.get("headers")
    for value in (
        extras.get("retry_after_seconds"),
        headers.get("Retry-After") if isinstance(headers, dict) else None,
    ):
        if type(value) in {int, float, str} and (found := duration_s(str(value))) is not None:
            return found
    return None


def _meaning(status: int, fault: Fault, table: Table) -> Meaning:
    for name in fault.names:
        if name in table.names:
            return table.names[name]
    if 400 <= status < 500:
        message = fault.message.lower()
        for phrase, meaning in table.phrases:
            if phrase in message:
                return meaning
        if status == 403 and fault.flagged:
            return REFUSED
        return STATUSES.get(status, BAD_REQUEST)
    if status >= 500:
        return STATUSES.get(status, SERVER)
    return NOT_FOUND if 300 <= status < 400 else BAD_RESPONSE


def _holds_error(body: object) -> bool:
    return isinstance(body, dict) and bool(
        body.get("error") or body.get("type") == "error" or body.get("object") == "error"
    )


def _other_format(body: object, table: Table) -> str:
    """A hint when a successful body is an answer in another wire format than was asked for."""
    if not isinstance(body, dict):
        return ""
    if "choices" in body:
        spoken = "openai"
    else:
        spoken = {"message": "anthropic", "completion": "anthropic-complete"}.get(
            str(body.get("type")), table.provider
        )
    return "" if spoken == table.provider else f'; set request.provider to "{spoken}"'


def _redirected(response: Response) -> str:
    target = one_line(response.headers.get("location") or "another address", 200)
    return (
        f"the server redirects (status {response.status}) to {target}; "
        "set request.base_url to where the API itself answers"
    )
