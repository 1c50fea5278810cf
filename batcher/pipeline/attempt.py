"""One try of a call, from bytes to bytes: send under a deadline, decode, classify."""

from batcher import clock
from batcher.ports import Provider, Transport
from batcher.records import (
    Call,
    Failure,
    FailureKind,
    Feedback,
    KeyRef,
    Reply,
    Response,
    Signal,
    record,
)

_SIGNALS = {
    FailureKind.RATE: Signal.RATE,
    FailureKind.RAMP: Signal.RAMP,
    FailureKind.OVERLOADED: Signal.OVERLOADED,
    # Answers that are no results were admitted and paid for like any other.
    FailureKind.TRUNCATED: Signal.OK,
    FailureKind.REFUSED: Signal.OK,
    FailureKind.PAUSED: Signal.OK,
    FailureKind.EMPTY: Signal.OK,
}


@record
class Exchange:
    """What one try brought.

    Attributes:
        body: The provider's bytes, when a response came.
        sent_at: UTC stamp of sending.
    """

    result: Reply | Failure
    body: bytes | None
    feedback: Feedback
    sent_at: str
    latency_s: float


async def attempt(
    call: Call, key: KeyRef, *, transport: Transport, provider: Provider, deadline_s: float
) -> Exchange:
    """Send a call once; everything a server or network can do comes back as a value."""
    sent_at = clock.stamp()
    began_s = clock.now()
    response = await transport.send(call.wire, key, deadline_s=deadline_s)
    latency_s = clock.now() - began_s
    if isinstance(response, Response) and call.wire.stream:
        response = provider.unstream(response)
    if isinstance(response, Failure):
        return Exchange(
            result=response,
            body=None,
            feedback=Feedback(signal=Signal.NEUTRAL, latency_s=latency_s),
            sent_at=sent_at,
            latency_s=latency_s,
        )
    result = provider.decode(response)
    quotas = provider.quotas(response.headers, epoch_s=clock.epoch())
    if isinstance(result, Reply):
        feedback = Feedback(
            signal=Signal.OK, latency_s=latency_s, usage=result.usage, quotas=quotas
        )
    else:
        feedback = Feedback(
            signal=_SIGNALS.get(result.kind, Signal.NEUTRAL),
            latency_s=latency_s,
            usage=result.reply.usage if result.reply else None,
            quotas=quotas,
            retry_after_s=result.retry_after_s,
            limit_hint=result.limit_hint,
        )
    return Exchange(
        result=result,
        body=response.body,
        feedback=feedback,
        sent_at=sent_at,
        latency_s=latency_s,
    )
