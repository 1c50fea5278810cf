"""Asking again for an answer that was cut short: the same request with room for twice as much."""

from dataclasses import replace

import orjson

from batcher.records import Call

_FIELDS = ("max_tokens", "max_completion_tokens", "max_tokens_to_sample")


def grown(call: Call, *, most: int) -> Call | None:
    """The call with its output ceiling doubled, at most to `most`; None when it is there already.

    Never the identical request: that would be cut at the same place. The fingerprint stays the
    row's own, because the question is the same.

    Args:
        call: What was cut short.
        most: Ceiling of max_tokens.
    """
    if call.max_tokens >= most:
        return None
    max_tokens = min(2 * call.max_tokens, most)
    body = orjson.loads(call.wire.body)
    for name in _FIELDS:
        if name in body:
            body[name] = max_tokens
    wire = replace(call.wire, body=orjson.dumps(body))
    return replace(call, wire=wire, max_tokens=max_tokens)
