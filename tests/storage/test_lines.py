"""Lines cut out of blocks: the same ones, however the blocks fall and whatever is left out."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from batcher.storage.ledger import Ledger
from batcher.storage.lines import LineCutter

texts = st.lists(
    st.sampled_from([b"{}", b'{"a":1}', b"", b" ", b"\t", b"\r", b" {}", b"\x00", b"x" * 30])
).map(b"\n".join)
cuts = st.lists(st.integers(0, 200), max_size=6)


def blocks_of(text: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(each, len(text)) for each in at), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]


def plain(text: bytes) -> list[tuple[int, bytes]]:
    """What is meant: every line that holds something, with its number."""
    lines = enumerate(text.split(b"\n"), 1)
    return [(number, line) for number, line in lines if line and not line.isspace()]


@given(texts, cuts, st.sets(st.integers(1, 40)))
def test_every_line_that_is_not_settled_comes_once_with_its_number(
    text: bytes, at: list[int], settled: set[int]
) -> None:
    ledger = Ledger()
    for line in settled:
        ledger.add(line)
    cutter = LineCutter()
    seen = [each for block in blocks_of(text, at) for each in cutter.feed(block, skip=ledger)]
    if cutter.holds:
        seen += cutter.flush()

    assert [each for each in seen if each[0] not in settled] == [
        each for each in plain(text) if each[0] not in settled
    ]


@given(texts, cuts)
def test_counting_agrees_with_cutting(text: bytes, at: list[int]) -> None:
    cutter = LineCutter()
    counted = sum(cutter.count(block) for block in blocks_of(text, at))

    assert counted + sum(1 for _ in cutter.flush()) == len(plain(text))


@given(st.sets(st.integers(1, 60)), st.integers(1, 60), st.integers(0, 30))
def test_the_ledger_knows_whether_a_stretch_is_settled(
    settled: set[int], first: int, more: int
) -> None:
    ledger = Ledger()
    for line in settled:
        ledger.add(line)

    assert ledger.has_all(first, first + more) == (set(range(first, first + more + 1)) <= settled)
