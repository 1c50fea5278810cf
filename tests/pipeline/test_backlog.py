from hypothesis import given
from hypothesis import strategies as st

from batcher.pipeline.backlog import Backlog, Pending
from tests.support.builders import a_call


def a_backlog(*, window: int = 4, most_rows: int = 100, most_bytes: int = 10_000) -> Backlog:
    return Backlog(window=window, most_rows=most_rows, most_bytes=most_bytes)


def taken(backlog: Backlog, *, now: float = 0.0, untried_newest: bool = False) -> Pending | None:
    pending = backlog.peek(now=now, untried_newest=untried_newest)
    if pending is not None:
        backlog.pop(pending)
    return pending


def lines(backlog: Backlog, *, now: float = 0.0) -> list[int]:
    found = []
    while (pending := taken(backlog, now=now)) is not None:
        found.append(pending.call.line)
    return found


def test_calls_leave_in_input_order() -> None:
    backlog = a_backlog()
    for line in (1, 2, 3):
        backlog.offer(a_call(line))

    assert lines(backlog) == [1, 2, 3]


def test_due_retries_go_first_and_in_input_order() -> None:
    backlog = a_backlog()
    for line in (1, 2, 3):
        backlog.offer(a_call(line))
    first, second = taken(backlog), taken(backlog)
    assert first is not None
    assert second is not None
    backlog.later(second, due_s=1.0)
    backlog.later(first, due_s=2.0)

    assert lines(backlog, now=2.0) == [1, 2, 3]


def test_a_sleeping_retry_blocks_nobody() -> None:
    backlog = a_backlog()
    backlog.offer(a_call(1))
    backlog.offer(a_call(2))
    first = taken(backlog)
    assert first is not None
    backlog.later(first, due_s=3600.0)

    assert lines(backlog, now=5.0) == [2]
    assert backlog.next_due_s() == 3600.0


def test_a_probe_may_ask_for_the_newest_untried_call() -> None:
    backlog = a_backlog()
    for line in (1, 2, 3):
        backlog.offer(a_call(line))
    first = taken(backlog)
    assert first is not None
    backlog.later(first, due_s=0.0)

    chosen = taken(backlog, now=1.0, untried_newest=True)

    assert chosen is not None
    assert chosen.call.line == 3
    assert lines(backlog, now=1.0) == [1, 2]


def test_a_row_larger_than_the_whole_store_is_let_in_alone() -> None:
    backlog = a_backlog(most_bytes=10)
    assert backlog.has_room()
    backlog.offer(a_call(1, body=b"x" * 100))

    assert not backlog.has_room()


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60))
def test_every_call_leaves_exactly_once_whatever_is_retried(moves: list[tuple[int, bool]]) -> None:
    backlog = a_backlog(window=1000, most_rows=1000)
    for line in range(1, len(moves) + 1):
        backlog.offer(a_call(line))
    settled = []
    now = 0.0
    for rest_s, retried in moves:
        now += 1.0
        pending = taken(backlog, now=now)
        if pending is None:
            continue
        if retried and pending.failures == 0:
            pending.failures += 1
            backlog.later(pending, due_s=now + rest_s)
        else:
            settled.append(pending.call.line)
            backlog.closed(pending)
    while (pending := taken(backlog, now=now + 1000)) is not None:
        settled.append(pending.call.line)
        backlog.closed(pending)

    assert sorted(settled) == list(range(1, len(moves) + 1))
    assert (backlog.rows_open, backlog.bytes_open) == (0, 0)


def refused(backlog: Backlog, line: int, *, times: int) -> None:
    """Have a row come back that has been refused so often."""
    backlog.offer(a_call(line))
    pending = taken(backlog)
    assert pending is not None
    pending.refusals = times
    backlog.later(pending, due_s=0.0)


def test_a_row_that_is_refused_again_and_again_lets_others_go_first() -> None:
    backlog = a_backlog(window=10)
    refused(backlog, 1, times=3)
    for line in (2, 3, 4, 5, 6, 7):
        backlog.offer(a_call(line))

    assert lines(backlog) == [2, 3, 4, 5, 1, 6, 7]


def test_it_goes_at_once_where_nobody_else_waits() -> None:
    backlog = a_backlog()
    refused(backlog, 1, times=9)

    assert lines(backlog) == [1]
