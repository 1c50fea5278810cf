"""Whatever a server sends, decoding raises nothing and says something sound."""

from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batcher.records import Response
from tests.providers.anthropic import test_complete, test_messages
from tests.providers.contract import Contract, check_understood, samples
from tests.providers.openai import test_chat

SUITES: list[type[Contract]] = [
    test_messages.TestMessages,
    test_complete.TestComplete,
    test_chat.TestChat,
]
SAMPLES = {suite: [each.values[0] for each in samples(suite.folder)] for suite in SUITES}
EVERY = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.provider.name)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["error", "text", "tool_use", "max_tokens", "stop", "429", "503"])
)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["error", "type", "code", "message", "content", "choices", "text", "usage"]
            )
            | st.text(max_size=8),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
header_values = st.sampled_from(
    ["0", "-1", "7", "1e999", "nan", "6m0s", "12ms", "2026-11-22T09:00:01Z", "false", "\udcff"]
) | st.text(max_size=30)
header_names = st.sampled_from(
    [
        "retry-after",
        "retry-after-ms",
        "date",
        "request-id",
        "x-request-id",
        "x-should-retry",
        "location",
        "content-type",
        *(
            f"anthropic-ratelimit-{unit}-{part}"
            for unit in ("requests", "input-tokens", "output-tokens", "tokens")
            for part in ("limit", "remaining", "reset")
        ),
        *(
            f"x-ratelimit-{part}-{unit}"
            for unit in ("requests", "tokens")
            for part in ("limit", "remaining", "reset")
        ),
    ]
)
headers = st.dictionaries(header_names, header_values, max_size=8)
statuses = st.sampled_from([200, 200, 200, 400, 401, 403, 429, 500, 503]) | st.integers(0, 999)


@st.composite
def altered(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one place in it replaced by something else, or removed."""
    whole = deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        for key, item in pairs:
            places.append((node, key))
            if isinstance(item, dict | list):
                walk(item)

    if not isinstance(whole, dict | list):
        return draw(json_values)
    walk(whole)
    if places:
        node, key = draw(st.sampled_from(range(len(places))).map(places.__getitem__))
        if draw(st.booleans()):
            node[key] = draw(json_values)
        else:
            del node[key]
    return whole


@EVERY
@given(status=statuses, headers=headers, body=st.binary(max_size=200))
def test_any_bytes_mean_something(
    suite: type[Contract], status: int, headers: dict[str, str], body: bytes
) -> None:
    check_understood(suite.provider, Response(status=status, headers=headers, body=body))


@EVERY
@given(status=statuses, headers=headers, body=json_values)
@example(status=0, headers={}, body=" ")
@example(status=500, headers={}, body={"error": {"message": "\n", "type": " "}})
def test_any_json_means_something(
    suite: type[Contract], status: int, headers: dict[str, str], body: object
) -> None:
    data = orjson.dumps(body)
    check_understood(suite.provider, Response(status=status, headers=headers, body=data))


@EVERY
@settings(max_examples=60)
@given(data=st.data(), status=statuses)
def test_a_body_of_almost_the_right_shape_means_something(
    suite: type[Contract], data: st.DataObject, status: int
) -> None:
    sample = data.draw(st.sampled_from(SAMPLES[suite]))
    body = sample.get("body", suite.answer)
    for _ in range(data.draw(st.integers(1, 3))):
        body = data.draw(altered(body))
    status = data.draw(st.sampled_from([200, sample["status"], status]))

    check_understood(
        suite.provider,
        Response(status=status, headers=sample["headers"], body=orjson.dumps(body)),
    )


@EVERY
@settings(max_examples=60)
@given(data=st.data())
def test_any_stream_of_odd_events_means_something(
    suite: type[Contract], data: st.DataObject
) -> None:
    events = list(suite.stream)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(events) - 1))
        name, mark, rest = events[place].partition(b"data: ")
        try:
            value = orjson.loads(rest)
        except orjson.JSONDecodeError:
            value = None
        odd = orjson.dumps(data.draw(altered(value)))
        what = data.draw(st.sampled_from(["alter", "drop", "twice", "cut"]))
        events[place : place + 1] = {
            "alter": [name + mark + odd + b"\n\n"],
            "drop": [b": dropped\n\n"],
            "twice": [events[place]] * 2,
            "cut": [events[place][: data.draw(st.integers(0, 60))] + b"\n\n"],
        }[what]

    check_understood(suite.provider, Contract.streaming(b"".join(events)))
