"""Hours of the day in which a key may be used, and when the next ones begin.

A window is an interval between two instants, one a day. A civil time that occurs twice
(clocks set back) means its first occurrence; one that is skipped (clocks set forward) is
read with the offset from before the change, so that 02:30 becomes 03:30. A window that
begins on one day's evening ends on the next day's morning.

Source: RFC 5545, section 3.3.5, on local times that are ambiguous or do not exist.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from batcher.job import WINDOW
from batcher.records import record

_DAY = timedelta(days=1)
_DAYS_AHEAD = 3  # a clock change can swallow one day's window, never two in a row
_END_OF_DAY = "24:00"


@record
class Window:
    """From `start` to `end` on the clock of `zone` (None: this machine's), every day.

    Attributes:
        text: As the settings have it.
        end: Not after `start` when the window crosses midnight; midnight itself is 00:00.
    """

    text: str
    start: time
    end: time
    zone: tzinfo | None = None


def parse(text: str, zone: tzinfo | None = None) -> Window:
    """The window that a setting such as "22:00-06:00" means.

    Raises:
        ValueError: It is no window.
    """
    found = WINDOW.fullmatch(text)
    if found is None:
        raise ValueError(f"{text} is no window; write hours as 22:00-06:00")
    start, end = found.groups()
    if end == _END_OF_DAY:
        end = "0:00"
    return Window(text=text, start=_time(start), end=_time(end), zone=zone)


def opens_in_s(window: Window, wall: datetime) -> float:
    """Seconds until the window is next open; 0.0 while it is.

    Args:
        window: The window.
        wall: The present, with a zone.
    """
    today = wall.astimezone(window.zone).date()
    for offset in range(-1, _DAYS_AHEAD):
        begins, ends = _on(window, today + offset * _DAY)
        if begins < ends and wall < ends:
            return max(0.0, (begins - wall).total_seconds())
    raise AssertionError(f"{window.text} never opens")


def closes_in_s(window: Window, wall: datetime) -> float:
    """Seconds for which the window stays open; 0.0 while it is closed.

    Args:
        window: The window.
        wall: The present, with a zone.
    """
    today = wall.astimezone(window.zone).date()
    for offset in (-1, 0):
        begins, ends = _on(window, today + offset * _DAY)
        if begins <= wall < ends:
            return (ends - wall).total_seconds()
    return 0.0


def _on(window: Window, day: date) -> tuple[datetime, datetime]:
    """When the window that begins on this day opens and closes."""
    last = day if window.start < window.end else day + _DAY
    return _instant(window, day, window.start), _instant(window, last, window.end)


def _instant(window: Window, day: date, at: time) -> datetime:
    # Without a zone the value is naive, and `astimezone` takes that for this machine's time.
    return datetime.combine(day, at, tzinfo=window.zone).astimezone(UTC)


def _time(text: str) -> time:
    hour, _, minute = text.partition(":")
    return time(int(hour), int(minute))
