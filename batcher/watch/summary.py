"""What a person reads when a run has ended: what became of the rows, and what to do next."""

from collections.abc import Iterator

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


Line = tuple[str, str, str]
"""What is counted, how many, and what there is to say about it."""


def closing_table(summary: Summary, tally: Tally) -> tuple[list[Line], list[Line]]:
    """The lines about the rows, and those about the work they were."""
    return list(_rows(summary, tally)), list(_work(summary, tally))


def closing_words(summary: Summary) -> tuple[str, str]:
    """Where the answers are, and why the run stopped early; that is empty when it did not."""
    where = f"Answers are in {summary.output}/results.jsonl"
    if summary.counts and sum(summary.counts.values()) > summary.counts.get(Status.OK, 0):
        where += f", the other rows with their reasons in {summary.output}/failures.jsonl"
    if summary.reason is None:
        return f"{where}.", ""
    how = "Interrupted" if was_interrupted(summary) else "Stopped"
    return f"{where}.", f"{how}: {summary.reason}"


def was_interrupted(summary: Summary) -> bool:
    """Whether somebody stopped it, and nothing is wrong."""
    return summary.exit_code in {Exit.INTERRUPTED, Exit.TERMINATED}


def _rows(summary: Summary, tally: Tally) -> Iterator[Line]:
    for status in Status:
        count = summary.counts.get(status, 0)
        if count or status is Status.OK:
            yield _WORDS[status], f"{count:,}", _why(status, tally)
    if summary.waiting:
        yield "waiting", f"{summary.waiting:,}", "the same command goes on with them"
    yield "in all", f"{sum(summary.counts.values()) + summary.waiting:,}", ""


def _work(summary: Summary, tally: Tally) -> Iterator[Line]:
    if sum(summary.counts.values()) > summary.answered:
        yield "by this run", f"{summary.answered:,}", ""
    per_s = summary.answered / summary.seconds if summary.seconds > 0 else 0.0
    yield "time", _duration(summary.seconds), f"{per_s:.1f} rows/s"
    again = summary.requests - summary.answered
    extra = f"{again:,} more than rows" if again > 0 and summary.answered else ""
    yield "requests", f"{summary.requests:,}", extra
    usage = summary.usage
    cached = f"{usage.cache_read_tokens:,} more from cache" if usage.cache_read_tokens else ""
    yield "tokens in", f"{usage.input_tokens + usage.cache_write_tokens:,}", cached
    yield "tokens out", f"{usage.output_tokens:,}", ""
    median, slow = tally.latencies.quantile(0.5), tally.latencies.quantile(0.95)
    if median is not None and slow is not None:
        yield "latency", f"{median:.2f} s", f"95 % within {slow:.2f} s"


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


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
