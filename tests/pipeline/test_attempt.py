"""A try decoded: whatever a server says about a failure, no key comes out of it."""

from collections.abc import Mapping

import orjson
import pytest

from batcher.job import ProviderName
from batcher.pipeline.attempt import Exchange, understood
from batcher.providers.catalogue import make_provider
from batcher.records import Failure, FailureKind, Reply, Response
from batcher.secret import Redactor, Secret

KEY = "canary+key/0123456789/abcdef=="
SOMEBODYS = "sk-" + "proj-" + "z9" * 12


def came(
    status: int, body: bytes, headers: Mapping[str, str] | None = None, *, is_stream: bool = False
) -> Exchange:
    redactor = Redactor()
    redactor.learn(Secret(KEY))
    return understood(
        Response(status=status, headers=headers or {}, body=body),
        provider=make_provider(ProviderName.ANTHROPIC),
        redactor=redactor,
        is_stream=is_stream,
        sent_at="",
        latency_s=1.0,
    )


def answer(text: str, stop: str = "end_turn") -> bytes:
    block = {"type": "text", "text": text}
    return orjson.dumps({"type": "message", "content": [block], "stop_reason": stop, "model": "m"})


@pytest.mark.parametrize("status", [200, 400, 401, 403, 429, 500])
@pytest.mark.parametrize("key", [KEY, SOMEBODYS])
def test_a_failures_texts_and_body_are_without_keys(status: int, key: str) -> None:
    error = {"type": key, "message": f"bad key {key}, sorry"}
    body = orjson.dumps({"type": "error", "error": error})

    exchange = came(status, body, {"request-id": key})

    failure = exchange.result
    assert isinstance(failure, Failure)
    assert failure.message == "bad key ***, sorry"
    assert (failure.error_type, failure.request_id) == ("***", "***")
    assert exchange.body == body.replace(key.encode(), b"***")


def test_a_failure_of_the_network_too() -> None:
    failure = Failure(kind=FailureKind.CONNECTION, message=f"broke after {SOMEBODYS}")
    exchange = understood(
        failure,
        provider=make_provider(ProviderName.ANTHROPIC),
        redactor=Redactor(),
        is_stream=False,
        sent_at="",
        latency_s=1.0,
    )

    assert isinstance(exchange.result, Failure)
    assert exchange.result.message == "broke after ***"


@pytest.mark.parametrize("stop", ["end_turn", "max_tokens"])
def test_an_answer_stays_as_it_came(stop: str) -> None:
    """A model may write about keys; what it wrote is what was paid for."""
    body = answer(f"a key looks like {SOMEBODYS}", stop)

    exchange = came(200, body)

    result = exchange.result
    reply = result if isinstance(result, Reply) else result.reply
    assert reply is not None
    assert SOMEBODYS in reply.text
    assert exchange.body is body
