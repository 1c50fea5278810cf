"""Chat completions, as OpenAI, vLLM, llama.cpp, Ollama and OpenRouter speak them. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from batcher.errors import InvalidRow
from batcher.job import Request
from batcher.providers.answers import (
    FILTERED,
    REFUSAL,
    TRUNCATED_BY_TOKENS,
    Stop,
    judged,
    kept,
)
from batcher.providers.anthropic import quota as anthropic_quota
from batcher.providers.blocks import for_openai
from batcher.providers.body import Pattern, add_extra, base_headers, job_problems, settled, wire
from batcher.providers.faults import failure_of
from batcher.providers.openai import failures, quota
from batcher.providers.openai.stream import assembled, is_over
from batcher.providers.sse import is_stream, unstreamed
from batcher.providers.turns import System, Turn, conversation, is_plain, plain_text
from batcher.providers.wire import count_of, read_body, request_id_of, text_of
from batcher.records import Failure, FailureKind, Prompt, Quota, Reply, Response, Usage, Wire

VENDOR_URL = "https://api.openai.com"

_PATH = "/v1/chat/completions"
_ROLES = ("user", "assistant", "system", "developer", "tool", "function")
_HEADERS = base_headers()
_LENGTH_NAMES = ("max_completion_tokens", "max_tokens")
_VENDOR_HOSTS = ("api.openai.com", ".api.openai.com", ".openai.azure.com")
_STOPS: Mapping[str, Stop] = {
    "length": TRUNCATED_BY_TOKENS,
    "max_tokens": TRUNCATED_BY_TOKENS,
    "model_length": TRUNCATED_BY_TOKENS,  # Mistral
    "content_filter": FILTERED,
    "refusal": REFUSAL,
    "error": Stop(FailureKind.BAD_RESPONSE, "the server broke the answer off with an error"),
    "abort": Stop(FailureKind.SERVER, "the server broke the answer off"),  # vLLM
    "insufficient_system_resource": Stop(FailureKind.OVERLOADED, "the server ran out of room"),
}
"""Stop reasons that make an answer no result; the last is DeepSeek's."""


class Chat:
    """The `openai` wire format.

    Args:
        base_url: Where requests go; the vendor's own server wants the answer's length under
            a newer name, and knows no top_k.
    """

    name = "openai"

    def __init__(self, base_url: str = VENDOR_URL) -> None:
        host = urlsplit(base_url).hostname or ""
        self._is_vendor = host == _VENDOR_HOSTS[0] or host.endswith(_VENDOR_HOSTS[1:])
        self._pattern = Pattern()
        self._length = _LENGTH_NAMES[0] if self._is_vendor else _LENGTH_NAMES[1]

    def encode(self, prompt: Prompt, request: Request) -> Wire:
        """Wire form of a prompt under a row's effective settings.

        Raises:
            InvalidRow: The row asks for something this format refuses.
        """
        if is_plain(prompt) and not (request.extra or request.system):
            return self._pattern.wire(prompt, request, self._encoded)
        return self._encoded(prompt, request)

    def _encoded(self, prompt: Prompt, request: Request) -> Wire:
        settled(request)
        body: dict[str, Any] = {
            "model": request.model,
            "messages": _turns_sent(prompt, request),
            self._length: request.max_tokens,
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
        if request.top_k is not None:
            if self._is_vendor:
                raise InvalidRow("OpenAI knows no top_k", hint="leave top_k out, or use top_p")
            body["top_k"] = request.top_k
        if request.stop:
            body["stop"] = request.stop
        if request.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        if request.extra or prompt.extra:
            add_extra(body, prompt, request)
            if all(name in body for name in _LENGTH_NAMES):
                del body[self._length]  # the extra field's name is meant
        return wire(_PATH, _HEADERS, body, request, stream=request.stream)

    def check(self, request: Request) -> list[str]:
        """What this format would refuse of a job's settings: field and fix each."""
        problems = list(job_problems(request))
        if request.top_k is not None and self._is_vendor:
            problems.append("request.top_k: OpenAI knows no top_k; leave it out, or use top_p")
        return problems

    def decode(self, response: Response) -> Reply | Failure:
        """Meaning of a response; never raises for what a server sends."""
        if 200 <= response.status < 300:
            body, strict = read_body(response.body)
            if isinstance(body, dict):
                choices = body.get("choices")
                if isinstance(choices, list) and choices and not body.get("error"):
                    choice = choices[0]
                    if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
                        return _judged(body, choice, response, strict)
            elif is_stream(response):  # not asked for, and paid for all the same
                whole = self.unstream(response)
                return whole if isinstance(whole, Failure) else self.decode(whole)
        return failure_of(response, failures.TABLE)

    def quotas(self, headers: Mapping[str, str], *, epoch_s: float) -> Sequence[Quota]:
        """What the rate-limit headers say; epoch_s turns reset dates into seconds.

        Anthropic's compatible endpoint sends its own headers with this format.
        """
        return quota.quotas(headers) or anthropic_quota.quotas(headers, epoch_s=epoch_s)

    def account(self, headers: Mapping[str, str]) -> str | None:
        """Whose budget a request drew on, where it is Anthropic's compatible endpoint that says."""
        return anthropic_quota.account(headers)

    def unstream(self, response: Response) -> Response | Failure:
        """The response a whole event stream stands for, as it would have been without streaming.

        Anything that is no successful stream comes back as it is.
        """
        return unstreamed(response, assembled)

    def stream_is_over(self, tail: bytes) -> bool:
        """Whether whole events at the end of a stream so far include the one that ends it."""
        return is_over(tail)


def _turns_sent(prompt: Prompt, request: Request) -> Sequence[Turn]:
    """System text and turns as this format writes them.

    Raises:
        InvalidRow: There is nothing to ask, or a block has no counterpart here.
    """
    system, turns = conversation(prompt, default_system=request.system, roles=_ROLES)
    sent = [] if system is None else [_system_turn(system)]
    for place, turn in enumerate(turns):
        content = turn.get("content")
        if type(content) is not str:
            changed = for_openai(content, f"messages[{place}]")
            if changed is not content:
                turn = {**turn, "content": changed}  # noqa: PLW2901 - the same turn, rewritten
        sent.append(turn)
    return sent


def _system_turn(system: System) -> Turn:
    # As one text: servers that fill a chat template know no system blocks.
    return {"role": "system", "content": plain_text(system, "the system text")}


def _judged(
    body: dict[str, Any], choice: dict[str, Any], response: Response, strict: bytes | None
) -> Reply | Failure:
    if isinstance(choice.get("error"), dict):  # OpenRouter, when the answer broke off
        return failure_of(response, failures.TABLE, error=choice["error"])
    message, model = choice["message"], body.get("model")
    content, refusal = message.get("content"), text_of(message.get("refusal"))
    finish = choice.get("finish_reason")
    reply = Reply(
        text=content if type(content) is str else _text_of_parts(content) or refusal or "",
        stop_reason=finish if isinstance(finish, str) else None,
        model=model if isinstance(model, str) else "",
        usage=_usage(body.get("usage")),
        request_id=request_id_of(response.headers, body),
        json=strict,
    )
    if refusal is not None:
        return kept(reply, REFUSAL, status=response.status)
    used_tool = bool(message.get("tool_calls") or message.get("function_call"))
    return judged(reply, _STOPS, used_tool=used_tool, status=response.status)


def _text_of_parts(content: object) -> str:
    """Text of a content that some servers write as a list of parts."""
    parts = content if isinstance(content, list) else ()
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _usage(told: object) -> Usage:
    """Tokens, with what came from and went to the cache taken out of the prompt's."""
    if not isinstance(told, dict):
        return Usage()
    prompt, details = count_of(told.get("prompt_tokens")), told.get("prompt_tokens_details")
    read = write = 0
    if isinstance(details, dict):
        read = min(prompt, count_of(details.get("cached_tokens")))
        write = min(prompt - read, count_of(details.get("cache_write_tokens")))
    return Usage(
        input_tokens=prompt - read - write,
        output_tokens=count_of(told.get("completion_tokens")),
        cache_read_tokens=read,
        cache_write_tokens=write,
    )
