from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from batcher.job import Patience
from batcher.policy.when import seconds_until

NOW = datetime(2026, 11, 22, 22, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("deadline", "seconds"),
    [
        ("06:00", 7.5 * 3600),
        ("22:30", 24 * 3600),
        ("23:00", 1800),
        ("22:30:30", 30),
        ("90m", 5400),
        ("7h30m", 27_000),
        ("1h 5m 3s", 3903),
        ("3600", 3600),
        ("0.5h", 1800),
    ],
)
def test_a_time_of_day_is_the_next_one_and_a_duration_counts_from_now(
    deadline: str, seconds: float
) -> None:
    assert seconds == seconds_until(deadline, now=NOW)


@pytest.mark.parametrize(
    "deadline", ["", "soon", "25:00", "06:60", "h", "-5m", "6 o'clock", "24:00", "6:61"]
)
def test_anything_else_is_refused_with_an_example(deadline: str) -> None:
    with pytest.raises(ValueError, match="06:00"):
        seconds_until(deadline, now=NOW)


@given(st.text("0123456789.:hms ", max_size=8))
@example("24:00")
@example("6:61")
@example("h")
@example(" 06:00 ")
@example("9" * 400 + "h")
def test_a_job_takes_exactly_the_deadlines_that_can_be_read(text: str) -> None:
    """What is found out when the run has begun cannot be mended any more."""
    try:
        seconds_until(text, now=NOW)
    except ValueError:
        with pytest.raises(ValidationError, match="write 06:00, or 90m"):
            Patience(deadline=text)
    else:
        assert Patience(deadline=text).deadline == text.strip()
