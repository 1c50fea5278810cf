"""One try of a call, from bytes to bytes: send under a deadline, decode, classify, mask.

Masked here and not later: what a failure says goes to logs, files, the screen and run.json.
"""

from collections.abc import Sequence
from dataclasses import replace

from batcher import clock
from batcher.ports import Provider, Transport
from batcher.records import (
    Call,
    Failure,
    FailureKind,
    Feedback,
    KeyRef,
    Quota,
    Reply,
    Response,
    Signal,
    record,
)
from batcher.secret import Redactor

# A member of an enum is found by running Python code (3.11), a name of this module is not.
_OK, _NEUTRAL = Signal.OK, Signal.NEUTRAL
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
        result: A failure's texts are without anything shaped like a key.
        body: The provider's bytes, when a response came; an answer's are as they came.
        sent_at: UTC stamp of sending.
    """

    result: Reply | Failure
    body: bytes | None
    feedback: Feedback
    sent_at: str
    latency_s: float


async def attempt(
    call: Call,
    key: KeyRef,
    *,
    transport: Transport,
    provider: Provider,
    redactor: Redactor,
    deadline_s: float,
) -> Exchange:
    """Send a call once; everything a server or network can do comes back as a value."""
    sent_at, sent_s = clock.stamp(), clock.now()
    response = await transport.send(call.wire, key, deadline_s=deadline_s)
    return understood(
        response,
        provider=provider,
        redactor=redactor,
        is_stream=call.wire.stream,
        sent_at=sent_at,
        latency_s=clock.now() - sent_s,
    )


def understood(
    response: Response | Failure,
    *,
    provider: Provider,
    redactor: Redactor,
    is_stream: bool,
    sent_at: str,
    latency_s: float,
) -> Exchange:
    """What came of one try, whatever a server or the network did."""
    if is_stream and isinstance(response, Response):
        response = provider.unstream(response)
    body: bytes | None = None
    if isinstance(response, Failure):
        result: Reply | Failure = _masked(response, redactor)
        feedback = Feedback(signal=_NEUTRAL, latency_s=latency_s)
    else:
        body, result = response.body, provider.decode(response)
        quotas = provider.quotas(response.headers, epoch_s=clock.epoch())
        account = provider.account(response.headers)
        if isinstance(result, Reply):
            feedback = Feedback(
                signal=_OK,
                latency_s=latency_s,
                usage=result.usage,
                quotas=quotas,
                account=account,
            )
        else:
            result = _masked(result, redactor)
            if result.reply is None:
                body = redactor.clean_all(body)
            feedback = _taught(result, quotas=quotas, account=account, latency_s=latency_s)
    return Exchange(
        result=result, body=body, feedback=feedback, sent_at=sent_at, latency_s=latency_s
    )


def _taught(
    failure: Failure, *, quotas: Sequence[Quota], account: str | None, latency_s: float
) -> Feedback:
    """What a response without a result says to the rate controller."""
    return Feedback(
        signal=_SIGNALS.get(failure.kind, _NEUTRAL),
        latency_s=latency_s,
        usage=failure.reply.usage if failure.reply else None,
        quotas=quotas,
        retry_after_s=failure.retry_after_s,
        limit_hint=failure.limit_hint,
        account=account,
    )


def _masked(failure: Failure, redactor: Redactor) -> Failure:
    """A failure whose texts can be shown; decoding may have brought a key to light."""
    return replace(
        failure,
        message=redactor.clean_text(failure.message),
        error_type=redactor.clean_known(failure.error_type),
        request_id=redactor.clean_known(failure.request_id),
    )
