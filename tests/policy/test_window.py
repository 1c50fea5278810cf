"""When a key may be used: over midnight, over clock changes, on anybody's clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.window import closes_in_s, opens_in_s, parse

HOUR = 3600.0
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [BERLIN, UTC, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata"),
         ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Pacific/Apia")]  # fmt: skip


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at", "opens_in_h"),
    [
        ("09:00-17:00", "2026-11-22T08:59", 1 / 60),
        ("09:00-17:00", "2026-11-22T09:00", 0),
        ("9:00-17:00", "2026-11-22T16:59", 0),
        ("09:00-17:00", "2026-11-22T17:00", 16),
        ("22:00-06:00", "2026-11-22T21:00", 1),
        ("22:00-06:00", "2026-11-22T23:59", 0),
        ("22:00-06:00", "2026-11-23T05:59", 0),
        ("22:00-06:00", "2026-11-23T06:00", 16),
        ("18:00-24:00", "2026-11-22T23:59", 0),
        ("18:00-24:00", "2026-11-23T00:00", 18),
        ("00:00-06:00", "2026-11-22T23:00", 1),
    ],
)
def test_a_window_opens_and_closes_on_the_minute(text: str, at: str, opens_in_h: float) -> None:
    window = parse(text, UTC)

    assert opens_in_s(window, utc(at)) == pytest.approx(opens_in_h * HOUR)
    assert (closes_in_s(window, utc(at)) > 0) == (opens_in_h == 0)


def test_it_is_read_on_the_clock_of_its_zone() -> None:
    window = parse("22:00-06:00", BERLIN)

    assert opens_in_s(window, utc("2026-07-01T19:30")) == 0.5 * HOUR  # 21:30 in summer
    assert opens_in_s(window, utc("2026-12-01T20:30")) == 0.5 * HOUR  # 21:30 in winter


def test_without_a_zone_it_is_read_on_this_machines_clock(monkeypatch) -> None:
    window = parse("22:00-06:00")
    local = datetime(2026, 7, 1, 21, 30).astimezone()

    assert opens_in_s(window, local.astimezone(UTC)) == 0.5 * HOUR


def test_a_night_is_an_hour_longer_when_clocks_are_set_back() -> None:
    # Berlin, 2026-10-25: 03:00 becomes 02:00.
    window = parse("22:00-06:00", BERLIN)

    assert closes_in_s(window, utc("2026-10-24T20:00")) == 9 * HOUR


def test_a_night_is_an_hour_shorter_when_clocks_are_set_forward() -> None:
    # Berlin, 2026-03-29: 02:00 becomes 03:00.
    window = parse("22:00-06:00", BERLIN)

    assert closes_in_s(window, utc("2026-03-28T21:00")) == 7 * HOUR


def test_a_time_that_occurs_twice_means_the_first() -> None:
    window = parse("02:30-04:00", BERLIN)

    assert opens_in_s(window, utc("2026-10-25T00:00")) == 0.5 * HOUR  # 02:30 summer time
    assert closes_in_s(window, utc("2026-10-25T00:30")) == 2.5 * HOUR


def test_a_time_that_is_skipped_comes_as_late_as_the_clock_jumped() -> None:
    window = parse("02:30-05:00", BERLIN)

    assert opens_in_s(window, utc("2026-03-29T01:00")) == 0.5 * HOUR  # 03:30 summer time


def test_a_window_that_a_clock_change_swallows_opens_the_day_after() -> None:
    window = parse("02:30-03:15", BERLIN)

    assert opens_in_s(window, utc("2026-03-29T00:59")) == pytest.approx(
        (utc("2026-03-30T00:30") - utc("2026-03-29T00:59")).total_seconds()
    )


@pytest.mark.parametrize("text", ["", "22-06", "22:00", "24:00-06:00", "22:60-06:00", "a-b"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="22:00-06:00"):
        parse(text)


clock_times = st.builds(
    "{:02d}:{:02d}".format,
    st.integers(0, 23),
    st.integers(0, 59),
)
moments = st.datetimes(
    datetime(2011, 12, 1), datetime(2032, 1, 1), timezones=st.just(UTC)  # noqa: DTZ001
)  # fmt: skip


@given(start=clock_times, end=clock_times, zone=st.sampled_from(ZONES), wall=moments)
def test_it_is_open_exactly_when_it_says(start: str, end: str, zone, wall: datetime) -> None:
    if start == end:
        return
    window = parse(f"{start}-{end}", zone)
    wait_s, stays_s = opens_in_s(window, wall), closes_in_s(window, wall)

    assert (wait_s == 0.0) == (stays_s > 0.0)
    assert wait_s < 3 * 24 * HOUR
    if wait_s:
        opening = wall + timedelta(seconds=wait_s)
        assert opens_in_s(window, opening) == 0.0
        assert opens_in_s(window, opening - timedelta(milliseconds=1)) > 0.0
    else:
        assert closes_in_s(window, wall + timedelta(seconds=stays_s)) == 0.0
