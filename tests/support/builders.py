"""Small records for tests, with everything but the interesting part filled in."""

from batcher.records import (
    Call,
    Failure,
    FailureKind,
    Fingerprint,
    Reply,
    RowId,
    Usage,
    Wire,
)


def a_wire(body: bytes = b"{}") -> Wire:
    return Wire(path="/v1/messages", headers={}, body=body)


def a_call(line: int = 1, *, body: bytes = b"{}", max_tokens: int = 100) -> Call:
    return Call(
        id=RowId(f"row-{line}"),
        line=line,
        fingerprint=Fingerprint(f"{line:032x}"),
        model="model-a",
        wire=a_wire(body),
        input_chars=40,
        max_tokens=max_tokens,
    )


def a_reply(text: str = "hello") -> Reply:
    return Reply(
        text=text,
        stop_reason="end_turn",
        model="model-a",
        usage=Usage(input_tokens=10, output_tokens=5),
        request_id="req_1",
    )


def a_failure(
    kind: FailureKind, *, status: int | None = None, message: str = "it failed"
) -> Failure:
    return Failure(kind=kind, message=message, status=status)
