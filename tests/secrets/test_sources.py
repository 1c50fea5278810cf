"""Environment, files and commands as places of keys: what they give, and how they fail."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from batcher.errors import ConfigError
from batcher.secrets.command import CommandSource
from batcher.secrets.env import EnvSource
from batcher.secrets.file import FileSource

CANARY = "canary-7f3a9c-do-not-show"


async def complaint(source: EnvSource | FileSource | CommandSource) -> str:
    with pytest.raises(ConfigError) as caught:
        await source.get()
    assert CANARY not in str(caught.value)
    assert CANARY not in str(caught.value.__cause__)
    return str(caught.value)


@pytest.fixture
def script(tmp_path: Path):
    """Writes an executable shell script."""

    def write(text: str) -> str:
        path = tmp_path / "get key"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o700)
        return f"'{path}'"

    return write


class TestEnv:
    async def test_the_present_value_is_read_each_time(self, monkeypatch) -> None:
        source = EnvSource("A_KEY")
        monkeypatch.setenv("A_KEY", f" {CANARY}\n")
        assert (await source.get()).reveal() == CANARY
        monkeypatch.setenv("A_KEY", "another")
        assert (await source.get()).reveal() == "another"

    async def test_a_missing_or_blank_one_is_named(self, monkeypatch) -> None:
        monkeypatch.setenv("A_KEY", "  ")

        assert "A_KEY is not set" in await complaint(EnvSource("A_KEY"))

    @pytest.mark.parametrize("value", [f"{CANARY} {CANARY}", f"{CANARY}\nx", f"{CANARY}ü"])
    async def test_what_cannot_travel_in_a_header_is_refused(self, monkeypatch, value) -> None:
        monkeypatch.setenv("A_KEY", value)

        assert "A_KEY holds" in await complaint(EnvSource("A_KEY"))


class TestFile:
    async def test_its_content_is_the_key(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        path.write_text(f"{CANARY}\n")
        path.chmod(0o600)

        assert (await FileSource(str(path)).get()).reveal() == CANARY

    async def test_one_that_others_can_read_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        path.write_text(CANARY)
        path.chmod(0o640)

        assert f"chmod 600 {path}" in await complaint(FileSource(str(path)))

    async def test_a_missing_an_empty_and_a_long_one_are_told_apart(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        assert "cannot be read" in await complaint(FileSource(str(path)))
        path.touch(0o600)
        assert "is empty" in await complaint(FileSource(str(path)))
        path.write_text(f"{CANARY}\n{CANARY}\n")
        assert "more than one word" in await complaint(FileSource(str(path)))


@pytest.mark.real_time  # a waiting program would make the virtual clock jump to its deadline
class TestCommand:
    async def test_the_first_line_it_prints_is_the_key(self, script) -> None:
        source = CommandSource(script(f'echo "{CANARY}"; echo "login: me"; echo ok >&2'))

        assert (await source.get()).reveal() == CANARY

    async def test_arguments_are_quoted_as_in_a_shell_but_no_shell_runs(self, script) -> None:
        source = CommandSource(script('printf "%s" "$1$2"') + " 'a b' '$HOME'")

        assert "more than one word" in await complaint(source)
        source = CommandSource(script('printf "%s" "$1"') + " '$HOME;x'")
        assert (await source.get()).reveal() == "$HOME;x"

    async def test_a_failing_one_is_quoted_without_the_key(self, script) -> None:
        source = CommandSource(
            script(f'echo "{CANARY}"; echo "vault sealed, had {CANARY}" >&2; exit 3')
        )

        said = await complaint(source)
        assert "get key ended with 3" in said
        assert "vault sealed, had ***" in said

    async def test_anything_shaped_like_a_key_in_its_complaint_is_masked(self, script) -> None:
        shape = "sk-" + "ant-api03-" + "z9" * 12
        said = await complaint(CommandSource(script(f'echo "bad key {shape}" >&2; exit 1')))

        assert shape not in said
        assert "bad key ***" in said

    @pytest.mark.parametrize(
        "text",
        [
            f"echo token={CANARY} >&2",
            f"echo 'got {CANARY}' >&2",
            f"set -x; T={CANARY}",
            f"echo /aB3/{CANARY}/x >&2",
            f"echo KEY={CANARY}; echo 'got {CANARY}' >&2",
            """echo '{"key":"hunter2x"}'; echo 'got hunter2x' >&2""",
            "echo KEY=hunter2x; echo 'got hunter2x' >&2",
        ],
    )
    async def test_no_key_in_its_complaint_is_shown(self, script, text: str) -> None:
        said = await complaint(CommandSource(script(f"{text}; exit 1")))

        assert "hunter2x" not in said
        assert "***" in said

    async def test_plain_words_and_places_in_its_complaint_stay_readable(self, script) -> None:
        plain = "authentication-required: see /usr/lib/python3.11/vault.py and ./conf.d/Settings"
        said = await complaint(CommandSource(script(f"echo '{plain}' >&2; exit 1")))

        assert f'it says "{plain}"' in said

    async def test_one_that_prints_nothing_is_told(self, script) -> None:
        assert "is empty; it must print the API key" in await complaint(
            CommandSource(script("exit 0"))
        )

    async def test_one_that_does_not_exist_is_named(self) -> None:
        assert "the key command /no/such/thing cannot be started (No such file" in await complaint(
            CommandSource("/no/such/thing --now")
        )

    async def test_one_that_hangs_is_killed_with_its_children(self, script, tmp_path) -> None:
        note = tmp_path / "pid"
        source = CommandSource(script(f'sleep 60 & echo $! > "{note}"; wait'), timeout_s=0.5)

        assert "took longer than 0.5 s" in await complaint(source)
        await _until(lambda: _is_dead(int(note.read_text())))

    async def test_one_whose_child_holds_its_output_is_not_waited_for(self, script) -> None:
        source = CommandSource(script(f"echo {CANARY}; sleep 60 &"), timeout_s=0.5)

        assert "leave nothing running" in await complaint(source)

    async def test_cancelling_kills_it(self, script, tmp_path) -> None:
        note = tmp_path / "pid"
        work = asyncio.ensure_future(CommandSource(script(f'echo $$ > "{note}"; sleep 60')).get())
        await _until(lambda: note.exists() and note.read_text().strip() != "")
        work.cancel()
        await asyncio.wait([work])

        assert work.cancelled()
        await _until(lambda: _is_dead(int(note.read_text())))

    async def test_it_gets_no_input_and_endless_output_is_no_harm(self, script) -> None:
        source = CommandSource(script(f"cat; echo {CANARY}; head -c 30000000 /dev/zero"))

        assert (await source.get()).reveal() == CANARY


async def _until(is_so: Callable[[], bool]) -> None:
    for _ in range(200):
        if is_so():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came about")


def _is_dead(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"
