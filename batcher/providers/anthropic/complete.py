"""Anthropic's legacy Text Completions (/v1/complete): one prompt text, one completion.

No model the vendor sells today answers here; gateways and older mock servers do.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from batcher.errors import InvalidRow
from batcher.job import Request
from batcher.providers.answers import REFUSAL, TRUNCATED_BY_TOKENS, Stop, judged
from batcher.providers.anthropic import failures, quota
from batcher.providers.anthropic.sampling import OLD_VERSION, Problem, refused
from batcher.providers.body import add_extra, base_headers, job_problems, settled, wire
from batcher.providers.faults import failure_of, fault_in, told_status
from batcher.providers.sse import (
    Assembled,
    Happening,
    is_stream,
    read_event,
    unstreamed,
    whole_events,
)
from batcher.providers.turns import conversation, dialogue_of, plain_text
from batcher.providers.wire import read_body, request_id_of
from batcher.records import Failure, Prompt, Quota, Reply, Response, Usage, Wire

_PATH = "/v1/complete"
_ROLES = ("user", "assistant")
_HEADERS = base_headers(anthropic_version=OLD_VERSION)
_STOPS: Mapping[str, Stop] = {"max_tokens": TRUNCATED_BY_TOKENS, "refusal": REFUSAL}


class Complete:
    """The `anthropic-complete` wire format."""

    name = "anthropic-complete"

    def encode(self, prompt: Prompt, request: Request) -> Wire:
        """Wire form of a prompt under a row's effective settings.

        A text that already begins with a Human part is sent as it stands; other turns are
        written as such parts, the system text before them.

        Raises:
            InvalidRow: The row asks for something this format or the model refuses.
        """
        settled(request)
        problem = next(iter(_sampling_problems(request)), None)
        if problem is not None:
            raise InvalidRow(problem.message, hint=problem.hint)
        body: dict[str, Any] = {
            "model": request.model,
            "prompt": _prompt_text(prompt, request),
            "max_tokens_to_sample": request.max_tokens,
        }
        for name in ("temperature", "top_p", "top_k"):
            value = getattr(request, name)
            if value is not None:
                body[name] = value
        if request.stop:
            body["stop_sequences"] = request.stop
        if request.extra or prompt.extra:
            add_extra(body, prompt, request)
        if request.stream:
            body["stream"] = True
        version = request.api_version
        headers = _HEADERS if version is None else base_headers(anthropic_version=version)
        return wire(_PATH, headers, body, request, stream=request.stream)

    def check(self, request: Request) -> list[str]:
        """What this format or the model would refuse of a job's settings: field and fix each."""
        return [
            *job_problems(request),
            *(f"request.{p.setting}: {p.message}; {p.hint}" for p in _sampling_problems(request)),
        ]

    def decode(self, response: Response) -> Reply | Failure:
        """Meaning of a response; never raises for what a server sends.

        The one space a completion begins with belongs to the format and is left out of the text.
        """
        if 200 <= response.status < 300:
            body, strict = read_body(response.body)
            if isinstance(body, dict):
                text = body.get("completion")
                if isinstance(text, str):
                    return _judged(body, text, response, strict)
            elif is_stream(response):  # not asked for, and paid for all the same
                whole = self.unstream(response)
                return whole if isinstance(whole, Failure) else self.decode(whole)
        return failure_of(response, failures.COMPLETE_TABLE)

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
        return unstreamed(response, _assembled)

    def stream_is_over(self, tail: bytes) -> bool:
        """Whether whole events at the end of a stream so far include the one that ends it."""
        found = ((event, read_event(event.data)) for event in whole_events(tail))
        return any(
            data is not None and (_is_error(event, data) or _is_last(data)) for event, data in found
        )


def _prompt_text(prompt: Prompt, request: Request) -> str:
    if len(prompt.messages) == 1:
        content = prompt.messages[0].get("content")
        if isinstance(content, str) and content.startswith("\n\nHuman:"):
            # As it stands: taking it apart would lose what its writer put between the parts.
            system = plain_text(prompt.system or request.system, "system")
            return f"{system}{content}"
    system_text, turns = conversation(prompt, default_system=request.system, roles=_ROLES)
    return dialogue_of(turns, plain_text(system_text, "system"))


def _sampling_problems(request: Request) -> Iterable[Problem]:
    return refused(
        model=request.model,
        version=request.api_version or OLD_VERSION,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
    )


def _stop_of(body: Mapping[str, Any]) -> str | None:
    stop = body.get("stop_reason")
    return stop if isinstance(stop, str) else None


def _judged(
    body: dict[str, Any], text: str, response: Response, strict: bytes | None
) -> Reply | Failure:
    model = body.get("model")
    reply = Reply(
        text=text.removeprefix(" "),
        stop_reason=_stop_of(body),
        model=model if isinstance(model, str) else "",
        usage=Usage(),
        request_id=request_id_of(response.headers, body),
        json=strict,
    )
    return judged(reply, _STOPS, used_tool=False, status=response.status)


def _is_error(event: Happening, data: dict[str, Any]) -> bool:
    return event.name == "error" or data.get("type") == "error" or "error" in data


def _is_last(data: dict[str, Any]) -> bool:
    return isinstance(data.get("completion"), str) and _stop_of(data) is not None


def _assembled(events: Iterable[Happening]) -> Assembled:
    """The completion the events of one stream make; the one that names a stop reason is its end."""
    fields: dict[str, Any] = {}
    texts: list[str] = []
    ended = garbled = False
    for event in events:
        data = read_event(event.data)
        if data is None:
            garbled = True
            continue
        if _is_error(event, data):
            status = told_status(fault_in(data), failures.TABLE) or 500
            return Assembled(body={}, ended=True, error=(data, status))
        text = data.get("completion")
        if not isinstance(text, str):
            continue
        texts.append(text)
        fields.update(data)
        ended = ended or _is_last(data)
    return Assembled(body={**fields, "completion": "".join(texts)}, ended=ended, garbled=garbled)
