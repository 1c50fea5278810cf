"""The verbs do what their pages say, against a provider on a real socket."""

import signal
import subprocess
import sys

import orjson
import pytest

from batcher.cli import main as cli
from batcher.cli.flags import given
from batcher.cli.try_one import job_and_prompt
from batcher.errors import ConfigError
from batcher.records import Failure, FailureKind, Outcome, RowId, Status

FAST = ("--set", "simulator.latency_ms=0")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with rows and jobs, and an environment without keys."""
    monkeypatch.chdir(tmp_path)
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "rows.jsonl").write_text('{"prompt": "one"}\n{"prompt": "two and more"}\n')
    (tmp_path / "good.toml").write_text('input = "rows.jsonl"\nrequest.model = "claude-haiku-5-5"')
    (tmp_path / "bad.toml").write_text("request.modell = 'm'\nlimits.concurrency = 0")
    return tmp_path


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(list(words))
    return int(end.value.code or 0)


class TestCheck:
    def test_a_fine_job_says_what_its_first_row_becomes(self, here, capsys):
        assert call("check", "good.toml") == 0
        assert capsys.readouterr().out == (
            "good.toml: fine (first row renders to 3 characters for claude-haiku-5-5)\n"
        )

    def test_every_mistake_of_every_job_is_named(self, here, capsys):
        assert call("check", "good.toml", "bad.toml", "nowhere.toml") == 2
        captured = capsys.readouterr()
        assert "good.toml: fine" in captured.out
        assert captured.err.splitlines() == [
            "bad.toml: 2 mistakes",
            "  request.modell is not a setting; did you mean model?",
            "  limits.concurrency is 0; write at least 1",
            "nowhere.toml: 1 mistake",
            "  nowhere.toml does not exist",
        ]

    def test_a_first_row_that_cannot_be_asked_is_a_mistake(self, here, capsys):
        (here / "rows.jsonl").write_text('{"question": "why?"}\n')

        assert call("check", "good.toml") == 2
        assert "rows.jsonl, line 1: the row has neither" in capsys.readouterr().err


class TestTry:
    def test_a_prompt_is_sent_and_everything_shown(self, here, capsys):
        assert call("try", "Name [three] rivers.", "-p", "simulated", *FAST) == 0
        shown = capsys.readouterr().out
        for part in ('"content": "Name [three] rivers."', "answer", "tokens in", "end_turn"):
            assert part in shown

    def test_a_line_of_a_job_is_taken(self, here, capsys):
        flags = ("--line", "2", "-p", "simulated", *FAST)

        assert call("try", "good.toml", *flags) == 0
        assert '"content": "two and more"' in capsys.readouterr().out

    def test_a_row_without_an_answer_is_exit_1_with_the_fix(self, here, capsys):
        flags = ("-p", "simulated", "--set", "simulator.faults.404=1", *FAST)

        assert call("try", "hi", *flags) == 1
        shown = capsys.readouterr().out
        assert "failed: not_found" in shown
        assert "fix: " in shown

    def test_a_missing_line_is_named(self, here, capsys):
        assert call("try", "good.toml", "--line", "9", "-p", "simulated") == 2
        assert "line 9" in capsys.readouterr().err

    def test_words_are_a_prompt_and_files_are_rows(self, here):
        none = given({})

        assert job_and_prompt("Why is rows.jsonl here?", none, line=None)[1] is not None
        assert job_and_prompt("a prompt\n" * 500, none, line=None)[1] is not None
        assert job_and_prompt("rows.jsonl", none, line=None)[1] is None
        with pytest.raises(ConfigError, match="does not exist"):
            job_and_prompt("gone.jsonl", none, line=None)
        with pytest.raises(ConfigError, match="--line"):
            job_and_prompt("a prompt", none, line=3)
        with pytest.raises(ConfigError, match="empty"):
            job_and_prompt(" ", none, line=None)

    def test_no_escape_sequence_reaches_the_terminal(self, capsys):
        from rich.console import Console

        from batcher.cli.try_one import _show_answer

        outcome = Outcome(
            id=RowId("1"),
            line=1,
            status=Status.FAILED,
            failure=Failure(kind=FailureKind.SERVER, message="\x1b]0;title\x07 [red]x"),
        )

        assert not _show_answer(Console(), outcome)
        shown = capsys.readouterr().out
        assert "\x1b" not in shown
        assert "[red]x" in shown


@pytest.mark.socket
class TestRun:
    def test_rows_and_flags_are_enough(self, here, capsys):
        words = ("rows.jsonl", "-p", "simulated", "-o", "out", "--no-response", "-q", *FAST)

        assert call("run", *words) == 0
        lines = (here / "out/results.jsonl").read_bytes().splitlines()
        records = [orjson.loads(line) for line in lines]
        assert sorted(record["line"] for record in records) == [1, 2]
        assert all("response" not in record for record in records)
        assert capsys.readouterr() == ("", "")

    def test_rows_that_failed_are_exit_1_and_the_screen_says_where(self, here, capsys):
        words = ("--set", "simulator.faults.truncated=1", "-p", "simulated", *FAST)

        assert call("run", "rows.jsonl", *words) == 1
        assert "runs/rows/failures.jsonl" in capsys.readouterr().err

    def test_a_run_that_cannot_succeed_is_exit_3_with_the_fix(self, here, capsys):
        words = ("--set", "simulator.faults.404=1", "-p", "simulated", *FAST)

        assert call("run", "rows.jsonl", *words) == 3
        assert "check request.model" in " ".join(capsys.readouterr().err.split())

    def test_fresh_leaves_the_first_records_alone(self, here):
        words = ("rows.jsonl", "-p", "simulated", "-o", "out", "-q", *FAST)

        assert [call("run", *words), call("run", *words, "--fresh")] == [0, 0]
        assert (here / "out/results.jsonl").exists()
        assert (here / "out-2/results.jsonl").exists()

    def test_rows_may_come_through_a_pipe(self, here):
        words = [sys.executable, "-m", "batcher", "run", "-", "-p", "simulated", "-o", "out", *FAST]
        done = subprocess.run(words, input=b'{"prompt": "hi"}\n', capture_output=True, check=False)

        assert done.returncode == 0, done.stderr
        assert (here / "out/results.jsonl").read_bytes().count(b"\n") == 1

    def test_a_pipe_whose_end_was_never_seen_is_not_finished(self, here):
        """The copy may lack rows, so an empty input is no proof that there are none."""
        words = [sys.executable, "-m", "batcher", "run", "-", "-p", "simulated", "-o", "out", *FAST]
        rows = b'{"prompt": "one"}\n{"prompt": "two"}\n{"prompt": "thr'
        first = subprocess.run([*words, "--limit", "1"], input=rows, check=False)
        (here / "out/input.jsonl").write_bytes(rows)
        alone = subprocess.run(words, input=b"", capture_output=True, check=False)
        verified = subprocess.run(
            [*words[:3], "verify", "out"], capture_output=True, text=True, check=False
        )

        said = " ".join(alone.stderr.decode().split())
        assert (first.returncode, alone.returncode, verified.returncode) == (0, 2, 1)
        assert "ends in the middle of a line" in said
        assert "Supply that input again" in said
        assert orjson.loads((here / "out/run.json").read_bytes())["status"] == "interrupted"
        assert (here / "out/results.jsonl").read_bytes().count(b"\n") == 2
        assert "has never been seen" in verified.stderr

    @pytest.mark.parametrize(
        ("verb", "place"),
        [
            ("run", "request.base_url"),
            ("rehearse", "request.base_url"),
            ("run", "[[keys]]\nsource = 'env:A'\nbase_url"),
        ],
    )
    def test_a_key_in_an_address_is_written_nowhere(self, here, capsys, verb, place):
        job = here / "good.toml"
        job.write_text(f"{job.read_text()}\n{place} = 'http://127.0.0.1:1/v1?api_key=hush'")

        assert call(verb, "good.toml") == 2
        assert "leave that out" in capsys.readouterr().err
        kept = [path for path in here.rglob("*") if path.is_file() and path != job]
        assert not [path for path in kept if b"hush" in path.read_bytes()]

    def test_a_terminal_as_input_is_refused(self, here, capsys, monkeypatch):
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)

        assert call("run", "-", "-p", "simulated") == 2
        assert "pipe them in" in capsys.readouterr().err

    def test_rehearsing_a_job_needs_no_key_and_leaves_its_output_alone(self, here):
        assert call("rehearse", "good.toml", "-q", *FAST) == 0
        assert (here / "runs/rehearsal/good/results.jsonl").exists()
        assert not (here / "runs/good").exists()


@pytest.mark.socket
class TestVerify:
    @pytest.fixture
    def out(self, here):
        """The output of a finished run over rows of every kind of id."""
        rows = b'{"prompt": "a", "id": "x"}\n{"prompt": "b", "n": 7}\nbroken\n\n{"id": {}}\n[1]\n'
        (here / "rows.jsonl").write_bytes(rows)
        words = ("rows.jsonl", "-p", "simulated", "-o", "out", "--id-field", "n", "-q", *FAST)
        assert call("run", *words) == 1
        return here / "out"

    def test_a_finished_run_is_proven(self, out, capsys):
        assert call("verify", "out") == 0
        assert capsys.readouterr().out == (
            "out: 5 rows, 5 records (3 invalid, 2 ok): every row has exactly one.\n"
        )

    def test_a_second_record_is_found_and_repaired(self, out, capsys):
        with (out / "results.jsonl").open("r+b") as file:
            first = file.readline()
            file.seek(0, 2)
            file.write(first + b"half a rec")

        assert call("verify", "out") == 1
        assert "second records of a row" in capsys.readouterr().err
        assert call("verify", "out", "--repair") == 0
        assert "quarantine.jsonl" in capsys.readouterr().out
        assert call("verify", "out") == 0

    def test_a_record_of_another_run_is_moved_away(self, out, capsys):
        with (out / "results.jsonl").open("r+b") as file:
            first = file.readline()
            file.seek(0, 2)
            file.write(first.replace(b'"line":1,', b'"line":77,'))

        assert call("verify", "out") == 1
        assert "which --repair moves away: 1 (results.jsonl:3 (line 77))" in capsys.readouterr().err
        assert call("verify", "out", "--repair") == 0
        assert "1 lines moved to quarantine.jsonl" in capsys.readouterr().out
        assert call("verify", "out") == 0

    def test_rows_appended_to_a_finished_run_are_not_called_lost(self, out, here, capsys):
        with (here / "rows.jsonl").open("ab") as file:
            file.write(b'{"prompt": "new"}\n')

        assert call("verify", "out") == 1
        said = capsys.readouterr().err
        assert "that wait for the next run: 1 (7)" in said
        assert "lost" not in said

    def test_a_lost_record_is_found(self, out, capsys):
        (out / "results.jsonl").write_bytes(b"")

        assert call("verify", "out") == 1
        assert "input lines whose record is lost: 2 (1, 2)" in capsys.readouterr().err

    def test_the_input_may_have_moved(self, out, here, capsys):
        (here / "rows.jsonl").rename(here / "moved.jsonl")

        assert call("verify", "out") == 2
        assert call("verify", "out", "--input", "moved.jsonl") == 0

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("nowhere", "does not exist"),
            ("rows.jsonl", "is a file; name the output directory"),
            ("empty", "is no output directory of batcher"),
        ],
    )
    def test_what_is_no_output_is_refused(self, here, capsys, name, says):
        (here / "empty").mkdir()

        assert call("verify", name) == 2
        assert says in capsys.readouterr().err


@pytest.mark.socket
class TestSimulate:
    def test_it_says_how_to_reach_it_and_ends_on_a_signal(self, here):
        words = [sys.executable, "-m", "batcher", "simulate", "--port", "0", "--rpm", "600"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            first, second = server.stdout.readline(), server.stdout.readline()
            server.send_signal(signal.SIGINT)
            code = server.wait(timeout=10)

        assert "listens at http://127.0.0.1:" in first
        assert "--base-url http://127.0.0.1:" in second
        assert code in {0, 130}

    def test_a_wrong_fault_is_refused(self, here, capsys):
        assert call("simulate", "--port", "0", "--fault", "nonsense:0.5") == 2
        assert "nonsense" in capsys.readouterr().err

    def test_a_wrong_number_names_the_flag(self, here, capsys):
        assert call("simulate", "--rpm", "-1") == 2
        assert capsys.readouterr().err == "batcher: --rpm is -1; write more than 0\n"
