"""The Messages API on the wire, and all that every wire format must do."""

from typing import Any, ClassVar

import orjson
import pytest

from batcher.errors import InvalidRow
from batcher.providers.anthropic.messages import Messages
from batcher.records import Failure, FailureKind, Prompt, Reply, Response
from tests.providers.contract import HERE, USER, Contract, a_prompt, ok_response, sse

ANSWER = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-5-5",
    "content": [{"type": "text", "text": "Lima"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 21, "output_tokens": 5},
}


def begins(index: int, **block: object) -> tuple[str, object]:
    kind = "content_block_start"
    return kind, {"type": kind, "index": index, "content_block": block}


def adds(index: int, kind: str, **piece: object) -> tuple[str, object]:
    name = "content_block_delta"
    return name, {"type": name, "index": index, "delta": {"type": kind, **piece}}


def ends(index: int) -> tuple[str, object]:
    return "content_block_stop", {"type": "content_block_stop", "index": index}


def stops(reason: str, **usage: object) -> list[tuple[str, object]]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [
        ("message_delta", {"type": "message_delta", "delta": delta, "usage": usage}),
        ("message_stop", {"type": "message_stop"}),
    ]


STREAM = sse(
    (
        "message_start",
        {
            "type": "message_start",
            "message": {
                **ANSWER,
                "content": [],
                "stop_reason": None,
                "usage": {"input_tokens": 21, "cache_read_input_tokens": 4, "output_tokens": 1},
            },
        },
    ),
    begins(0, type="thinking", thinking=""),
    adds(0, "thinking_delta", thinking="Peru"),
    adds(0, "thinking_delta", thinking="..."),
    adds(0, "signature_delta", signature="c2ln"),
    ends(0),
    begins(1, type="text", text=""),
    adds(1, "text_delta", text="event: message_stop\n\n"),
    adds(1, "text_delta", text="Lima \U0001f600"),
    adds(1, "citations_delta", citation={"type": "char_location"}),
    ends(1),
    begins(2, type="tool_use", id="toolu_1", name="weather", input={}),
    adds(2, "input_json_delta", partial_json=""),
    adds(2, "input_json_delta", partial_json='{"city": "Li'),
    adds(2, "input_json_delta", partial_json='ma"}'),
    ends(2),
    *stops("tool_use", output_tokens=15, input_tokens=None),
)


class TestMessages(Contract):
    provider = Messages()
    folder = HERE / "anthropic" / "samples"
    model = "claude-haiku-5-5"
    answer = ANSWER
    stream = STREAM
    streamed: ClassVar = {
        **ANSWER,
        "content": [
            {"type": "thinking", "thinking": "Peru...", "signature": "c2ln"},
            {
                "type": "text",
                "text": "event: message_stop\n\nLima \U0001f600",
                "citations": [{"type": "char_location"}],
            },
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Lima"}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 21, "cache_read_input_tokens": 4, "output_tokens": 15},
    }

    def test_a_whole_request_reads_as_the_api_documents_it(self) -> None:
        wire = self.provider.encode(
            Prompt(messages=USER, system="Answer in one word."),
            self.request(model="claude-haiku-4-5", temperature=0.5, stop=["\n"]),
        )

        assert wire.path == "/v1/messages"
        assert wire.headers["anthropic-version"] == "2023-06-01"
        assert orjson.loads(wire.body) == {
            "model": "claude-haiku-4-5",
            "max_tokens": 64,
            "messages": USER,
            "system": "Answer in one word.",
            "temperature": 0.5,
            "stop_sequences": ["\n"],
        }

    @pytest.mark.parametrize(
        ("fields", "version"),
        [
            ({}, "2026-10-21"),
            ({"model": "claude-haiku-4-5", "temperature": 0.2}, "2023-06-01"),
            ({"model": "claude-sonnet-4-6", "top_k": 4}, "2023-06-01"),
            ({"model": "smollm2-135m-instruct"}, "2023-06-01"),
            ({"api_version": "2023-06-01"}, "2023-06-01"),
            ({"model": "my-model", "api_version": "2026-10-21"}, "2026-10-21"),
        ],
    )
    def test_the_newest_version_that_takes_the_settings_is_asked_for(
        self, fields: dict[str, Any], version: str
    ) -> None:
        wire = self.provider.encode(a_prompt(), self.request(**fields))

        assert wire.headers["anthropic-version"] == version

    def test_extra_fields_are_held_to_the_sampling_rules_too(self) -> None:
        with pytest.raises(InvalidRow, match="temperature"):
            self.encoded(a_prompt(extra={"temperature": 0.5}))

    def test_odd_values_among_extra_fields_are_left_to_the_server(self) -> None:
        body = self.encoded(
            a_prompt(extra={"temperature": "hot", "max_tokens": "all", "top_p": []}),
            model="other-model",
        )

        assert (body["temperature"], body["max_tokens"], body["top_p"]) == ("hot", "all", [])

    def test_settings_a_model_refuses_are_named_before_anything_is_sent(self) -> None:
        request = self.request(model="claude-opus-5", temperature=0.3, top_k=5, max_tokens=200_000)

        assert self.provider.check(request) == [
            "request.temperature: claude-opus-5 refuses temperature; leave temperature out",
            "request.top_k: claude-opus-5 refuses top_k; leave top_k out",
            "request.max_tokens: claude-opus-5 gives at most 128000, not 200000; lower it",
        ]
        with pytest.raises(InvalidRow, match="claude-opus-5 refuses temperature"):
            self.provider.encode(a_prompt(), request)

    @pytest.mark.parametrize(
        ("model", "most"),
        [("claude-haiku-4-5-20251001", 64_000), ("claude-sonnet-4-6", 128_000)],
    )
    def test_no_more_tokens_are_asked_than_the_model_gives(self, model: str, most: int) -> None:
        assert self.encoded(a_prompt(), model=model, max_tokens=most)["max_tokens"] == most
        with pytest.raises(InvalidRow, match=str(most)):
            self.encoded(a_prompt(), model=model, max_tokens=most + 1)

    def test_another_servers_model_may_give_any_number_of_tokens(self) -> None:
        assert self.encoded(a_prompt(), model="qwen3", max_tokens=500_000)["max_tokens"] == 500_000

    @pytest.mark.parametrize("model", ["claude-sonnet-4-6", "claude-opus-5-5"])
    def test_a_started_answer_is_refused_where_the_model_continues_none(self, model: str) -> None:
        messages = [*USER, {"role": "assistant", "content": "The capital is"}]

        with pytest.raises(InvalidRow, match="assistant turn"):
            self.encoded(Prompt(messages=messages), model=model)
        for other in ("claude-haiku-4-5", "smollm2"):
            assert self.encoded(Prompt(messages=messages), model=other)["messages"] == messages

    def test_long_answers_are_streamed_by_themselves(self) -> None:
        short = self.provider.encode(a_prompt(), self.request(max_tokens=21_333))
        long = self.provider.encode(a_prompt(), self.request(max_tokens=21_334))

        assert (short.stream, long.stream) == (False, True)
        assert orjson.loads(long.body)["stream"] is True

    def test_leading_system_turns_become_the_system_text(self) -> None:
        messages = [{"role": "system", "content": "Be brief."}, *USER]

        assert self.encoded(Prompt(messages=messages))["system"] == "Be brief."
        assert self.encoded(Prompt(messages=messages))["messages"] == USER
        both = self.encoded(Prompt(messages=messages, system="Be kind."))
        assert both["system"] == "Be kind.\n\nBe brief."

    def test_system_blocks_and_text_together_become_blocks(self) -> None:
        block = {"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}
        messages = [{"role": "developer", "content": "Be brief."}, *USER]
        body = self.encoded(Prompt(messages=messages, system=[block]))

        assert body["system"] == [block, {"type": "text", "text": "Be brief."}]

    def test_the_jobs_system_text_serves_rows_that_bring_none(self) -> None:
        assert self.encoded(a_prompt(), system="Job.")["system"] == "Job."
        assert self.encoded(a_prompt(system="Row."), system="Job.")["system"] == "Row."
        assert "system" not in self.encoded(a_prompt(system=""), system="")

    def test_a_dialogue_in_one_text_is_sent_as_turns(self) -> None:
        text = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Capital of Peru?\n\nAssistant:"

        assert self.encoded(a_prompt(text))["messages"] == [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "Capital of Peru?"},
        ]

    def test_blocks_pass_through_whole(self) -> None:
        content = [
            {"type": "text", "text": "What is it?", "cache_control": {"type": "ephemeral"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "x"}},
            {"type": "document", "source": {"type": "text", "data": "..."}},
            {"type": "of_tomorrow", "field": [1]},
        ]
        messages = [{"role": "user", "content": content}]

        assert self.encoded(Prompt(messages=messages))["messages"] == messages

    def test_images_of_the_other_format_are_converted(self) -> None:
        content = [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        ]
        sent = self.encoded(Prompt(messages=[{"role": "user", "content": content}]))

        assert sent["messages"][0]["content"][1:] == [
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "iVBOR"},
            },
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        ]

    @pytest.mark.parametrize(
        "turn",
        [
            {"role": "tool", "content": "12 degrees", "tool_call_id": "call_1"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1"}]},
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},
            {"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]},
        ],
    )
    def test_what_only_the_other_format_knows_is_refused_by_name(
        self, turn: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidRow) as problem:
            self.encoded(Prompt(messages=[*USER, turn]))
        assert problem.value.hint

    def test_tool_input_cut_off_by_max_tokens_is_kept_as_text(self) -> None:
        events = [*STREAM[:14], *sse(*stops("max_tokens", output_tokens=64))]
        whole = self.provider.unstream(self.streaming(b"".join(events)))
        assert isinstance(whole, Response)
        result = self.provider.decode(whole)

        assert orjson.loads(whole.body)["content"][2]["input"] == '{"city": "Li'
        assert isinstance(result, Failure)
        assert result.kind is FailureKind.TRUNCATED

    def test_a_stream_nobody_asked_for_is_an_answer_all_the_same(self) -> None:
        result = self.provider.decode(Response(status=200, headers={}, body=b"".join(STREAM)))

        assert isinstance(result, Reply)
        assert result.usage.output_tokens == 15

    def test_an_error_event_takes_the_status_its_type_stands_for(self) -> None:
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        whole = self.provider.unstream(
            self.streaming(b"".join([STREAM[0], *sse(("error", error))]))
        )

        assert isinstance(whole, Response)
        assert (whole.status, orjson.loads(whole.body)) == (529, error)

    @pytest.mark.parametrize("count", [-1, True, "5", 5.5, None, [], 2**60])
    def test_a_token_count_that_cannot_be_counts_nothing(self, count: object) -> None:
        body = {**ANSWER, "usage": {"input_tokens": count, "output_tokens": 3}}
        result = self.provider.decode(ok_response(body))

        assert isinstance(result, Reply)
        assert (result.usage.input_tokens, result.usage.output_tokens) == (0, 3)
