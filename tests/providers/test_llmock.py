"""Both chat formats against a server written by others, over a real socket."""

import http.client
from urllib.parse import urlsplit

import pytest
from llmock.pytest_plugin import LLMock

from batcher.job import ProviderName, Request
from batcher.providers.catalogue import make_provider
from batcher.providers.wire import normal_base_url
from batcher.records import Bucket, Failure, FailureKind, Prompt, Reply, Response, Wire
from tests.providers.contract import a_prompt

pytestmark = pytest.mark.socket

MODELS = {ProviderName.ANTHROPIC: "claude-haiku-4-5", ProviderName.OPENAI: "gpt-4o-mini"}
EVERY = pytest.mark.parametrize("name", MODELS)


def sent(base_url: str, wire: Wire) -> Response:
    """One exchange by the standard library's client."""
    url = urlsplit(normal_base_url(base_url))
    connection = http.client.HTTPConnection(url.netloc, timeout=10)
    try:
        connection.request("POST", url.path + wire.path, wire.body, dict(wire.headers))
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        try:
            body = answer.read()
        except http.client.IncompleteRead as cut:
            body = cut.partial
        return Response(status=answer.status, headers=headers, body=body)
    finally:
        connection.close()


def asked(
    llmock: LLMock, name: ProviderName, prompt: Prompt | None = None, *, stream: bool = False
) -> tuple[Reply | Failure, Response]:
    base_url = llmock.base_url(name.value)
    provider = make_provider(name, base_url=base_url)
    request = Request(model=MODELS[name], max_tokens=400, stream=stream)
    response = sent(base_url, provider.encode(prompt or a_prompt(), request))
    whole = provider.unstream(response)
    return (provider.decode(whole) if isinstance(whole, Response) else whole), response


@EVERY
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_read_with_its_tokens(
    llmock: LLMock, name: ProviderName, stream: bool
) -> None:
    llmock.reply("Lima \u00e9 \U0001f600 it is.")
    result, _ = asked(llmock, name, a_prompt(system="Answer briefly."), stream=stream)

    assert isinstance(result, Reply)
    assert result.text == "Lima \u00e9 \U0001f600 it is."
    assert result.model == MODELS[name]
    assert result.usage.input_tokens > 0
    assert result.usage.output_tokens > 0
    assert result.request_id


@EVERY
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_of_a_tool_is_an_answer(llmock: LLMock, name: ProviderName, stream: bool) -> None:
    llmock.call_tool("weather", {"city": "Lima"})
    result, _ = asked(llmock, name, stream=stream)

    assert isinstance(result, Reply)
    assert result.stop_reason in {"tool_use", "tool_calls"}


@EVERY
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FailureKind.BAD_REQUEST),
        (401, FailureKind.AUTH),
        (402, FailureKind.BILLING),
        (403, FailureKind.PERMISSION),
        (404, FailureKind.NOT_FOUND),
        (408, FailureKind.SERVER),
        (413, FailureKind.TOO_LARGE),
        (422, FailureKind.BAD_REQUEST),
        (500, FailureKind.SERVER),
        (502, FailureKind.SERVER),
        (503, FailureKind.OVERLOADED),
        (529, FailureKind.OVERLOADED),
    ],
)
def test_every_error_status_has_its_kind(
    llmock: LLMock, name: ProviderName, status: int, kind: FailureKind
) -> None:
    llmock.fail(status)
    result, _ = asked(llmock, name)

    assert isinstance(result, Failure)
    assert (result.status, result.kind) == (status, kind)


@EVERY
def test_a_refusal_for_rate_says_how_long_to_wait(llmock: LLMock, name: ProviderName) -> None:
    llmock.rate_limit(retry_after=0.25)
    result, _ = asked(llmock, name)

    assert isinstance(result, Failure)
    assert (result.kind, result.retry_after_s) == (FailureKind.RATE, 0.25)


@EVERY
def test_a_prompt_too_long_and_a_dead_balance_are_told_apart(
    llmock: LLMock, name: ProviderName
) -> None:
    llmock.context_overflow().fail(429, code="insufficient_quota", message="No credit.")
    too_long, _ = asked(llmock, name)
    no_credit, _ = asked(llmock, name)

    assert isinstance(too_long, Failure)
    assert isinstance(no_credit, Failure)
    assert (too_long.kind, no_credit.kind) == (FailureKind.TOO_LARGE, FailureKind.BILLING)


@EVERY
def test_quotas_are_read_from_every_answer(llmock: LLMock, name: ProviderName) -> None:
    llmock.limits(rpm=60, tpm=90_000)
    _, response = asked(llmock, name)
    found = make_provider(name).quotas(response.headers, epoch_s=0.0)

    assert [(quota.bucket, quota.limit) for quota in found] == [
        (Bucket.REQUESTS, 60),
        (Bucket.TOTAL, 90_000),
    ]
    assert found[0].remaining == 59


@EVERY
@pytest.mark.parametrize("fault", ["truncate", "disconnect", "corrupt"])
def test_a_damaged_stream_is_no_answer(llmock: LLMock, name: ProviderName, fault: str) -> None:
    llmock.reply("one two three four five six")
    getattr(llmock, fault)(after_chunks=4)
    result, _ = asked(llmock, name, stream=True)

    assert isinstance(result, Failure)
    assert result.kind in {FailureKind.CONNECTION, FailureKind.BAD_RESPONSE}
