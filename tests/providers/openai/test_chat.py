"""Chat completions, and all that every wire format must do."""

from typing import Any, ClassVar

import orjson
import pytest

from batcher.errors import InvalidRow
from batcher.providers.openai.chat import Chat
from batcher.records import Failure, FailureKind, Prompt, Reply, Response
from tests.providers.contract import HERE, USER, Contract, a_prompt, ok_response, sse

HEAD = {"id": "chatcmpl-1", "created": 1_795_338_000, "model": "gpt-5-mini"}
ANSWER = {
    **HEAD,
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "Lima"},
        }
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 13},
}


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> object:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {**HEAD, "object": "chat.completion.chunk", "choices": choices, **more}


def call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    name = {"name": more.pop("name")} if "name" in more else {}
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments, **name}, **more}]}


DONE = b"data: [DONE]\n\n"
STREAM = [
    *sse(
        chunk({"role": "assistant", "content": ""}, usage=None),
        chunk({"content": "data: [DONE]\n\n"}),
        chunk({"content": "Lima \U0001f600", "reasoning_content": "Pe"}),
        chunk({"reasoning_content": "ru"}),
        chunk(call(0, "", id="call_1", type="function", name="weather")),
        chunk(call(0, '{"city": "Li')),
        chunk(call(0, 'ma"}')),
        chunk(call(1, "{}", id="call_2", type="function", name="time")),
        chunk({}, "tool_calls"),
        chunk(usage={"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21}),
    ),
    DONE,
]


class TestChat(Contract):
    provider = Chat()
    folder = HERE / "openai" / "samples"
    model = "gpt-5-mini"
    answer = ANSWER
    stream = STREAM
    streamed: ClassVar = {
        **HEAD,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": "data: [DONE]\n\nLima \U0001f600",
                    "reasoning_content": "Peru",
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "weather", "arguments": '{"city": "Lima"}'},
                        },
                        {
                            "id": "call_2",
                            "type": "function",
                            "function": {"name": "time", "arguments": "{}"},
                        },
                    ],
                },
            }
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21},
    }

    def test_a_whole_request_reads_as_the_api_documents_it(self) -> None:
        wire = self.provider.encode(
            Prompt(messages=USER, system="Answer in one word."),
            self.request(temperature=0.5, top_p=0.9, stop=["\n"], stream=True),
        )

        assert wire.path == "/v1/chat/completions"
        assert orjson.loads(wire.body) == {
            "model": "gpt-5-mini",
            "messages": [{"role": "system", "content": "Answer in one word."}, *USER],
            "max_completion_tokens": 64,
            "temperature": 0.5,
            "top_p": 0.9,
            "stop": ["\n"],
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    @pytest.mark.parametrize(
        ("base_url", "name"),
        [
            ("https://api.openai.com", "max_completion_tokens"),
            ("https://eu.api.openai.com", "max_completion_tokens"),
            ("https://mine.openai.azure.com/openai", "max_completion_tokens"),
            ("http://localhost:8000", "max_tokens"),
            ("https://api.openai.com.example.org", "max_tokens"),
            ("https://openrouter.ai/api", "max_tokens"),
        ],
    )
    def test_the_answers_length_goes_by_the_name_the_server_knows(
        self, base_url: str, name: str
    ) -> None:
        body = orjson.loads(Chat(base_url).encode(a_prompt(), self.request()).body)

        assert {key for key in body if "tokens" in key} == {name}

    @pytest.mark.parametrize("base_url", ["https://api.openai.com", "http://localhost:8000"])
    @pytest.mark.parametrize("name", ["max_completion_tokens", "max_tokens"])
    def test_a_length_among_the_extra_fields_is_the_only_one(
        self, base_url: str, name: str
    ) -> None:
        wire = Chat(base_url).encode(a_prompt(extra={name: 5}), self.request())
        body = orjson.loads(wire.body)

        assert {key: body[key] for key in body if "tokens" in key} == {name: 5}

    def test_top_k_goes_only_to_servers_that_know_it(self) -> None:
        local = Chat("http://localhost:8000")

        assert orjson.loads(local.encode(a_prompt(), self.request(top_k=5)).body)["top_k"] == 5
        assert local.check(self.request(top_k=5)) == []
        assert "top_k" in self.provider.check(self.request(top_k=5))[0]
        with pytest.raises(InvalidRow, match="top_k"):
            self.provider.encode(a_prompt(), self.request(top_k=5))

    def test_system_texts_of_job_row_and_turns_become_one_first_turn(self) -> None:
        head = {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}
        messages = [head, *USER]

        sent = self.encoded(Prompt(messages=messages, system="Be kind."), system="Unused.")
        assert sent["messages"] == [
            {"role": "system", "content": "Be kind.\n\nBe brief."},
            *USER,
        ]
        assert self.encoded(a_prompt(), system="Job.")["messages"][0]["content"] == "Job."

    def test_tool_turns_pass_through_whole(self) -> None:
        messages = [
            *USER,
            {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1"}]},
            {"role": "tool", "content": "", "tool_call_id": "call_1"},
        ]

        assert self.encoded(Prompt(messages=messages))["messages"] == messages

    def test_a_dialogue_in_one_text_is_sent_as_turns(self) -> None:
        text = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Bye\n\nAssistant:"

        assert [turn["role"] for turn in self.encoded(a_prompt(text))["messages"]] == [
            "user",
            "assistant",
            "user",
        ]

    def test_images_of_the_other_format_are_converted(self) -> None:
        content = [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "x"}},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            {"type": "text", "text": "What is it?"},
        ]
        sent = self.encoded(Prompt(messages=[{"role": "user", "content": content}]))

        assert sent["messages"][0]["content"] == [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,x"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "text", "text": "What is it?"},
        ]

    @pytest.mark.parametrize(
        "block",
        [
            {"type": "document", "source": {}},
            {"type": "tool_result", "tool_use_id": "toolu_1"},
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "image"},
        ],
    )
    def test_what_only_the_other_format_knows_is_refused_by_name(
        self, block: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidRow) as problem:
            self.encoded(Prompt(messages=[{"role": "user", "content": [block]}]))
        assert problem.value.hint

    def test_an_error_chunk_is_classified_by_its_code(self) -> None:
        error = {"error": {"code": 502, "message": "Provider disconnected"}, "choices": []}
        body = b"".join([*STREAM[:3], *sse(error)])
        result = self.provider.decode(self.streaming(body))

        assert isinstance(result, Failure)
        assert (result.kind, result.message) == (FailureKind.SERVER, "Provider disconnected")
        assert self.provider.stream_is_over(body)

    def test_a_stream_nobody_asked_for_is_an_answer_all_the_same(self) -> None:
        result = self.provider.decode(Response(status=200, headers={}, body=b"".join(STREAM)))

        assert isinstance(result, Reply)
        assert result.usage.output_tokens == 9

    def test_choices_of_a_stream_are_kept_apart(self) -> None:
        parts = [
            {**HEAD, "choices": [{"index": index, "delta": {"content": text}}]}
            for index, text in [(1, "b"), (0, "a"), (1, "B"), (0, "A")]
        ]
        whole = self.provider.unstream(self.streaming(b"".join([*sse(*parts), DONE])))

        assert isinstance(whole, Response)
        choices = orjson.loads(whole.body)["choices"]
        assert [choice["message"]["content"] for choice in choices] == ["aA", "bB"]

    def test_cached_tokens_are_never_more_than_the_prompts(self) -> None:
        usage = {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 50}}
        result = self.provider.decode(ok_response({**ANSWER, "usage": usage}))

        assert isinstance(result, Reply)
        assert (result.usage.input_tokens, result.usage.cache_read_tokens) == (0, 10)
