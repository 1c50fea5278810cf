"""What became of an answer that was paid for: a Reply, or the Failure that keeps it."""

from collections.abc import Mapping
from typing import NamedTuple

from batcher.records import Failure, FailureKind, Reply


class Stop(NamedTuple):
    """Why an answer that ended so is no result."""

    kind: FailureKind
    message: str


TRUNCATED_BY_TOKENS = Stop(FailureKind.TRUNCATED, "the answer was cut off at max_tokens")
TRUNCATED_BY_CONTEXT = Stop(
    FailureKind.TRUNCATED, "the answer was cut off where the model's context window ends"
)
REFUSAL = Stop(FailureKind.REFUSED, "the model refused to answer")
FILTERED = Stop(FailureKind.REFUSED, "a content filter stopped the answer")
_EMPTY = Stop(FailureKind.EMPTY, "the answer holds no text")


def judged(
    reply: Reply, stops: Mapping[str, Stop], *, used_tool: bool, status: int, detail: str = ""
) -> Reply | Failure:
    """The reply when it is usable, else a failure that carries it.

    Args:
        reply: Decoded answer.
        stops: The format's stop reasons that make an answer no result.
        used_tool: It asks for a tool call, so it may be without text.
        status: HTTP status it came with.
        detail: What the provider says about a stop, appended to the message.
    """
    stop = stops.get(reply.stop_reason) if reply.stop_reason is not None else None
    if stop is None:
        if used_tool or (reply.text and not reply.text.isspace()):
            return reply
        stop = _EMPTY
    return kept(reply, stop, status=status, detail=detail)


def kept(reply: Reply, stop: Stop, *, status: int, detail: str = "") -> Failure:
    """The failure of an answer that was paid for all the same."""
    return Failure(
        kind=stop.kind,
        message=f"{stop.message}: {detail}" if detail else stop.message,
        status=status,
        error_type=reply.stop_reason,
        reply=reply,
        request_id=reply.request_id,
    )
