import os
from pathlib import Path

import pytest

from batcher.records import Call, Fingerprint, RowId, Wire
from batcher.storage.journal import NAME, Journal, scan
from batcher.storage.ledger import Ledger


def a_call(line: int) -> Call:
    return Call(
        id=RowId(f'row "{line}"'),
        line=line,
        fingerprint=Fingerprint("0" * 32),
        model="m",
        wire=Wire(path="/", headers={}, body=b"{}"),
        input_chars=1,
        max_tokens=1,
    )


def open_lines(directory: Path) -> list[int]:
    return [each.line for each in scan(directory)]


def test_what_was_in_flight_is_known_after_a_kill(tmp_path: Path) -> None:
    """Nothing is closed here: a killed process closes nothing either."""
    journal = Journal(tmp_path)
    for line in range(1, 6):
        journal.began(a_call(line), attempt=line, key="a")
    journal.ended(a_call(2))
    journal.began(a_call(2), attempt=9, key="b")
    journal.ended(a_call(4))
    journal.began(a_call(6), attempt=1, key="a")

    settled = Ledger()
    settled.add(5)
    found = scan(tmp_path, settled)

    assert [(each.line, each.attempt, each.key) for each in found] == [
        (1, 1, "a"),
        (3, 3, "a"),
        (2, 9, "b"),
        (6, 1, "a"),
    ]
    assert found[0].id == 'row "1"'
    assert found[0].sent_at.endswith("Z")
    journal.close()


def test_a_new_run_begins_with_an_empty_journal(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    first.began(a_call(1), attempt=1, key="a")
    first.close()

    second = Journal(tmp_path)
    second.close()
    second.close()

    assert open_lines(tmp_path) == []


def test_no_journal_means_nothing_in_doubt(tmp_path: Path) -> None:
    assert open_lines(tmp_path) == []


def test_it_stays_small_and_forgets_nothing_that_is_open(tmp_path: Path) -> None:
    journal = Journal(tmp_path, rotate_bytes=2000)
    journal.began(a_call(1), attempt=1, key="a")
    biggest = 0
    for line in range(2, 500):
        journal.began(a_call(line), attempt=1, key="a")
        journal.ended(a_call(line))
        biggest = max(biggest, (tmp_path / NAME).stat().st_size)
    journal.began(a_call(500), attempt=1, key="a")

    assert biggest < 2200
    assert open_lines(tmp_path) == [1, 500]
    assert sorted(each.name for each in tmp_path.iterdir()) == [NAME]
    journal.close()


def test_many_in_flight_do_not_make_it_rewrite_itself_at_every_note(tmp_path: Path) -> None:
    journal = Journal(tmp_path, rotate_bytes=1000)
    for line in range(200):
        journal.began(a_call(line), attempt=1, key="a")
    files = set()
    for line in range(100):
        journal.ended(a_call(line))
        files.add((tmp_path / NAME).stat().st_ino)

    assert len(files) <= 3
    journal.close()
    assert open_lines(tmp_path) == list(range(100, 200))


@pytest.mark.parametrize("odd", [b"", b"\0\0\n", b"garbage\n", b'{"b":[1]}\n', b"[]\n", b'{"b":'])
def test_a_journal_cut_at_any_byte_is_read_as_far_as_it_goes(tmp_path: Path, odd: bytes) -> None:
    journal = Journal(tmp_path)
    for line in (1, 2):
        journal.began(a_call(line), attempt=1, key="a")
    journal.ended(a_call(1))
    journal.close()
    data = (tmp_path / NAME).read_bytes()
    ends = [at for at in range(len(data) + 1) if data[:at].endswith(b"\n")]
    for cut in range(len(data) + 1):
        (tmp_path / NAME).write_bytes(data[:cut] + b"\n" + odd)
        whole = sum(end - 1 <= cut for end in ends)
        assert open_lines(tmp_path) == [[], [1], [1, 2], [2]][whole], cut


def test_a_note_costs_one_write(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    sizes = []
    for line in range(3):
        journal.began(a_call(line), attempt=1, key="a")
        sizes.append(os.stat(tmp_path / NAME).st_size)  # noqa: PTH116

    assert sizes == sorted(set(sizes))
    journal.close()


def test_secrets_in_an_id_are_masked(tmp_path: Path) -> None:
    journal = Journal(tmp_path, clean=lambda data: data.replace(b"row", b"***"))
    journal.began(a_call(1), attempt=1, key="a")
    journal.close()

    assert b"row" not in (tmp_path / NAME).read_bytes()
    assert open_lines(tmp_path) == [1]
