"""The table a person reads when a run has ended: what became of the rows, and what to do next."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from batcher.errors import Exit
from batcher.records import FailureKind, Status, Summary
from batcher.watch.tally import Tally

_WORDS = {
    Status.OK: "answered",
    Status.FAILED: "failed",
    Status.TRUNCATED: "cut short",
    Status.REFUSED: "refused by the model",
    Status.INVALID: "not askable",
}
_NEXT = {
    FailureKind.TRUNCATED: "raise request.max_tokens",
    FailureKind.INVALID: "mend these input lines",
}


def print_summary(summary: Summary, tally: Tally, *, console: Console) -> None:
    """Print the closing table and, when something is left to do, what."""
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    total = sum(summary.counts.values())
    for status in Status:
        count = summary.counts.get(status, 0)
        if count or status is Status.OK:
            table.add_row(_WORDS[status], f"{count:,}", _why(status, tally))
    if summary.waiting:
        table.add_row("waiting", f"{summary.waiting:,}", "the same command goes on with them")
    table.add_row("in all", f"{total + summary.waiting:,}", "")
    table.add_section()
    if total > summary.answered:
        table.add_row("by this run", f"{summary.answered:,}", "")
    per_s = summary.answered / summary.seconds if summary.seconds > 0 else 0.0
    table.add_row("time", _duration(summary.seconds), f"{per_s:.1f} rows/s")
    again = summary.requests - summary.answered
    extra = f"{again:,} more than rows" if again > 0 and summary.answered else ""
    table.add_row("requests", f"{summary.requests:,}", extra)
    usage = summary.usage
    cached = f"{usage.cache_read_tokens:,} more from cache" if usage.cache_read_tokens else ""
    table.add_row("tokens in", f"{usage.input_tokens + usage.cache_write_tokens:,}", cached)
    table.add_row("tokens out", f"{usage.output_tokens:,}", "")
    median, slow = tally.latencies.quantile(0.5), tally.latencies.quantile(0.95)
    if median is not None and slow is not None:
        table.add_row("latency", f"{median:.2f} s", f"95 % within {slow:.2f} s")
    console.print(table)
    console.print(_closing(summary), highlight=False)


def _why(status: Status, tally: Tally) -> str:
    if status is Status.FAILED:
        kinds = [
            f"{kind} {count:,}"
            for kind, count in tally.reasons.most_common()
            if kind not in {FailureKind.TRUNCATED, FailureKind.REFUSED, FailureKind.INVALID}
        ]
        return ", ".join(kinds[:4])
    if status is Status.TRUNCATED:
        return _NEXT[FailureKind.TRUNCATED]
    if status is Status.INVALID:
        return _NEXT[FailureKind.INVALID]
    return ""


def _closing(summary: Summary) -> Text:
    where = f"Answers are in {summary.output}/results.jsonl"
    if summary.counts and sum(summary.counts.values()) > summary.counts.get(Status.OK, 0):
        where += f", the other rows with their reasons in {summary.output}/failures.jsonl"
    text = Text(where + ".")
    if summary.reason is not None:
        stopped = summary.exit_code in {Exit.INTERRUPTED, Exit.TERMINATED}
        text.append(
            f"\n{'Interrupted' if stopped else 'Stopped'}: {summary.reason}",
            style="yellow" if stopped else "bold red",
        )
    return text


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
