"""Going on with changed rows or settings, and asking failed rows again."""

import gzip
import io
import os
import random
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import pytest

from batcher.cli import main as cli
from tests.e2e.conftest import (
    KEY,
    RemoteSimulator,
    assert_no_key,
    command,
    each_row_once,
    environment,
    records,
    write_prompts,
)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


@dataclass
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def batcher(*words: str) -> Ended:
    """The command in this process, which saves a second each time; see `killed` for real ones."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, environment(COLUMNS="300"), clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        cli.main(words)
    return Ended(int(end.value.code or 0), out.getvalue(), err.getvalue())


def verified(out: Path) -> None:
    proof = batcher("verify", str(out))
    assert proof.returncode == 0, proof.stderr


def true_so_far(out: Path) -> None:
    """Nothing is wrong in the middle of a run, but that rows wait."""
    wrong = batcher("verify", str(out)).stderr.splitlines()[1:]
    assert [each for each in wrong if "wait for the next run" not in each] == []


def bytes_of(out: Path) -> dict[str, bytes]:
    names = ("results.jsonl", "failures.jsonl", "run.json")
    return {name: (out / name).read_bytes() for name in names if (out / name).exists()}


class Bench:
    """Rows, a directory for their records, and a simulator that counts."""

    def __init__(self, simulator: RemoteSimulator, folder: Path, rows: int) -> None:
        self.simulator = simulator
        self.prompts = write_prompts(folder / "prompts.jsonl", rows)
        self.out = folder / "out"

    def command(self, *flags: str) -> list[str]:
        return command(self.prompts, self.out, self.simulator.base_url, *flags)

    def run(self, *flags: str) -> Ended:
        return batcher(*self.command(*flags)[3:])

    def retry(self, *flags: str) -> Ended:
        return batcher("retry-failed", str(self.out), *flags)

    @property
    def requests(self) -> int:
        count: int = self.simulator.stats()["requests"]
        return count

    @property
    def run_json(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads((self.out / "run.json").read_bytes())
        return found


@pytest.fixture(scope="module")
def shared() -> Iterator[RemoteSimulator]:
    simulator = RemoteSimulator(latency_ms=1)
    yield simulator
    simulator.stop()


@pytest.fixture
def start(shared: RemoteSimulator, tmp_path: Path) -> Callable[[int], Bench]:
    """Makes a bench whose simulator counts from nothing."""

    def make(rows: int) -> Bench:
        shared.control(up=True, reset=True)
        return Bench(shared, tmp_path, rows)

    return make


@pytest.fixture
def bench(start: Callable[[int], Bench]) -> Bench:
    """Ten answered rows."""
    made = start(10)
    ended = made.run()
    assert ended.returncode == 0, ended.stderr
    return made


class TestOtherSettings:
    def test_they_are_refused_with_what_differs_and_three_ways_on(self, bench: Bench) -> None:
        before = bytes_of(bench.out)

        ended = bench.run("--set", "request.max_tokens=300", "--model", "other")

        assert ended.returncode == 2
        for part in (
            'request.model: "m" → "other"',
            "request.max_tokens: 200 → 300",
            "--fresh",
            "--reuse",
            "--accept-changes",
        ):
            assert part in ended.stderr
        assert bytes_of(bench.out) == before
        assert bench.requests == 10

    def test_accepted_they_hold_for_what_remains(self, bench: Bench) -> None:
        write_prompts(bench.prompts, 13)

        ended = bench.run("--max-tokens", "300", "--accept-changes")

        assert ended.returncode == 0, ended.stderr
        assert "10 records stay as they are" in ended.stderr
        assert bench.requests == 13
        each_row_once(bench.out, 13)
        note = bench.run_json["changes"][0]
        assert note["way"] == "accept-changes"
        assert note["settings"] == ["request.max_tokens: 200 → 300"]
        verified(bench.out)
        assert bench.run("--max-tokens", "300").returncode == 0
        assert bench.requests == 13

    def test_reused_nothing_of_another_model_is_kept_in_the_results(self, bench: Bench) -> None:
        ended = bench.run("--model", "other", "--reuse")

        assert ended.returncode == 0, ended.stderr
        assert bench.requests == 20
        each_row_once(bench.out, 10)
        assert {r["model"] for r in records(bench.out)} == {"other"}
        assert {r["model"] for r in records(bench.out, "superseded.1.jsonl")} == {"m"}
        assert len(records(bench.out, "superseded.1.jsonl")) == 10
        verified(bench.out)

    def test_two_ways_at_once_are_refused(self, bench: Bench) -> None:
        ended = bench.run("--reuse", "--accept-changes")

        assert ended.returncode == 2
        assert "choose one" in ended.stderr


class TestOtherRows:
    def test_appended_rows_are_asked_and_no_others(self, bench: Bench) -> None:
        write_prompts(bench.prompts, 15)

        assert bench.run().returncode == 0
        assert bench.requests == 15
        each_row_once(bench.out, 15)
        verified(bench.out)

    def test_a_packed_file_is_gone_on_with_as_it_becomes_whole(
        self, start: Callable[[int], Bench]
    ) -> None:
        """It was cut, or somebody was still writing it, when the run began."""
        bench = start(21)
        rows = bench.prompts.read_bytes().splitlines(keepends=True)
        packer = zlib.compressobj(wbits=31)
        parts = [
            packer.compress(b"".join(rows[first : first + 7])) + packer.flush(zlib.Z_SYNC_FLUSH)
            for first in (0, 7, 14)
        ]
        parts[-1] += packer.flush()
        bench.prompts = bench.prompts.with_name("rows.jsonl.gz")
        ends, said, verified_as = [], [], []
        for count in (1, 2, 3):
            bench.prompts.write_bytes(b"".join(parts[:count]))
            ended = bench.run()
            ends.append((ended.returncode, bench.run_json["status"], len(records(bench.out))))
            said.append("ends in the middle" in ended.stderr)
            verified_as.append(batcher("verify", str(bench.out)).returncode)

        assert ends == [(2, "interrupted", 7), (2, "interrupted", 14), (0, "finished", len(rows))]
        assert said == [True, True, False]
        assert verified_as == [2, 2, 0]
        assert bench.requests == len(rows)
        each_row_once(bench.out, len(rows))

    def test_an_edited_row_is_refused_by_its_line(self, bench: Bench) -> None:
        rows = rows_of(bench.prompts)
        rows[3]["prompt"] = "Another question?"
        rows[6]["id"] = "renamed"
        write_rows(bench.prompts, rows[:9])

        ended = bench.run()

        assert ended.returncode == 2
        for part in (
            "has been edited",
            "now: 3:",
            "line 4: row-4 asks something else now",
            "line 7: was row-7, is renamed now",
            "line 10: no row of this run any more (was row-10)",
            "--reuse",
        ):
            assert part in ended.stderr.replace("no longer what they were", "now"), ended.stderr
        assert bench.requests == 10

    def test_reuse_finds_every_answer_wherever_its_row_stands_now(self, bench: Bench) -> None:
        rows = rows_of(bench.prompts)
        texts = {r["id"]: r["text"] for r in records(bench.out)}
        rows = [{"id": "new", "prompt": "New?"}, *reversed(rows[1:]), {"prompt": rows[0]["prompt"]}]
        rows[4]["prompt"] = "Edited?"  # row-7
        write_rows(bench.prompts, rows)

        ended = bench.run("--reuse")

        assert ended.returncode == 0, ended.stderr
        assert bench.requests == 12
        each_row_once(bench.out, 11)
        found = {r["line"]: r for r in records(bench.out)}
        assert found[2]["id"] == "row-10"
        assert found[2]["text"] == texts["row-10"]
        assert found[11]["id"] == "11"
        assert found[11]["text"] == texts["row-1"]
        assert [r["id"] for r in records(bench.out, "superseded.1.jsonl")] == ["row-7"]
        assert "9 records are kept" in ended.stderr
        verified(bench.out)
        assert bench.run().returncode == 0
        assert bench.requests == 12

    def test_equal_calls_need_a_record_each(self, bench: Bench) -> None:
        same = rows_of(bench.prompts)[0]["prompt"]
        write_rows(bench.prompts, [{"id": f"{n}", "prompt": same} for n in range(3)])

        assert bench.run("--reuse").returncode == 0
        assert bench.requests == 12
        each_row_once(bench.out, 3)
        assert len(records(bench.out, "superseded.1.jsonl")) == 9
        verified(bench.out)

    def test_a_mended_row_is_made_anew_by_reuse(self, bench: Bench) -> None:
        rows = rows_of(bench.prompts)
        write_rows(bench.prompts, [*rows, {"id": "bad"}])
        assert bench.run().returncode == 1
        write_rows(bench.prompts, [*rows, {"id": "bad", "prompt": "Good?"}])
        assert "line 11: bad asks something else now" in bench.run().stderr

        assert bench.run("--reuse").returncode == 0
        assert bench.requests == 11
        assert records(bench.out, "failures.jsonl") == []
        assert [r["status"] for r in records(bench.out, "superseded.1.jsonl")] == ["invalid"]
        verified(bench.out)

    def test_changes_of_rows_that_have_other_ids_now_cannot_be_accepted(self, bench: Bench) -> None:
        write_rows(bench.prompts, [{"id": "first", "prompt": "First?"}, *rows_of(bench.prompts)])

        ended = bench.run("--accept-changes")

        assert ended.returncode == 2
        assert "line 1: was row-1, is first now" in ended.stderr
        assert "--reuse" in ended.stderr
        assert bench.requests == 10

    def test_an_edit_of_the_text_alone_can_be_accepted(self, bench: Bench) -> None:
        rows = rows_of(bench.prompts)
        rows[0]["prompt"] = "Edited?"
        write_rows(bench.prompts, [*rows, {"id": "eleven", "prompt": "Eleven?"}])

        assert bench.run("--accept-changes").returncode == 0
        assert bench.requests == 11
        verified(bench.out)

    def test_kept_fields_are_those_of_the_row_that_is_served(
        self, start: Callable[[int], Bench]
    ) -> None:
        bench = start(1)
        write_rows(bench.prompts, [{"prompt": "A?", "tag": {"response": 1}}])
        bench.run("--keep", "tag")
        body = records(bench.out)[0]["response"]
        write_rows(bench.prompts, [{"prompt": "B?", "tag": 1}, {"prompt": "A?", "tag": "new"}])

        assert bench.run("--keep", "tag", "--reuse").returncode == 0
        found = {r["line"]: r for r in records(bench.out)}
        assert found[2]["tag"] == "new"
        assert found[2]["response"] == body
        assert found[1]["tag"] == 1

    def test_an_unknown_input_is_told_by_what_its_rows_ask(self, bench: Bench) -> None:
        manifest = bench.run_json
        manifest["input"]["sha256"] = None
        (bench.out / "run.json").write_bytes(orjson.dumps(manifest))
        rows = rows_of(bench.prompts)
        write_rows(bench.prompts, [*rows, {"id": "eleven", "prompt": "Eleven?"}])

        assert bench.run().returncode == 0
        assert bench.requests == 11

        (bench.out / "run.json").unlink()
        assert bench.run().returncode == 0
        rows[2]["prompt"] = "Edited?"
        write_rows(bench.prompts, rows)
        (bench.out / "run.json").unlink()
        assert "row-3 asks something else now" in bench.run().stderr
        assert bench.requests == 11


class TestStreams:
    def pipe(self, bench: Bench, data: bytes, *flags: str) -> subprocess.CompletedProcess[bytes]:
        words = command(Path("-"), bench.out, bench.simulator.base_url, *flags)
        return subprocess.run(
            words, env=environment(), input=data, capture_output=True, check=False
        )

    @pytest.mark.slow
    def test_reuse_and_retry_take_the_copy(
        self, start: Callable[[int], Bench], tmp_path: Path
    ) -> None:
        bench = start(6)
        data = bench.prompts.read_bytes() + b'{"id": "bad"}\n'
        assert self.pipe(bench, data).returncode == 1
        assert self.pipe(bench, data, "--model", "o").returncode == 2

        assert self.pipe(bench, data, "--model", "o", "--reuse").returncode == 1
        assert bench.requests == 12
        each_row_once(bench.out, 7)
        verified(bench.out)
        assert bench.retry("--only", "invalid_row").returncode == 1
        assert self.pipe(bench, b"", "--model", "o").returncode == 1
        verified(bench.out)
        assert bench.requests == 12

    def test_a_file_is_not_taken_for_the_stream(
        self, start: Callable[[int], Bench], tmp_path: Path
    ) -> None:
        bench = start(2)
        assert self.pipe(bench, bench.prompts.read_bytes()).returncode == 0

        ended = bench.run()

        assert ended.returncode == 2
        assert "begun with a stream" in ended.stderr

    def test_an_address_is_read_once_and_gone_on_with(
        self, start: Callable[[int], Bench], tmp_path: Path
    ) -> None:
        pytest.importorskip("fsspec")
        bench = start(5)
        url = f"file://{bench.prompts}"
        words = command(Path("x"), bench.out, bench.simulator.base_url)
        words[words.index("x")] = url

        def run(*flags: str) -> Ended:
            return batcher(*words[3:], *flags)

        assert run("--limit", "3").returncode == 0
        assert run().returncode == 0
        assert bench.requests == 5
        verified(bench.out)
        bench.prompts.unlink()
        assert run().returncode == 0
        words[words.index(url)] = f"{url}.other"
        assert "input.path" in run().stderr
        gone = tmp_path / "gone"
        words[words.index(str(bench.out))] = str(gone)
        ended = run()
        assert ended.returncode == 2
        assert "does not exist" in ended.stderr


class TestChoice:
    def test_shards_take_every_row_once(
        self, start: Callable[[int], Bench], tmp_path: Path
    ) -> None:
        bench = start(20)
        lines: Counter[int] = Counter()
        for part in (1, 2, 3):
            bench.out = tmp_path / f"out-{part}"
            assert bench.run("--shard", f"{part}/3").returncode == 0
            verified(bench.out)
            lines.update(r["line"] for r in records(bench.out))

        assert lines == Counter(range(1, 21))

    def test_a_sample_stays_the_same_and_is_compared(
        self, start: Callable[[int], Bench], tmp_path: Path
    ) -> None:
        bench = start(40)

        assert bench.run("--sample", "7", "--seed", "3").returncode == 0
        assert bench.requests == 7
        verified(bench.out)
        assert bench.run("--sample", "7", "--seed", "3").returncode == 0
        assert bench.requests == 7
        ended = bench.run("--sample", "7", "--seed", "4")
        assert ended.returncode == 2
        assert "input.seed: 3 → 4" in ended.stderr
        assert bench.run("--sample", "7", "--seed", "4", "--reuse").returncode == 0
        assert len(records(bench.out)) == 7
        verified(bench.out)

    def test_a_larger_limit_goes_on_and_a_smaller_one_is_refused(
        self, start: Callable[[int], Bench], tmp_path: Path
    ) -> None:
        bench = start(9)

        assert bench.run("--limit", "3").returncode == 0
        assert bench.run("--limit", "5").returncode == 0
        assert bench.requests == 5
        verified(bench.out)
        assert bench.run().returncode == 0
        ended = bench.run("--limit", "5")
        assert ended.returncode == 2
        assert "input.limit: (not set) → 5" in ended.stderr
        assert bench.requests == 9

    def test_a_wrong_shard_is_said_with_the_fix(self, bench: Bench) -> None:
        assert "from 1 to 3" in bench.run("--shard", "4/3").stderr
        assert "3/8" in bench.run("--shard", "half").stderr


class TestRetryFailed:
    @pytest.fixture
    def failed(self, start: Callable[[int], Bench]) -> Bench:
        """Six answers, four refused (7 to 10), two rows that cannot be asked."""
        bench = start(6)
        assert bench.run().returncode == 0
        rows = rows_of(write_prompts(bench.prompts, 10))
        write_rows(bench.prompts, [*rows, {"id": "bad"}, {"id": "worse", "prompt": 3}])
        bench.simulator.control(down="413")
        assert bench.run().returncode == 1
        bench.simulator.control(up=True)
        assert len(records(bench.out, "failures.jsonl")) == 6
        return bench

    def test_failed_rows_are_asked_again_and_answers_stay(
        self, failed: Bench, tmp_path: Path
    ) -> None:
        before = records(failed.out)
        template = tmp_path / "t.jinja"
        template.write_text("{{ prompt }}")
        changes = ("--set", f"request.template={template}", "--max-tokens", "4000")

        ended = failed.retry("--only", "too_large", *changes)

        assert ended.returncode == 1, ended.stderr
        assert "4 failed rows are asked again" in ended.stderr
        assert failed.requests == 14
        assert records(failed.out)[:6] == before
        assert [r["line"] for r in records(failed.out, "failures.1.jsonl")] == [7, 8, 9, 10]
        assert {r["id"] for r in records(failed.out, "failures.jsonl")} == {"bad", "worse"}
        each_row_once(failed.out, 12)
        verified(failed.out)
        note = failed.run_json
        assert note["retry"] is None
        assert note["changes"][0]["records"] == "failures.1.jsonl"
        assert "request.max_tokens: 200 → 4000" in note["changes"][0]["settings"]
        assert_no_key(failed.out, ended.stdout, ended.stderr)

    def test_the_runs_own_command_still_finds_its_settings(self, failed: Bench) -> None:
        assert failed.retry("--max-tokens", "4000").returncode == 1

        assert failed.run().returncode == 1
        assert failed.requests == 14

    def test_rows_that_fail_again_fail_again(self, failed: Bench) -> None:
        failed.simulator.control(down="413")

        for number in (1, 2):
            assert failed.retry().returncode == 1
            assert failed.requests == 10 + 4 * number
            moved = records(failed.out, f"failures.{number}.jsonl")
            assert [r["line"] for r in moved] == [7, 8, 9, 10]
            verified(failed.out)

    def test_unaskable_rows_are_taken_when_they_were_mended(self, failed: Bench) -> None:
        rows = rows_of(failed.prompts)
        write_rows(failed.prompts, [*rows[:10], {"id": "bad", "prompt": "Good?"}, rows[11]])

        assert failed.retry().returncode == 1
        assert {r["id"] for r in records(failed.out, "failures.1.jsonl")} >= {"row-7", "bad"}
        assert [r["id"] for r in records(failed.out, "failures.jsonl")] == ["worse"]
        assert failed.requests == 15
        verified(failed.out)
        assert failed.run().returncode == 1
        assert failed.requests == 15

    def test_unaskable_rows_are_taken_when_they_are_named(self, failed: Bench) -> None:
        assert failed.retry("--only", "invalid_row").returncode == 1
        assert {r["id"] for r in records(failed.out, "failures.1.jsonl")} == {"bad", "worse"}
        assert failed.requests == 10
        verified(failed.out)

    @pytest.mark.parametrize("line", [1, 7])
    def test_only_rows_that_are_asked_again_may_have_changed(
        self, failed: Bench, line: int
    ) -> None:
        rows = rows_of(failed.prompts)
        rows[line - 1]["prompt"] = "Edited?"
        write_rows(failed.prompts, rows)
        before = bytes_of(failed.out)

        ended = failed.retry()

        if line == 7:
            assert ended.returncode == 1
            verified(failed.out)
        else:
            assert ended.returncode == 2
            assert "line 1: row-1 asks something else now" in ended.stderr
            assert bytes_of(failed.out) == before

    def test_rows_that_nobody_asked_yet_are_left_to_the_run(self, failed: Bench) -> None:
        with failed.prompts.open("ab") as file:
            file.write(b'{"id": "later", "prompt": "Later?"}\n')

        ended = failed.retry("--only", "too_large")

        assert ended.returncode == 1
        assert "waiting" in ended.stderr
        assert failed.run_json["status"] == "interrupted"
        true_so_far(failed.out)
        assert failed.run().returncode == 1
        verified(failed.out)
        assert failed.requests == 15

    def test_nothing_failed_is_said(self, bench: Bench) -> None:
        ended = bench.retry()

        assert ended.returncode == 0
        assert "no failed rows" in ended.stderr
        verified(bench.out)

    def test_a_job_is_remembered_whole(
        self, shared: RemoteSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Template, key file, preset and place are those of the run, wherever one stands now."""
        folder = tmp_path / "job"
        folder.mkdir()
        write_prompts(folder / "rows.jsonl", 3)
        (folder / "t.jinja").write_text("Say: {{ prompt }}")
        (folder / "key").write_text(KEY)
        (folder / "key").chmod(0o600)
        (folder / "job.toml").write_text(
            f'input = "rows.jsonl"\noutput = "{tmp_path}/out"\n'
            '[request]\nmodel = "m"\ntemplate = "t.jinja"\npreset = "chat"\n'
            f'headers = {{ x-team = "blue" }}\nbase_url = "{shared.base_url}"\n'
            f'[[keys]]\nsource = "file:key"\n'
        )
        monkeypatch.chdir(folder)
        shared.control(down="413")
        assert batcher("run", "job.toml").returncode == 1
        shared.control(up=True, reset=True)
        (folder / "t.jinja").unlink()
        monkeypatch.chdir(tmp_path)

        ended = batcher("retry-failed", "out")
        assert ended.returncode == 2
        assert "--set request.headers.x-team=VALUE" in ended.stderr
        ended = batcher("retry-failed", "out", "--set", "request.headers.x-team=blue")

        assert ended.returncode == 0, ended.stderr
        out = tmp_path / "out"
        old = {r["line"]: r["fingerprint"] for r in records(out, "failures.1.jsonl")}
        assert {r["line"]: r["fingerprint"] for r in records(out)} == old
        assert len(old) == 3
        verified(out)
        assert_no_key(out, ended.stderr)

    def test_a_rehearsal_is_rehearsed_again(self, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.chdir(tmp_path)
        write_prompts(tmp_path / "rows.jsonl", 5)
        flags = ("--set", "simulator.latency_ms=0", "--set", "patience.max_attempts=1")
        ended = batcher(
            "rehearse", "rows.jsonl", "-m", "m", *flags, "--set", "simulator.faults.500=0.5"
        )
        assert ended.returncode == 1, ended.stderr
        out = tmp_path / "runs/rehearsal/rows"

        ended = batcher("retry-failed", str(out), "--set", "simulator.faults={}")

        assert "Traceback" not in ended.stderr
        verified(out)


def test_a_packed_copy_holds_the_results_of_a_finished_run(bench: Bench) -> None:
    packed = ("--set", "output.compress=gz")
    assert bench.run(*packed).returncode == 0
    copy = bench.out / "results.jsonl.gz"
    assert gzip.decompress(copy.read_bytes()) == (bench.out / "results.jsonl").read_bytes()

    write_prompts(bench.prompts, 12)
    assert bench.run(*packed).returncode == 0
    assert gzip.decompress(copy.read_bytes()) == (bench.out / "results.jsonl").read_bytes()
    assert len(records(bench.out)) == 12
    verified(bench.out)


def killed(words: list[str], after_s: float) -> None:
    process = subprocess.Popen(words, env=environment(), stderr=subprocess.DEVNULL)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_retry_killed_at_any_moment_goes_on_with_the_same_rows(
    simulate: Any, tmp_path: Path, seed: int
) -> None:
    simulator = simulate(latency_ms=100, faults={"truncated": 1.0}, faults_once=True)
    bench = Bench(simulator, tmp_path, 200)
    assert bench.run().returncode == 1
    failed = len(records(bench.out, "failures.jsonl"))
    assert failed == 200
    rng = random.Random(seed)
    words = [sys.executable, "-m", "batcher", "retry-failed", str(bench.out), "-c", "16"]
    before = bench.requests
    for _ in range(3):
        killed(words, rng.uniform(0.3, 1.5))
        true_so_far(bench.out)

    ended = batcher(*words[3:])

    assert ended.returncode in {0, 1}, ended.stderr
    each_row_once(bench.out, 200)
    assert not (bench.out / "failures.2.jsonl").exists()
    assert len(records(bench.out, "failures.1.jsonl")) == failed
    assert bench.requests - before <= failed + 3 * 16
    verified(bench.out)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_any_number_of_resumes_with_and_without_reuse_holds(
    simulate: Any, tmp_path: Path, seed: int
) -> None:
    bench = Bench(simulate(latency_ms=40), tmp_path, 150)
    rng = random.Random(seed)
    rows = rows_of(bench.prompts)
    flags: list[str] = ["-c", "16"]
    state, written = bench.out / "run.json", 0
    for _ in range(5):
        killed(
            command(bench.prompts, bench.out, bench.simulator.base_url, *flags),
            rng.uniform(0.4, 1.2),
        )
        if state.exists() and state.stat().st_mtime_ns != written:  # it had got to the new input
            true_so_far(bench.out)
            written = state.stat().st_mtime_ns
        rng.shuffle(rows)
        rows[rng.randrange(len(rows))] = {"id": "new", "prompt": f"New {rng.random()}?"}
        write_rows(bench.prompts, rows)
        flags = ["-c", "16", "--reuse"]

    ended = bench.run(*flags)

    assert ended.returncode == 0, ended.stderr
    each_row_once(bench.out, 150)
    verified(bench.out)
    asked = bench.requests
    assert bench.run().returncode == 0
    assert bench.requests == asked <= 150 + 5 + 5 * 16


@pytest.mark.slow
def test_a_run_interrupted_many_times_stays_true(simulate: Any, tmp_path: Path) -> None:
    bench = Bench(simulate(latency_ms=60), tmp_path, 60)
    for target in (10, 25, 40):
        process = subprocess.Popen(
            bench.command("-c", "4"),
            env=environment(),
            stderr=subprocess.DEVNULL,
        )
        while len(records(bench.out)) < target and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in {0, 130}
        true_so_far(bench.out)

    assert bench.run().returncode == 0
    assert bench.requests == 60
    each_row_once(bench.out, 60)
    verified(bench.out)
