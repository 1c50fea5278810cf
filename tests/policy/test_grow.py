import orjson
import pytest

from batcher.policy.grow import grown
from tests.support.builders import a_call


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "max_tokens_to_sample"])
def test_the_ceiling_is_doubled_where_the_wire_format_keeps_it(field: str) -> None:
    call = a_call(body=orjson.dumps({"model": "m", field: 100}), max_tokens=100)

    longer = grown(call, most=1000)

    assert longer is not None
    assert longer.max_tokens == 200
    assert orjson.loads(longer.wire.body) == {"model": "m", field: 200}
    assert longer.fingerprint == call.fingerprint


def test_it_grows_no_further_than_allowed_and_never_asks_the_same_again() -> None:
    call = a_call(body=b'{"max_tokens":600}', max_tokens=600)
    longer = grown(call, most=1000)

    assert longer is not None
    assert longer.max_tokens == 1000
    assert grown(longer, most=1000) is None
