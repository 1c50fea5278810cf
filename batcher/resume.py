"""Whether a directory may be gone on with, and what is said when it may not.

A directory goes on with the settings and the rows it was begun with. Where they differ there
are three ways on, and the person chooses: reuse, accept, or start afresh elsewhere.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from batcher.errors import BatcherError, ConfigError, InputError
from batcher.pipeline.intake import Intake
from batcher.records import Call, Outcome, Row, record
from batcher.storage.choice import Choice
from batcher.storage.compare import Difference, Differences, Recorded
from batcher.storage.identity import changed
from batcher.storage.ledger import Ledger
from batcher.storage.lines import MAX_LINE_BYTES
from batcher.storage.manifest import Manifest, diff
from batcher.storage.parse import parse, too_long
from batcher.storage.rows import chosen_lines
from batcher.storage.spool import SPOOL


class Way(StrEnum):
    """What to do with records that belong to other settings or to another input."""

    REFUSE = "refuse"
    REUSE = "reuse"
    ACCEPT = "accept-changes"


_WAYS = """\
  --reuse           keep every record whose request still occurs, wherever its row stands now;
                    the others move to superseded.N.jsonl and their rows are asked
  --accept-changes  leave what is recorded as it is and ask what remains with what is said now
  --fresh           start over in a new directory beside this one, which stays as it is"""
_WAYS_BUT_ACCEPT = "\n".join(line for line in _WAYS.splitlines() if "--accept" not in line)

Verdict = Literal["same", "appended", "changed", "unknown"]


@record
class Asked:
    """What the present command asks of a directory.

    Attributes:
        settings: Those that decide an answer.
        choice: Which rows of the input.
        intake: Makes the call of a row.
        source: The input file, or the copy of a stream.
        is_streamed: Whether the input is a stream.
    """

    settings: Mapping[str, Any]
    choice: Choice
    intake: Intake
    source: Path
    is_streamed: bool


@record
class Found:
    """How a directory stands to what is asked of it.

    Attributes:
        settings: Differing settings, a sentence each.
        verdict: How the input file differs from what is known of it.
        rows: How recorded rows differ; None where there was no need to look.
    """

    settings: list[str]
    verdict: Verdict
    rows: Differences | None = None

    @property
    def is_same(self) -> bool:
        """Whether nothing differs at all."""
        return not self.settings and self.verdict in {"same", "appended"} and not self.rows


def made_rows(
    asked: Asked,
    *,
    complete: bool = True,
    only: Container[int] | None = None,
    last: int | None = None,
) -> Iterator[Call | Outcome]:
    """What each row of the input becomes, in order.

    Args:
        asked: The input, and how its rows are asked.
        complete: Whether a last line without its line end counts.
        only: Lines to take; the others are not even parsed.
        last: The line at which to stop reading; what lies behind it may be damaged.
    """
    for number, raw in chosen_lines(asked.source, asked.choice, complete=complete):
        if only is None or number in only:
            row: Row = too_long(number, MAX_LINE_BYTES) if raw is None else parse(number, raw)
            yield asked.intake.call(row)
        if number == last:
            return


def settle_differences(
    directory: Path, old: Manifest | None, ledger: Ledger, asked: Asked, *, way: Way
) -> Found:
    """Find what differs, and refuse unless that is harmless or the way on was chosen.

    Args:
        directory: The output directory.
        old: Its run.json; None when that is missing.
        ledger: What is settled there.
        asked: What the present command asks.
        way: What the person chose.

    Raises:
        ConfigError: Settings differ; the message shows them and the ways on.
        InputError: Recorded rows differ, or the input is of another kind.
    """
    _refuse_other_kind(directory, old, asked)
    found = _look(old, asked, settled=ledger.settled)
    if way is Way.REUSE:
        return found
    if way is Way.ACCEPT:
        if not found.is_same and ledger.settled:
            rows = _compare(directory, old, asked, last=ledger.max_line, requests=False)
            if rows.misplaced:
                raise _refusal(directory, replace(found, rows=rows), asked, way=way)
        return found
    can_tell = not found.settings and not (old is not None and old.mixed)
    if found.verdict in {"changed", "unknown"} and ledger.settled:
        found = replace(
            found, rows=_compare(directory, old, asked, last=ledger.max_line, requests=can_tell)
        )
    rows_differ = found.rows is not None and (found.rows.count > 0 or not can_tell)
    if found.settings or rows_differ:
        raise _refusal(directory, found, asked, way=way)
    return found


def _look(old: Manifest | None, asked: Asked, *, settled: int) -> Found:
    if old is None:
        return Found(settings=[], verdict="unknown" if settled else "same")
    settings = diff(old.request, asked.settings, name="")
    settings += _choice_diff(Choice.from_settings(old.choice), asked.choice)
    verdict: Verdict = "same"
    if not asked.is_streamed and old.input is not None:
        verdict = changed(old.input, asked.source)
        if verdict == "appended" and asked.choice.sample is not None:
            verdict = "unknown"  # a sample of a longer file is another one
    return Found(settings=settings, verdict=verdict)


def _choice_diff(old: Choice, new: Choice) -> list[str]:
    before, after = old.settings(), new.settings()
    had, has = before.pop("limit", None), after.pop("limit", None)
    found = diff({"input": before}, {"input": after}, name="")
    if has is not None and (had is None or has < had):
        found += diff({"input": {"limit": had}}, {"input": {"limit": has}}, name="")
    return found


def _refuse_other_kind(directory: Path, old: Manifest | None, asked: Asked) -> None:
    """A directory begun with a stream holds its copy, by which every line is counted."""
    has_copy = (directory / SPOOL).exists()
    if asked.is_streamed == has_copy or (asked.is_streamed and (old is None or not old.input)):
        return
    was, now = ("a stream", "a file") if has_copy else ("a file", "a stream")
    raise InputError(
        f"{directory} was begun with {was} as its input, and {now} is given now: give what it was "
        "begun with, or start over beside it with --fresh, or choose another directory with --out"
    )


def _compare(
    directory: Path, old: Manifest | None, asked: Asked, *, last: int, requests: bool
) -> Differences:
    recorded = Recorded(directory)
    complete = old is None or old.complete or not asked.is_streamed
    made = made_rows(asked, complete=complete, only=recorded, last=last)
    return recorded.differences(made, requests=requests)


def _refusal(directory: Path, found: Found, asked: Asked, *, way: Way) -> BatcherError:
    said = []
    if found.settings:
        told = "".join(f"\n  {difference.lstrip('.')}" for difference in found.settings)
        said.append(f"{directory} was begun with other settings:{told}")
    if found.rows is not None:
        how = {"changed": "has been edited"}.get(found.verdict, "may have been edited")
        if found.verdict in {"same", "appended"}:
            how = "is taken in another way"
        said.append(
            f"{asked.source} {how} since {directory} was begun with it"
            + listed(found.rows, "Recorded rows that are no longer what they were")
        )
    if way is Way.ACCEPT:
        said.append(
            "Such records cannot be left as they are (--accept-changes): their lines belong to "
            f"other rows now. Choose one of\n{_WAYS_BUT_ACCEPT}"
        )
    else:
        said.append(f"Set it back to go on as before, or choose one of\n{_WAYS}")
    text = "\n".join(said)
    return ConfigError(text) if found.settings else InputError(text)


def listed(rows: Differences, what: str) -> str:
    """How many rows differ and the first of them, to stand behind a sentence without its end."""
    if not rows.count:
        return "."
    more = "" if rows.count == len(rows.first) else f", the first {len(rows.first)} of them"
    lines = "".join(f"\n  line {each.line}: {_told(each)}" for each in rows.first)
    return f". {what}: {rows.count:,}{more}:{lines}"


def _told(difference: Difference) -> str:
    match difference.what:
        case "gone":
            return f"no row of this run any more (was {difference.old})"
        case "other id":
            return f"was {difference.old}, is {difference.new} now"
        case "other request":
            return f"{difference.new} asks something else now"
