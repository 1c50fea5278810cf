import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.job import Patience
from batcher.policy.backoff import busy_delay_s, delay_s


@pytest.mark.parametrize(
    ("failures", "longest_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0), (60, 8.0)]
)
def test_exponential_delay_doubles_up_to_its_ceiling(failures: int, longest_s: float) -> None:
    assert longest_s == delay_s(Patience(), failures=failures, random=1.0)


@pytest.mark.parametrize(("failures", "longest_s"), [(1, 0.5), (2, 1.0), (3, 1.5), (100, 8.0)])
def test_linear_delay_grows_by_one_base_a_failure(failures: int, longest_s: float) -> None:
    assert longest_s == delay_s(Patience(backoff="linear"), failures=failures, random=1.0)


@given(failures=st.integers(1, 10_000), random=st.floats(0, 1, exclude_max=True))
def test_jitter_spreads_the_delay_over_its_whole_range(failures: int, random: float) -> None:
    patience = Patience()
    whole = delay_s(patience, failures=failures, random=1.0)

    assert delay_s(patience, failures=failures, random=random) == whole * random
    assert 0 <= busy_delay_s(refusals=failures, random=random) <= patience.backoff_max_s
