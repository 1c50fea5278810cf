"""The command line explains itself, and everything that goes wrong ends in one sentence."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import batcher
from batcher.cli import main as cli
from batcher.errors import ConfigError, LockedError

HEAVY = ("aiohttp", "jinja2", "rich", "uvloop", "structlog", "batcher.launch", "batcher.build")
VERBS = ("run", "try", "check", "rehearse", "simulate", "verify")
A_KEY = "sk-" + "ant-api03-" + "b2" * 20


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(list(words))
    return int(end.value.code or 0)


@pytest.fixture
def verb(monkeypatch):
    """Make `batcher boom` do something, for one test."""

    def does(action) -> None:
        monkeypatch.setattr(cli, "app", typer.Typer(pretty_exceptions_enable=False))
        cli.app.callback()(lambda: None)
        cli.app.command("boom")(action)

    return does


def raises(error: BaseException):
    def action() -> None:
        raise error

    return action


class TestHelp:
    def test_version_is_one_line(self, capsys):
        assert call("--version") == 0
        assert capsys.readouterr().out == f"batcher {batcher.__version__}\n"

    @pytest.mark.parametrize("verb", VERBS)
    def test_every_verb_has_a_page_with_examples(self, verb, capsys, monkeypatch):
        monkeypatch.setenv("COLUMNS", "200")

        assert call(verb, "--help") == 0
        page = capsys.readouterr().out
        assert "Examples" in page
        assert f"batcher {verb}" in page

    def test_the_first_page_names_every_verb(self, capsys):
        assert call("--help") == 0
        page = capsys.readouterr().out
        assert all(verb in page for verb in VERBS)

    def test_every_flag_has_a_sentence(self):
        from typer.main import get_command

        for name, command in get_command(cli.app).commands.items():  # type: ignore[attr-defined]
            for parameter in command.params:
                assert parameter.help, f"{name} {parameter.name}"

    def test_help_and_version_load_nothing_heavy(self):
        """Somebody who asks for the version does not wait for an HTTP client."""
        code = (
            "import sys; from batcher.cli.main import main\n"
            "try: main(['--version'])\n"
            "except SystemExit: pass\n"
            f"print([m for m in {HEAVY!r} if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )

        assert done.stdout.splitlines()[-1] == "[]"


class TestFaults:
    def test_an_operators_fault_is_one_sentence_and_its_exit_code(self, verb, capsys):
        verb(raises(LockedError("another run is at work in runs/a")))

        assert call("boom") == 75
        captured = capsys.readouterr()
        assert captured.err == "batcher: another run is at work in runs/a\n"
        assert captured.out == ""

    def test_one_inside_a_group_is_found(self, verb, capsys):
        verb(raises(ExceptionGroup("x", [ValueError(), ExceptionGroup("y", [ConfigError("z")])])))

        assert call("boom") == 2
        assert capsys.readouterr().err == "batcher: z\n"

    @pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
    def test_a_machine_that_opens_no_more_files_is_no_bug(self, verb, capsys, number):
        verb(raises(ExceptionGroup("x", [OSError(number, "Too many open files")])))

        assert call("boom") == 4
        text = capsys.readouterr().err
        assert len(text.splitlines()) == 1
        assert "ulimit -n" in text

    def test_a_key_in_a_message_is_masked(self, verb, capsys):
        verb(raises(ConfigError(f"no such key {A_KEY}")))

        assert call("boom") == 2
        assert A_KEY not in capsys.readouterr().err

    def test_a_bug_is_one_sentence_and_its_traceback_a_file(
        self, verb, capsys, tmp_path, monkeypatch
    ):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        verb(raises(ValueError(f"odd {A_KEY}\nand more")))

        assert call("boom") == cli.BUG_EXIT_CODE
        text = capsys.readouterr().err
        assert len(text.splitlines()) == 1
        assert text.startswith("batcher: This is a bug in batcher")
        report = Path(text.split()[-1])
        kept = report.read_text()
        assert "Traceback (most recent call last)" in kept
        assert A_KEY not in kept + text

    def test_traceback_shows_it_at_once_wherever_it_stands(self, verb, capsys):
        verb(raises(ValueError("odd")))

        assert call("boom", "--traceback") == cli.BUG_EXIT_CODE
        assert "Traceback (most recent call last)" in capsys.readouterr().err
        assert call("--traceback", "boom") == cli.BUG_EXIT_CODE

    def test_an_interrupt_is_130_and_quiet(self, verb, capsys):
        verb(raises(KeyboardInterrupt()))

        assert call("boom") == 130
        assert "Traceback" not in capsys.readouterr().err

    def test_an_exit_code_is_passed_on(self, verb):
        verb(raises(typer.Exit(3)))

        assert call("boom") == 3

    def test_wrong_usage_is_exit_2(self, capsys):
        assert call("run", "x.jsonl", "--no-such-flag") == 2
        assert "--no-such-flag" in capsys.readouterr().err

    def test_a_missing_file_is_exit_2_and_one_line(self, capsys):
        assert call("run", "nowhere.jsonl") == 2
        assert capsys.readouterr().err == "batcher: nowhere.jsonl does not exist\n"

    def test_a_reader_that_went_away_is_no_error(self):
        """`batcher --help | head -1` must not complain."""
        done = subprocess.run(
            f"{sys.executable} -m batcher run --help | true",
            shell=True,
            check=False,
            capture_output=True,
            text=True,
        )

        assert done.stderr == ""
