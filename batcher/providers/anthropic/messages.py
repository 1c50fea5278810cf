"""Anthropic's Messages API: prompts to bytes, responses to replies. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any

from batcher.errors import InvalidRow
from batcher.job import Request
from batcher.providers.answers import (
    REFUSAL,
    TRUNCATED_BY_CONTEXT,
    TRUNCATED_BY_TOKENS,
    Stop,
    judged,
)
from batcher.providers.anthropic import failures, quota
from batcher.providers.anthropic.sampling import (
    NEWEST_VERSION,
    OLD_VERSION,
    default_version,
    generation,
    refused,
)
from batcher.providers.anthropic.stream import assembled, is_over
from batcher.providers.blocks import for_anthropic
from batcher.providers.body import Pattern, add_extra, base_headers, job_problems, settled, wire
from batcher.providers.faults import failure_of
from batcher.providers.sse import is_stream, unstreamed
from batcher.providers.turns import Turn, conversation, is_plain
from batcher.providers.wire import count_of, one_line, read_body, request_id_of, text_of
from batcher.records import Failure, FailureKind, Prompt, Quota, Reply, Response, Usage, Wire

STREAM_ABOVE_TOKENS = 21_333
"""Longer answers may take over ten minutes; the vendor's SDKs refuse them unless streamed."""

_PATH = "/v1/messages"
# Some models take `system` between turns as well; the server knows which.
_ROLES = ("user", "assistant", "system")
_HEADERS = {
    version: base_headers(anthropic_version=version) for version in (NEWEST_VERSION, OLD_VERSION)
}
_STOPS: Mapping[str, Stop] = {
    "max_tokens": TRUNCATED_BY_TOKENS,
    "length": TRUNCATED_BY_TOKENS,
    "model_context_window_exceeded": TRUNCATED_BY_CONTEXT,
    "refusal": REFUSAL,
    "pause_turn": Stop(FailureKind.PAUSED, "the server's tool loop stopped half way"),
}


class Messages:
    """The `anthropic` wire format."""

    name = "anthropic"

    def __init__(self) -> None:
        self._pattern = Pattern()

    def encode(self, prompt: Prompt, request: Request) -> Wire:
        """Wire form of a prompt under a row's effective settings.

        Above 21,333 tokens the answer is streamed whatever the settings say.

        Raises:
            InvalidRow: The row asks for something this format or the model refuses.
        """
        if is_plain(prompt) and not request.extra:
            return self._pattern.wire(prompt, request, self._encoded)
        return self._encoded(prompt, request)

    def _encoded(self, prompt: Prompt, request: Request) -> Wire:
        settled(request)
        system, turns = conversation(prompt, default_system=request.system, roles=_ROLES)
        body: dict[str, Any] = {
            "model": request.model,
            "max_tokens": request.max_tokens,
            "messages": _turns_sent(turns),
        }
        if system is not None:
            body["system"] = system
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
        if request.top_k is not None:
            body["top_k"] = request.top_k
        if request.stop:
            body["stop_sequences"] = request.stop
        if request.extra or prompt.extra:
            add_extra(body, prompt, request)
        stream = request.stream or request.max_tokens > STREAM_ABOVE_TOKENS
        if stream:
            body["stream"] = True
        version = _checked_version(body, request)
        headers = _HEADERS.get(version) or base_headers(anthropic_version=version)
        return wire(_PATH, headers, body, request, stream=stream)

    def check(self, request: Request) -> list[str]:
        """What this format or the model would refuse of a job's settings: field and fix each."""
        problems = list(job_problems(request))
        sampled = _sampled(request)
        version = request.api_version or default_version(request.model, sampled=sampled)
        problems += (
            f"request.{each.setting}: {each.message}; {each.hint}"
            for each in refused(
                model=request.model,
                version=version,
                temperature=request.temperature,
                top_p=request.top_p,
                top_k=request.top_k,
            )
        )
        rule = generation(request.model)
        if rule and rule.max_output and request.max_tokens > rule.max_output:
            problems.append(
                f"request.max_tokens: {request.model} gives at most {rule.max_output}, "
                f"not {request.max_tokens}; lower it"
            )
        return problems

    def decode(self, response: Response) -> Reply | Failure:
        """Meaning of a response; never raises for what a server sends."""
        if 200 <= response.status < 300:
            body, strict = read_body(response.body)
            if isinstance(body, dict):
                content = body.get("content")
                if isinstance(content, list) and body.get("type") != "error":
                    return _judged(body, content, response, strict)
            elif is_stream(response):  # not asked for, and paid for all the same
                whole = self.unstream(response)
                return whole if isinstance(whole, Failure) else self.decode(whole)
        return failure_of(response, failures.TABLE)

    def quotas(self, headers: Mapping[str, str], *, epoch_s: float) -> Sequence[Quota]:
        """What the rate-limit headers say; epoch_s turns reset dates into seconds."""
        return quota.quotas(headers, epoch_s=epoch_s)

    def account(self, headers: Mapping[str, str]) -> str | None:
        """Organisation and workspace whose budget was drawn on; None when not both are said."""
        return quota.account(headers)

    def unstream(self, response: Response) -> Response | Failure:
        """The response a whole event stream stands for, as it would have been without streaming.

        Anything that is no successful stream comes back as it is.
        """
        return unstreamed(response, assembled)

    def stream_is_over(self, tail: bytes) -> bool:
        """Whether whole events at the end of a stream so far include the one that ends it."""
        return is_over(tail)


def _turns_sent(turns: Sequence[Turn]) -> Sequence[Turn]:
    """The turns with blocks of the other chat format converted; the same object if there are none.

    Raises:
        InvalidRow: A turn has no counterpart in this format.
    """
    changed: list[Turn] | None = None
    for place, turn in enumerate(turns):
        content = turn.get("content")
        if len(turn) > 2 and ("tool_calls" in turn or "function_call" in turn):
            raise InvalidRow(
                f"messages[{place}] has OpenAI's tool calls",
                hint="write them as tool_use blocks, their results as tool_result blocks",
            )
        if type(content) is str:
            continue
        sent = for_anthropic(content, f"messages[{place}]")
        if sent is not content:
            changed = changed if changed is not None else list(turns)
            changed[place] = {**turn, "content": sent}
    return turns if changed is None else changed


def _sampled(request: Request) -> bool:
    return not (request.temperature is None and request.top_p is None and request.top_k is None)


def _checked_version(body: dict[str, Any], request: Request) -> str:
    """The API version to ask under, after checking that it and the model take what is asked.

    Looks at the finished body, so that extra fields are held to the same rules.

    Raises:
        InvalidRow: They would refuse it.
    """
    model = request.model
    sampled = "temperature" in body or "top_p" in body or "top_k" in body
    version = request.api_version or default_version(model, sampled=sampled)
    if sampled:
        for problem in refused(
            model=model,
            version=version,
            temperature=body.get("temperature"),
            top_p=body.get("top_p"),
            top_k=body.get("top_k"),
        ):
            raise InvalidRow(problem.message, hint=problem.hint)
    rule = generation(model)
    if rule is not None:
        most, asked = rule.max_output, body["max_tokens"]
        if most is not None and type(asked) is int and asked > most:
            raise InvalidRow(
                f"{model} gives at most {most} tokens, max_tokens is {asked}", hint="lower it"
            )
        if not rule.prefill and body["messages"][-1].get("role") == "assistant":
            raise InvalidRow(
                f"{model} does not continue an assistant turn, and the last turn is one",
                hint="end with a user turn; say there how the answer should begin",
            )
    return version


def _judged(
    body: dict[str, Any], content: list[Any], response: Response, strict: bytes | None
) -> Reply | Failure:
    text, used_tool = "", False
    for block in content:
        if isinstance(block, dict):
            kind = block.get("type")
            if kind == "text":
                piece = block.get("text")
                if isinstance(piece, str):
                    text = text + piece if text else piece
            elif kind == "tool_use":
                used_tool = True
    stop_reason, model = body.get("stop_reason"), body.get("model")
    reply = Reply(
        text=text,
        stop_reason=stop_reason if isinstance(stop_reason, str) else None,
        model=model if isinstance(model, str) else "",
        usage=_usage(body.get("usage")),
        request_id=request_id_of(response.headers, body),
        json=strict,
    )
    detail = _why_refused(body) if stop_reason == "refusal" else ""
    return judged(reply, _STOPS, used_tool=used_tool, status=response.status, detail=detail)


def _usage(told: object) -> Usage:
    if not isinstance(told, dict):
        return Usage()
    get = told.get
    return Usage(
        input_tokens=count_of(get("input_tokens")),
        output_tokens=count_of(get("output_tokens")),
        cache_read_tokens=count_of(read) if (read := get("cache_read_input_tokens")) else 0,
        cache_write_tokens=count_of(new) if (new := get("cache_creation_input_tokens")) else 0,
    )


def _why_refused(body: dict[str, Any]) -> str:
    details = body.get("stop_details")
    if not isinstance(details, dict):
        return ""
    told = (text_of(details.get("category")), text_of(details.get("explanation")))
    return one_line(", ".join(each for each in told if each), 300)
