"""The legacy Text Completions format, and all that every wire format must do."""

from typing import Any, ClassVar

import orjson
import pytest

from batcher.errors import InvalidRow
from batcher.providers.anthropic.complete import Complete
from batcher.records import Failure, FailureKind, Prompt, Reply
from tests.providers.contract import HERE, USER, Contract, a_prompt, ok_response, sse

ANSWER = {
    "id": "compl_01Sim",
    "type": "completion",
    "completion": " Lima",
    "model": "claude-2.1",
    "stop_reason": "stop_sequence",
}


def piece(text: str, stop_reason: str | None = None) -> tuple[str, object]:
    return "completion", {**ANSWER, "completion": text, "stop_reason": stop_reason}


class TestComplete(Contract):
    provider = Complete()
    folder = HERE / "anthropic" / "complete_samples"
    model = "claude-2.1"
    answer = ANSWER
    stream = sse(piece(" Li"), piece("data: ma"), piece(""), piece("", "stop_sequence"))
    streamed: ClassVar = {**ANSWER, "completion": " Lidata: ma"}

    def test_a_whole_request_reads_as_the_api_documented_it(self) -> None:
        request = self.request(max_tokens=16, temperature=0.5, stop=["\n\nHuman:"])
        wire = self.provider.encode(a_prompt("Hi"), request)

        assert wire.path == "/v1/complete"
        assert wire.headers["anthropic-version"] == "2023-06-01"
        assert orjson.loads(wire.body) == {
            "model": "claude-2.1",
            "prompt": "\n\nHuman: Hi\n\nAssistant:",
            "max_tokens_to_sample": 16,
            "temperature": 0.5,
            "stop_sequences": ["\n\nHuman:"],
        }

    @pytest.mark.parametrize(
        ("messages", "system", "text"),
        [
            ([("user", "Hi")], "Be brief.", "Be brief.\n\nHuman: Hi\n\nAssistant:"),
            (
                [("user", "Hi"), ("assistant", "Hello."), ("user", "Bye")],
                None,
                "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Bye\n\nAssistant:",
            ),
            (
                [("user", "Hi"), ("assistant", "The answer is")],
                None,
                "\n\nHuman: Hi\n\nAssistant: The answer is",
            ),
            ([("user", "\n\nHuman: Hi\n\nAssistant:")], None, "\n\nHuman: Hi\n\nAssistant:"),
            ([("user", "\n\nHuman: Hi\n\nAssistant: So")], "S", "S\n\nHuman: Hi\n\nAssistant: So"),
            ([("system", "S"), ("user", "Hi")], None, "S\n\nHuman: Hi\n\nAssistant:"),
        ],
    )
    def test_turns_are_written_as_human_and_assistant_parts(
        self, messages: list[tuple[str, str]], system: str | None, text: str
    ) -> None:
        turns = [{"role": role, "content": content} for role, content in messages]

        assert self.encoded(Prompt(messages=turns, system=system))["prompt"] == text

    def test_text_blocks_are_sent_as_text_and_images_refused(self) -> None:
        blocks: list[dict[str, Any]] = [{"type": "text", "text": "Hi"}]
        assert self.encoded(Prompt(messages=[{"role": "user", "content": blocks}])) == (
            self.encoded(a_prompt("Hi"))
        )
        blocks.append({"type": "image", "source": {}})
        with pytest.raises(InvalidRow, match="image"):
            self.encoded(Prompt(messages=[{"role": "user", "content": blocks}]))

    def test_the_jobs_api_version_is_sent(self) -> None:
        wire = self.provider.encode(a_prompt(), self.request(api_version="2023-01-01"))

        assert wire.headers["anthropic-version"] == "2023-01-01"

    def test_a_temperature_above_one_is_refused(self) -> None:
        request = self.request(temperature=1.5)

        assert self.provider.check(request) == [
            "request.temperature: claude-2.1 takes at most 1, not 1.5; write 0 to 1"
        ]
        with pytest.raises(InvalidRow, match="at most 1"):
            self.provider.encode(a_prompt(), request)

    def test_only_the_space_of_the_format_is_taken_from_the_text(self) -> None:
        result = self.provider.decode(ok_response({**ANSWER, "completion": "  two spaces "}))

        assert isinstance(result, Reply)
        assert result.text == " two spaces "

    def test_a_message_instead_of_a_completion_names_the_right_provider(self) -> None:
        result = self.provider.decode(ok_response({"type": "message", "content": USER}))

        assert isinstance(result, Failure)
        assert result.kind is FailureKind.BAD_RESPONSE
        assert result.message.endswith('set request.provider to "anthropic"')
