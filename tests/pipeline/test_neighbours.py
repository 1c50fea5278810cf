"""Runs that share a key share its quota."""

import asyncio
from collections.abc import Sequence

import pytest

from batcher.events import Event, LimitChanged
from batcher.pipeline.neighbours import Neighbours
from batcher.policy.keyring import Keyring
from batcher.policy.limiter import Limiter
from batcher.records import KeyRef
from batcher.secret import Secret


class Board:
    """Always has the same others on it; implements ports.NoticeBoard."""

    def __init__(self, others: Sequence[Sequence[float]]) -> None:
        self.others = others
        self.asked: list[Sequence[str]] = []
        self.is_closed = False

    def exchange(
        self, quotas: Sequence[str], pace: Sequence[float] | None
    ) -> Sequence[Sequence[float]]:
        self.asked.append(quotas)
        return self.others

    def close(self) -> None:
        self.is_closed = True


def neighbours(board: Board, events: list[Event], values: dict[str, Secret]) -> Neighbours:
    keys = [KeyRef(alias=alias, scope="org", base_url="") for alias in ("a", "b")]
    keyring = Keyring(keys, {"org": Limiter("org", max_in_flight=8)})
    return Neighbours(board, keyring=keyring, values=values, about="x m", emit=events.append)


async def for_a_moment(one: Neighbours) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one.keep(), 0.01)


async def test_every_key_of_a_scope_names_a_quota() -> None:
    board = Board([])
    values = {"a": Secret("sk-one-one"), "b": Secret("sk-two-two")}

    await for_a_moment(neighbours(board, [], values))

    assert board.asked == [sorted(value.digest("x m") for value in values.values())]


async def test_a_run_its_quota_does_not_hold_back_shares_with_nobody() -> None:
    events: list[Event] = []

    await for_a_moment(
        neighbours(Board([[9.0, 900.0, 90.0, 990.0]]), events, {"a": Secret("sk-one-one")})
    )

    assert not [event for event in events if isinstance(event, LimitChanged)]


async def test_the_board_is_left_clean() -> None:
    board = Board([])

    await for_a_moment(neighbours(board, [], {}))

    assert board.is_closed
