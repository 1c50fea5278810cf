"""How an answer goes over the wire: whole, as a stream, or damaged by a fault."""

from batcher.simulator.dialects import Dialect
from batcher.simulator.exchange import Answer, Ask, Ending, Plan
from batcher.simulator.faults import OUTCOMES, FaultKind
from batcher.simulator.http import EVENTS, JSON, LAST_CHUNK, chunk, chunked_head, whole

_SHAPES = (b"[]", b"{}", b"null")
_TORN = {
    FaultKind.RESET_BODY: Ending.RESET,
    FaultKind.CUT_BODY: Ending.CLOSE,
    FaultKind.STREAM_CUT: Ending.CLOSE,
}


def deliver(
    dialect: Dialect,
    ask: Ask,
    answer: Answer,
    *,
    lines: bytes,
    fault: FaultKind | None,
    digest: str,
) -> Plan:
    """The plan that sends this answer under this fault; latency and admission are the caller's.

    None and the members of faults.OUTCOMES send it whole. A plain response meets the two stream
    faults as the nearest thing it has: an error object with status 200, and a body cut short.
    """
    if fault is None or fault in OUTCOMES:
        sent = _stream(dialect, answer, lines) if ask.stream else None
        pieces = sent or [whole(200, dialect.answer(answer), lines=lines)]
        return Plan(status=200, pieces=pieces, answers=fault is None)
    if (plan := _bodiless(ask, dialect, lines, fault, digest)) is not None:
        return plan
    spoil = _spoil_stream if ask.stream else _spoil_body
    return spoil(dialect, answer, lines, fault)


def _stream(dialect: Dialect, answer: Answer, lines: bytes) -> list[bytes]:
    sent = [chunk(event) for event in dialect.events(answer)]
    sent[0] = chunked_head(200, lines=lines) + sent[0]
    sent[-1] += LAST_CHUNK
    return sent


def _bodiless(
    ask: Ask, dialect: Dialect, lines: bytes, fault: FaultKind, digest: str
) -> Plan | None:
    """Faults whose bytes have nothing of the answer."""
    kind = EVENTS if ask.stream else JSON
    match fault:
        case FaultKind.HANG:
            return Plan(status=0, pieces=(), ending=Ending.HANG)
        case FaultKind.SLOW_LORIS:
            head = chunked_head(200, lines=lines, kind=kind)
            return Plan(status=200, pieces=(head,), ending=Ending.DRIP)
        case FaultKind.EMPTY_BODY:
            return Plan(status=200, pieces=(whole(200, b"", lines=lines, kind=kind),))
        case FaultKind.ERROR_200:
            return Plan(status=200, pieces=(whole(200, dialect.error_200(), lines=lines),))
        case FaultKind.WRONG_SHAPE:
            shape = _SHAPES[int(digest, 16) % len(_SHAPES)]
            return Plan(status=200, pieces=(whole(200, shape, lines=lines),))
        case _:
            return None


def _spoil_body(dialect: Dialect, answer: Answer, lines: bytes, fault: FaultKind) -> Plan:
    body = dialect.answer(answer)
    half = len(body) // 2
    if fault in _TORN:
        sent = whole(200, body, lines=lines)
        return Plan(status=200, pieces=(sent[:-half],), ending=_TORN[fault])
    if fault is FaultKind.CUT_JSON:
        body = body[:half]
    elif fault is FaultKind.INVALID_UTF8:
        body = _no_utf8(body)
    else:  # STREAM_ERROR
        body = dialect.error_200()
    return Plan(status=200, pieces=(whole(200, body, lines=lines),))


def _spoil_stream(dialect: Dialect, answer: Answer, lines: bytes, fault: FaultKind) -> Plan:
    events = dialect.events(answer)
    head = chunked_head(200, lines=lines)
    half = len(events) // 2
    ending = Ending.KEEP
    if fault is FaultKind.STREAM_CUT:
        data = b"".join(events[:half])
    elif fault in _TORN:
        ending = _TORN[fault]
        data = b"".join(events[:half]) + events[half][: len(events[half]) // 2]
    elif fault is FaultKind.CUT_JSON:
        broken = events[half][: -len(events[half]) // 4]
        data = b"".join(events[:half]) + broken + b"\n\n"
    elif fault is FaultKind.STREAM_ERROR:
        error = dialect.error_event(dialect.trouble(FaultKind.OVERLOADED))
        data = b"".join(events[:half]) + error
    else:
        data = _no_utf8(b"".join(events))
    sent = head + chunk(data) + (LAST_CHUNK if ending is Ending.KEEP else b"")
    return Plan(status=200, pieces=(sent,), ending=ending)


def _no_utf8(body: bytes) -> bytes:
    """The body with two bytes in it that no UTF-8 has; inside the text where that is the usual."""
    at = body.find(b"Answer") + 3
    if at < 3:
        at = len(body) // 2
    return body[:at] + b"\xff\xfe" + body[at:]
