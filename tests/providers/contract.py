"""The suite every provider passes; a wire format's own tests add what only it does.

A format subclasses `Contract` and brings a folder of samples: one JSON file each with
`status`, `headers`, a body (`body` as JSON, `text`, or `latin1` for bytes that are not UTF-8)
and what it `means`: fields of the Reply or Failure, dotted where they lie deeper. Bodies are
made after the documented shapes of 2026-11; ids and numbers are invented.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest

from batcher.errors import InvalidRow
from batcher.job import Request
from batcher.providers.catalogue import WireFormat
from batcher.records import Failure, FailureKind, Prompt, Reply, Response

HERE = Path(__file__).parent


def samples(folder: Path) -> list[Any]:
    """One pytest parameter per sample file."""
    files = sorted(folder.glob("*.json"))
    assert files, f"no samples in {folder}"
    return [pytest.param(orjson.loads(file.read_bytes()), id=file.stem) for file in files]


def response_of(sample: Mapping[str, Any]) -> Response:
    """The response a sample describes."""
    if "body" in sample:
        body = orjson.dumps(sample["body"])
    elif "latin1" in sample:
        body = sample["latin1"].encode("latin-1")
    else:
        body = sample["text"].encode()
    return Response(status=sample["status"], headers=sample["headers"], body=body)


def ok_response(body: object, **headers: str) -> Response:
    """A successful JSON response."""
    return Response(status=200, headers=headers, body=orjson.dumps(body))


def field_of(result: Reply | Failure, path: str) -> object:
    """A field of a result, dotted where it lies deeper, as JSON would show it."""
    value: Any = result
    for name in path.split("."):
        value = getattr(value, name)
    return orjson.loads(orjson.dumps(value)) if value is not None else None


def check_is_sound(result: Reply | Failure | None) -> None:
    """A result can be written down, is short where people read it, and keeps what was paid."""
    assert isinstance(result, Reply | Failure)
    orjson.dumps(asdict(result), default=bytes.decode)
    if isinstance(result, Failure):
        assert len(result.message) <= 600
        assert "\n" not in result.message
        assert result.message
        assert result.retry_after_s is None or 0 <= result.retry_after_s < float("inf")
        kept = result.kind in {FailureKind.TRUNCATED, FailureKind.PAUSED, FailureKind.EMPTY}
        assert not kept or result.reply is not None
    else:
        assert result.usage.input_tokens >= 0


def check_understood(provider: WireFormat, response: Response) -> None:
    """Decoding, unstreaming and reading quotas raise nothing and give sound results."""
    check_is_sound(provider.decode(response))
    whole = provider.unstream(response)
    check_is_sound(provider.decode(whole) if isinstance(whole, Response) else whole)
    for quota in provider.quotas(response.headers, epoch_s=1_795_338_000.0):
        assert 0 < quota.limit < float("inf")
        assert 0 <= quota.remaining < float("inf")
        assert quota.resets_in_s is None or 0 <= quota.resets_in_s < float("inf")


class Contract:
    """What holds for every wire format."""

    provider: WireFormat
    folder: Path
    model: str
    answer: Mapping[str, Any]
    """A whole successful body."""
    stream: Sequence[bytes]
    """The events of a successful stream, in order; together with their blank lines."""
    streamed: ClassVar[Mapping[str, Any]]
    """The body that stream stands for."""

    def request(self, **fields: Any) -> Request:
        """Settings with a model this format takes."""
        return Request.model_validate({"model": self.model, "max_tokens": 64, **fields})

    def encoded(self, prompt: Prompt, **fields: Any) -> dict[str, Any]:
        """The body of a prompt, parsed."""
        body: dict[str, Any] = orjson.loads(
            self.provider.encode(prompt, self.request(**fields)).body
        )
        return body

    def test_every_sample_means_what_it_says(self, sample: dict[str, Any]) -> None:
        result = self.provider.decode(response_of(sample))

        check_is_sound(result)
        assert isinstance(result, Failure if "kind" in sample["means"] else Reply)
        found = {path: field_of(result, path) for path in sample["means"]}
        assert found == sample["means"]

    def test_a_request_is_one_json_object_under_v1_without_the_key(self) -> None:
        wire = self.provider.encode(a_prompt(), self.request())

        assert wire.path.startswith("/v1/")
        assert orjson.loads(wire.body)["model"] == self.model
        assert wire.headers["content-type"] == "application/json"
        assert not wire.stream
        assert wire.headers.keys().isdisjoint({"authorization", "x-api-key"})

    def test_the_same_prompt_makes_the_same_bytes(self) -> None:
        assert self.provider.encode(a_prompt(), self.request()) == self.provider.encode(
            a_prompt(), self.request()
        )

    def test_asking_for_a_stream_shows_in_body_and_wire(self) -> None:
        wire = self.provider.encode(a_prompt(), self.request(stream=True))

        assert wire.stream
        assert orjson.loads(wire.body)["stream"] is True

    def test_extra_headers_go_along_in_lower_case(self) -> None:
        wire = self.provider.encode(a_prompt(), self.request(headers={"X-Team": "support"}))

        assert wire.headers["x-team"] == "support"
        assert wire.headers["content-type"] == "application/json"

    @pytest.mark.parametrize("name", ["Authorization", "x-api-key", "API-Key"])
    def test_a_key_among_the_extra_headers_is_refused(self, name: str) -> None:
        """It would travel beside the real one, and lie open in the job file and run.json."""
        request = self.request(headers={name: "secret"})

        with pytest.raises(InvalidRow, match=r"request\.headers"):
            self.provider.encode(a_prompt(), request)
        assert "request.headers" in self.provider.check(request)[0]

    def test_extra_fields_of_the_row_win_over_those_of_the_job(self) -> None:
        body = self.encoded(
            Prompt(messages=USER, extra={"seed": 2, "mine": True}),
            extra={"seed": 1, "ours": [1]},
        )

        assert (body["seed"], body["mine"], body["ours"]) == (2, True, [1])

    @pytest.mark.parametrize("name", ["model", "messages", "prompt", "stream"])
    def test_no_extra_field_smuggles_in_a_second_word(self, name: str) -> None:
        with pytest.raises(InvalidRow, match=name):
            self.encoded(Prompt(messages=USER, extra={name: "other"}))
        assert f"request.extra names {name}" in self.provider.check(
            self.request(extra={name: "other"})
        )[0].replace("  ", " ")

    @pytest.mark.parametrize(
        "messages",
        [
            [],
            [{"role": "system", "content": "Be brief."}],
            [{"role": "user", "content": ""}],
            [{"role": "user", "content": " \n"}],
            [{"role": "user", "content": []}],
            [{"role": "user", "content": ["text"]}],
            [{"role": "user", "content": None}],
            [{"role": "user"}],
            [{"role": "bot", "content": "hi"}],
            [{"role": ["user"], "content": "hi"}],
            [{"role": "user", "content": "hi"}, {"role": None, "content": "hi"}],
            [{"role": "user", "content": [{"type": ["text"], "text": 3}]}, {"role": "user"}],
            [{"role": "user", "content": "\n\nHuman: \n\nAssistant:"}, {"role": "assistant"}],
        ],
    )
    def test_messages_that_ask_nothing_are_refused(self, messages: list[dict[str, Any]]) -> None:
        with pytest.raises(InvalidRow) as problem:
            self.encoded(Prompt(messages=messages))
        assert problem.value.hint

    def test_a_request_without_model_or_length_is_refused(self) -> None:
        with pytest.raises(InvalidRow, match="no model"):
            self.encoded(a_prompt(), model="")
        odd = self.request().model_copy(update={"max_tokens": "many"})
        with pytest.raises(InvalidRow, match="max_tokens"):
            self.provider.encode(a_prompt(), odd)

    @pytest.mark.parametrize("text", ["half \ud83d", "\udcff"])
    def test_half_a_character_in_the_prompt_is_an_invalid_row(self, text: str) -> None:
        with pytest.raises(InvalidRow, match="JSON"):
            self.encoded(Prompt(messages=[{"role": "user", "content": text}]))

    @pytest.mark.parametrize("value", [2**64, {1, 2}, {"a": object()}])
    def test_what_json_cannot_hold_is_an_invalid_row(self, value: object) -> None:
        with pytest.raises(InvalidRow, match="JSON"):
            self.encoded(Prompt(messages=USER, extra={"odd": value}))

    def test_plain_settings_have_no_problems(self) -> None:
        assert self.provider.check(self.request()) == []
        assert self.provider.check(Request()) == []

    def test_an_answer_cut_at_any_byte_is_no_result(self) -> None:
        body = orjson.dumps(self.answer)
        for end in range(len(body)):
            result = self.provider.decode(Response(status=200, headers={}, body=body[:end]))
            assert isinstance(result, Failure)
            assert result.kind is FailureKind.BAD_RESPONSE

    def test_a_surrogate_pair_in_escapes_is_one_character(self) -> None:
        text = orjson.dumps(self.answer).replace(b"Lima", rb"\ud83d\ude00 \\ud83d \ud83d")
        result = self.provider.decode(Response(status=200, headers={}, body=text))

        assert isinstance(result, Reply)
        assert result.text == "\U0001f600 \\ud83d \ufffd"

    def test_a_byte_order_mark_does_not_cost_the_answer(self) -> None:
        body = b"\xef\xbb\xbf" + orjson.dumps(self.answer)

        assert isinstance(self.provider.decode(Response(status=200, headers={}, body=body)), Reply)

    def test_absurdly_deep_json_is_a_bad_response(self) -> None:
        for body in (b"[" * 100_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000):
            check_understood(self.provider, Response(status=200, headers={}, body=body))

    def test_a_stream_becomes_the_body_it_stands_for(self) -> None:
        whole = self.provider.unstream(self.streaming(b"".join(self.stream)))

        assert isinstance(whole, Response)
        assert orjson.loads(whole.body) == self.streamed
        assert whole.status == 200
        assert isinstance(self.provider.decode(whole), Reply)

    @pytest.mark.parametrize("eol", [b"\r\n", b"\r"])
    def test_a_stream_may_end_its_lines_in_any_way(self, eol: bytes) -> None:
        whole = self.provider.unstream(self.streaming(b"".join(self.stream).replace(b"\n", eol)))

        assert isinstance(whole, Response)
        assert orjson.loads(whole.body) == self.streamed

    def test_pings_comments_and_unknown_events_are_passed_over(self) -> None:
        noise = (
            b': keep-alive\n\nevent: ping\ndata: {"type": "ping"}\n\n'
            b'event: later\nid: 7\nretry: 10\ndata: {"type": "later", "index": 0}\n\n'
        )
        events = noise + noise.join(self.stream)
        whole = self.provider.unstream(self.streaming(events))

        assert isinstance(whole, Response)
        text = orjson.loads(whole.body)
        assert {name: text.get(name) for name in self.streamed if name != "type"} == {
            name: value for name, value in self.streamed.items() if name != "type"
        }

    def test_a_stream_cut_at_any_byte_is_a_broken_connection_or_whole(self) -> None:
        """The text so far must never pass for the answer."""
        body = b"".join(self.stream)
        expected = self.provider.decode(self.streaming(body))
        for end in range(len(body)):
            result = self.provider.decode(self.streaming(body[:end]))
            if isinstance(result, Reply):
                assert result == expected
                assert len(body) - end <= 2  # all but the blank line
            else:
                assert result.kind is FailureKind.CONNECTION
                assert result.message == "the stream ended before its end event"

    def test_the_end_of_a_stream_is_known_only_at_its_end(self) -> None:
        body = b"".join(self.stream)
        over = [end for end in range(len(body) + 1) if self.provider.stream_is_over(body[:end])]

        assert over
        assert over[-1] == len(body)
        assert len(body) - over[0] <= 2
        assert self.provider.stream_is_over(body[-200:])

    @pytest.mark.parametrize("eol", [b"\n", b"\r\n", b"\r"])
    def test_the_end_of_a_stream_is_known_whatever_comes_after_it(self, eol: bytes) -> None:
        """Servers send a ping or a comment behind it, and lines may end in any way."""
        more = b': bye\n\nevent: ping\ndata: {"type": "ping"}\n\n: half a com'
        body = (b"".join(self.stream) + more).replace(b"\n", eol)

        assert self.provider.stream_is_over(body)
        assert not self.provider.stream_is_over(
            body.replace(self.stream[-1].replace(b"\n", eol), b"")
        )

    def test_an_error_is_the_end_of_a_stream(self) -> None:
        error = b'event: error\ndata: {"type": "error", "error": {"message": "oops"}}\n\n'

        assert self.provider.stream_is_over(self.stream[0] + error)
        assert not self.provider.stream_is_over(self.stream[0] + error[:-2])

    def test_a_garbled_event_in_a_whole_stream_is_a_bad_response(self) -> None:
        middle = len(self.stream) // 2
        events = [*self.stream[:middle], b'data: {"type": "con\n\n', *self.stream[middle:]]
        result = self.provider.unstream(self.streaming(b"".join(events)))

        assert isinstance(result, Failure)
        assert result.kind is FailureKind.BAD_RESPONSE

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            ({"type": "overloaded_error", "message": "Overloaded"}, FailureKind.OVERLOADED),
            ({"type": "rate_limit_error", "message": "slow down"}, FailureKind.RATE),
            ({"type": "api_error", "message": "oops"}, FailureKind.SERVER),
        ],
    )
    def test_an_error_in_mid_stream_is_the_failure_it_names(
        self, error: dict[str, str], kind: FailureKind
    ) -> None:
        event = b"event: error\ndata: " + orjson.dumps({"type": "error", "error": error}) + b"\n\n"
        result = self.provider.decode(self.streaming(b"".join(self.stream[:2]) + event))

        assert isinstance(result, Failure)
        assert (result.kind, result.message) == (kind, error["message"])

    def test_what_is_no_successful_stream_comes_back_as_it_is(self) -> None:
        for response in (
            ok_response(self.answer),
            Response(status=429, headers={}, body=b"event: error\ndata: {}\n\n"),
            Response(status=200, headers={}, body=b"<html></html>"),
        ):
            assert self.provider.unstream(response) is response

    def test_an_empty_stream_is_a_broken_connection(self) -> None:
        result = self.provider.unstream(self.streaming(b""))

        assert isinstance(result, Failure)
        assert result.kind is FailureKind.CONNECTION

    def test_no_rate_limit_headers_mean_no_quotas(self) -> None:
        assert list(self.provider.quotas({"content-type": "application/json"}, epoch_s=0)) == []

    @staticmethod
    def streaming(body: bytes) -> Response:
        """A successful response that says it is a stream."""
        headers = {"content-type": "text/event-stream; charset=utf-8", "request-id": "req_9"}
        return Response(status=200, headers=headers, body=body)


USER: list[dict[str, Any]] = [{"role": "user", "content": "Capital of Peru?"}]


def a_prompt(text: str = "Capital of Peru?", **fields: Any) -> Prompt:
    """A prompt of one user turn."""
    return Prompt(messages=[{"role": "user", "content": text}], **fields)


def sse(*events: tuple[str, object] | object) -> list[bytes]:
    """Event bytes: each a name with its data, or data alone."""
    made = []
    for event in events:
        name, data = event if isinstance(event, tuple) else ("", event)
        head = f"event: {name}\n".encode() if name else b""
        made.append(head + b"data: " + orjson.dumps(data) + b"\n\n")
    return made
