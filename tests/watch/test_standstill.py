"""A run that waits for the hours of its keys says so where a person looks."""

from batcher.events import ALL_KEYS, KeyReturned, Paused
from batcher.watch.progress import Glance, Progress
from batcher.watch.tally import Tally

REASON = "outside the hours of every key until 2026-11-22 22:00 CET"


def shown(tally: Tally) -> str:
    glance = Glance(in_flight=0, requests=0, total=None, settled_before=0)
    return Progress(tally).detail(glance)


async def test_progress_says_until_when_no_key_may_be_used() -> None:
    tally = Tally()
    tally(Paused(scope=ALL_KEYS, reason=REASON, wait_s=50.0))
    assert REASON in shown(tally)

    tally(KeyReturned(key="a", reason="its source has a new value"))
    assert REASON not in shown(tally)


async def test_one_scope_that_pauses_does_not_look_like_all() -> None:
    tally = Tally()
    tally(Paused(scope="a", reason="the server asks to wait 50 s", wait_s=50.0))

    assert "50 s" not in shown(tally)
