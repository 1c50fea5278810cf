"""When a run must be over: a time of day or a duration, in the words of --deadline."""

from datetime import datetime, timedelta

from batcher.job import DURATION, TIME_OF_DAY


def seconds_until(deadline: str, *, now: datetime) -> float:
    """Seconds from `now` to the deadline.

    Args:
        deadline: `06:00` (the next one, in now's zone) or a duration: `90m`, `7h30m`, `3600`.
        now: The present, with a zone.

    Raises:
        ValueError: It is neither; the message shows both forms.
    """
    text = deadline.strip()
    if clock := TIME_OF_DAY.fullmatch(text):
        hour, minute, second = (int(part or 0) for part in clock.groups())
        due = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
        if due <= now:
            due += timedelta(days=1)
        return (due - now).total_seconds()
    duration = DURATION.fullmatch(text)
    if duration is None:
        raise ValueError(f"{deadline!r} is no deadline; write 06:00, or 90m, or 7h30m")
    hours, minutes, seconds = (float(part or 0) for part in duration.groups())
    return hours * 3600 + minutes * 60 + seconds
