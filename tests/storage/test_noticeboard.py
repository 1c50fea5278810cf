"""Runs on one machine tell each other how fast they send; nothing depends on it."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from batcher.storage.noticeboard import NoticeBoard


def by_size(paces: Sequence[Sequence[float]]) -> list[list[float]]:
    return sorted([list(pace) for pace in paces])


def test_each_run_hears_what_the_others_send(tmp_path: Path) -> None:
    one, two, three = (NoticeBoard(tmp_path / "b") for _ in range(3))
    one.exchange(["q"], [5.0, 100.0])
    two.exchange(["q"], [7.5, 100.0])

    assert by_size(three.exchange(["q"], [1.0, 100.0])) == [[5.0, 100.0], [7.5, 100.0]]
    assert by_size(one.exchange(["q"], [5.0, 100.0])) == [[1.0, 100.0], [7.5, 100.0]]


def test_runs_on_other_quotas_are_not_heard(tmp_path: Path) -> None:
    one, two = NoticeBoard(tmp_path / "b"), NoticeBoard(tmp_path / "b")
    one.exchange(["q"], [5.0, 100.0])

    assert two.exchange(["r"], [1.0, 100.0]) == []


def test_a_run_that_shares_two_keys_counts_once(tmp_path: Path) -> None:
    one, two = NoticeBoard(tmp_path / "b"), NoticeBoard(tmp_path / "b")
    one.exchange(["q", "r"], [5.0, 100.0])

    assert two.exchange(["q", "r"], [1.0, 100.0]) == [[5.0, 100.0]]


def test_who_is_not_held_back_is_not_heard(tmp_path: Path) -> None:
    one, two = NoticeBoard(tmp_path / "b"), NoticeBoard(tmp_path / "b")
    one.exchange(["q"], [5.0, 100.0])
    one.exchange(["q"], None)

    assert two.exchange(["q"], [1.0, 100.0]) == []


def test_who_has_said_nothing_for_long_is_gone(tmp_path: Path) -> None:
    one, two = NoticeBoard(tmp_path / "b"), NoticeBoard(tmp_path / "b")
    one.exchange(["q"], [5.0, 100.0])
    note = next((tmp_path / "b" / "q").iterdir())
    long_ago = note.stat().st_mtime - 10
    os.utime(note, (long_ago, long_ago))

    assert two.exchange(["q"], [1.0, 100.0]) == []


def test_who_is_gone_for_good_is_swept_up(tmp_path: Path) -> None:
    one, two = NoticeBoard(tmp_path / "b"), NoticeBoard(tmp_path / "b")
    one.exchange(["q"], [5.0, 100.0])
    note = next((tmp_path / "b" / "q").iterdir())
    os.utime(note, (1, 1))

    two.exchange(["q"], None)

    assert not note.exists()


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    board = NoticeBoard(tmp_path / "b")
    board.exchange(["q"], [5.0, 100.0])

    board.close()

    assert list((tmp_path / "b").iterdir()) == []


@pytest.mark.parametrize("note", [b"", b"fast 1", b"-3 100", b"nan 1", b"inf 1", b"\xff"])
def test_a_note_that_makes_no_sense_is_passed_over(tmp_path: Path, note: bytes) -> None:
    board = NoticeBoard(tmp_path / "b")
    board.exchange(["q"], [5.0, 100.0])
    (tmp_path / "b" / "q" / "1-other").write_bytes(note)

    assert board.exchange(["q"], [5.0, 100.0]) == []


def test_a_file_where_the_folder_should_be_means_nobody_is_known(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")

    assert NoticeBoard(tmp_path / "b").exchange(["q"], [5.0, 100.0]) == []


def test_a_link_where_the_folder_should_be_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "elsewhere")

    NoticeBoard(tmp_path / "b").exchange(["q"], [5.0, 100.0])

    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_no_key_can_be_read_from_a_quotas_name() -> None:
    from batcher.secret import Secret

    name = Secret("sk-ant-api03-canary").digest("https://api m")

    assert "canary" not in name
    assert name == Secret("sk-ant-api03-canary").digest("https://api m")
    assert name != Secret("sk-ant-api03-canary").digest("https://api n")
    assert name != Secret("sk-ant-api03-canarz").digest("https://api m")
