"""What a person can do about a failure: one plain sentence with the fix.

Hints are shown and recorded, never acted upon: what happens next is verdict.py's matter. So
this file, unlike any other, may look into a message for telling words; a wrong guess costs
a sentence that helps less.
"""

from typing import assert_never

from batcher.records import Failure
from batcher.records import FailureKind as Kind


def hint(failure: Failure) -> str | None:
    """The fix for a failure, or None when its message already says it."""
    if failure.status is not None and 300 <= failure.status < 400:
        return (
            "the server sends requests elsewhere: set request.base_url to the address it names "
            "(often https:// instead of http://)"
        )
    match failure.kind:
        case Kind.RATE | Kind.RAMP | Kind.OVERLOADED | Kind.SERVER:
            return _of_the_server(failure)
        case Kind.CONNECTION | Kind.TLS | Kind.TIMEOUT | Kind.BAD_RESPONSE:
            return _of_the_way_there(failure)
        case Kind.AUTH | Kind.PERMISSION | Kind.BILLING | Kind.NOT_FOUND:
            return _of_the_account(failure)
        case Kind.BAD_REQUEST | Kind.TOO_LARGE:
            return _of_the_request(failure)
        case Kind.TRUNCATED | Kind.REFUSED | Kind.PAUSED | Kind.EMPTY:
            return _of_the_answer(failure)
        case Kind.INVALID:
            return "correct this line of the input; the message says what it lacks"
        case Kind.BUG:
            return "this is a bug in batcher: please report it, with log.jsonl"
        case _:
            assert_never(failure.kind)


def _of_the_server(failure: Failure) -> str | None:
    match failure.kind:
        case Kind.RATE:
            return (
                "the quota is used up: wait, or ask the provider for more; "
                "limits.requests_per_minute keeps a run below it"
            )
        case Kind.RAMP:
            return "usage grew faster than the provider allows: lower limits.concurrency"
        case Kind.OVERLOADED:
            return "the provider has too much to do: run at another hour"
        case _ if failure.status == 504:
            return (
                "the answer took longer than the server allows: set request.stream = true, or "
                "lower request.max_tokens"
            )
        case _:
            return "the provider failed, not the request: run later, or raise patience.max_attempts"


def _of_the_way_there(failure: Failure) -> str | None:
    text = failure.message.lower()
    match failure.kind:
        case Kind.TLS if "wrong version" in text or "record layer" in text:
            return "the server does not speak TLS: write http:// in request.base_url"
        case Kind.TLS if "expired" in text:
            return "the server's certificate has expired: its owner must renew it"
        case Kind.TLS:
            return (
                "the server's certificate is not trusted here: point SSL_CERT_FILE at the "
                "certificates your network uses, and check the name in request.base_url"
            )
        case Kind.TIMEOUT:
            return (
                "raise patience.timeout_s, lower request.max_tokens, or set request.stream = true"
            )
        case Kind.BAD_RESPONSE:
            return (
                "what came back is no answer of a model: check that request.base_url is the "
                "server you mean and that request.provider is its wire format"
            )
        case _ if "refused" in text:
            return "nothing listens there: start the server, or correct request.base_url"
        case _ if any(
            word in text for word in ("resolve", "name or service", "getaddrinfo", "dns")
        ):
            return (
                "the server's name is not known: check request.base_url and the network's DNS; "
                "behind a proxy set HTTPS_PROXY"
            )
        case _ if "proxy" in text:
            return "the proxy did not let it through: check HTTPS_PROXY and NO_PROXY"
        case _:
            return "the connection broke: check the network, HTTPS_PROXY and request.base_url"


def _of_the_account(failure: Failure) -> str | None:
    match failure.kind:
        case Kind.AUTH:
            return (
                "put a valid key of this server where this one comes from (ANTHROPIC_API_KEY, for "
                "openai OPENAI_API_KEY, or its source under [[keys]]); request.auth says how it "
                "travels"
            )
        case Kind.PERMISSION:
            return (
                "the key may not do this: use a key of the right workspace, or have the model "
                "enabled for it"
            )
        case Kind.BILLING:
            return (
                "no credit is left, or a spend limit is reached: add credit or raise the limit "
                "in the provider's console, then give the same command again"
            )
        case _:
            return (
                "the server knows no such model or path: check request.model, request.provider "
                "and request.base_url"
            )


# Words of a 400's message -> the fix. First match wins.
_REQUEST_WORDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("temperature", "top_p", "top_k"),
        "this model or API version takes no such sampling settings: drop temperature, top_p and "
        'top_k, or set request.api_version = "2023-06-01" for a model that still takes them',
    ),
    (
        ("context", "too long", "maximum length", "too many tokens"),
        "prompt and answer do not fit the model: shorten the prompt, lower request.max_tokens, "
        "or choose a model with a larger context",
    ),
    (
        ("max_tokens", "max_completion_tokens"),
        "request.max_tokens does not suit this model: lower it, or see the message",
    ),
    (
        ("prefill", "must end with a user"),
        "this model does not continue a started answer: end the messages with a user turn",
    ),
    (
        ("not supported on this api", "messages api"),
        'this model speaks the Messages API only: set request.provider = "anthropic"',
    ),
)


def _of_the_request(failure: Failure) -> str | None:
    text = failure.message.lower()
    if failure.kind is Kind.TOO_LARGE:
        return (
            "the prompt is larger than the model or server takes: shorten it, split the row, or "
            "choose a model with a larger context"
        )
    for words, fix in _REQUEST_WORDS:
        if any(word in text for word in words):
            return fix
    return "the server refuses this request as it stands; `batcher try` shows and sends one row"


def _of_the_answer(failure: Failure) -> str | None:
    match failure.kind:
        case Kind.TRUNCATED:
            stop = failure.reply.stop_reason if failure.reply else None
            if stop == "model_context_window_exceeded":
                return "prompt and answer fill the model's context: shorten the prompt"
            return "the answer was cut: raise request.max_tokens (or the row's own max_tokens)"
        case Kind.REFUSED:
            return "the model or a content filter declined: reword the prompt or try another model"
        case Kind.PAUSED:
            return "a tool of the server stopped half way: ask without server tools, or for less"
        case _:
            return (
                "the model answered without text: reword the prompt, and check request.stop and "
                "request.max_tokens"
            )
