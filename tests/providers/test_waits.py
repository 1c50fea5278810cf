"""Waiting times, however a server writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.providers.waits import duration_s, retry_after_s, told_in_words_s

DATE = "Sun, 22 Nov 2026 09:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "86400"}, 86_400.0),
        ({"retry-after-ms": "340", "retry-after": "1"}, 0.34),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1.0),
        ({"retry-after": "Sun, 22 Nov 2026 09:01:30 GMT", "date": DATE}, 90.0),
        ({"retry-after": "Sun, 22 Nov 2026 08:00:00 GMT", "date": DATE}, 0.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Sun, 99 Nov 2026 09:00:00 GMT", "date": DATE}, None),
        ({"retry-after": DATE, "date": "today"}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_s(headers) == seconds


def test_a_date_is_taken_against_the_clock_when_the_server_names_none() -> None:
    """The server's own date is better where there is one: a clock set wrong does no harm."""
    assert retry_after_s({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}) == 0.0
    assert (retry_after_s({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}) or 0) > 1e9


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12ms", 0.012),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("1h2m3s", 3723.0),
        ("1m30.5s", 90.5),
        ("250µs", 0.00025),
        ("5", 5.0),
        ("0", 0.0),
        ("", None),
        ("s", None),
        ("6m0", None),
        ("soon", None),
        ("-1s", None),
        ("1" * 10_000, None),
    ],
)
def test_written_durations_are_read(text: str, seconds: float | None) -> None:
    assert duration_s(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please try again in 20s. Visit ...", 20.0),
        ("Please try again in 6m0s.", 360.0),
        ("Please try again in 7m12.5s.", 432.5),
        ("Please try again in 728ms.", 0.728),
        ("Please retry after 20 seconds.", 20.0),
        ("Try again in 5 minutes", 300.0),
        ("try again in 2", 2.0),
        ("try again in 1.2.3s", None),
        ("try again later", None),
        ("", None),
    ],
)
def test_a_wait_named_in_words_is_read(message: str, seconds: float | None) -> None:
    assert told_in_words_s(message) == seconds


@given(st.text(max_size=80) | st.from_regex(r"[0-9.hmsnuµ]{1,40}"))
def test_any_text_is_a_sensible_wait_or_none(text: str) -> None:
    for seconds in (
        duration_s(text),
        told_in_words_s(f"try again in {text}"),
        retry_after_s({"retry-after": text, "date": DATE}),
        retry_after_s({"retry-after": DATE, "date": text}),
    ):
        assert seconds is None or 0 <= seconds < float("inf")
