"""A whole run, as a user types it."""

from pathlib import Path

import orjson
import pytest

from tests.e2e.conftest import (
    assert_no_key,
    each_row_once,
    records,
    run_batcher,
    write_prompts,
)

ONCE = (
    "500", "503", "529", "reset", "reset_body", "cut_body", "cut_json", "html", "invalid_utf8",
    "empty_body", "error_200",
)  # fmt: skip


def test_every_prompt_gets_its_answer_in_the_documented_form(simulate, tmp_path: Path) -> None:
    simulator = simulate()
    prompts = write_prompts(tmp_path / "prompts.jsonl", 50)
    out = tmp_path / "out"

    ended = run_batcher(prompts, out, simulator.base_url)

    assert ended.returncode == 0, ended.stderr
    each_row_once(out, 50)
    first = records(out)[0]
    assert list(first)[:13] == [
        "id", "line", "status", "text", "stop_reason", "usage", "model", "attempts", "latency_s",
        "key", "request_id", "finished_at", "fingerprint",
    ]  # fmt: skip
    assert first["key"] == "ANTHROPIC_API_KEY"
    assert first["response"]["content"][0]["text"] == first["text"]
    assert orjson.loads((out / "run.json").read_bytes())["counts"] == {"ok": 50}
    assert_no_key(out, ended.stdout, ended.stderr)


def test_the_same_command_again_sends_nothing(simulate, tmp_path: Path) -> None:
    simulator = simulate()
    prompts = write_prompts(tmp_path / "prompts.jsonl", 20)
    run_batcher(prompts, tmp_path / "out", simulator.base_url)
    before = simulator.stats()["requests"]

    ended = run_batcher(prompts, tmp_path / "out", simulator.base_url)

    assert ended.returncode == 0
    assert simulator.stats()["requests"] == before


def test_faults_met_once_cost_no_row(simulate, tmp_path: Path) -> None:
    simulator = simulate(faults=dict.fromkeys(ONCE, 0.08), faults_once=True)
    prompts = write_prompts(tmp_path / "prompts.jsonl", 300)

    ended = run_batcher(prompts, tmp_path / "out", simulator.base_url)

    assert ended.returncode == 0, ended.stderr
    each_row_once(tmp_path / "out", 300)
    assert len(simulator.stats()["by_fault"]) == len(ONCE)


@pytest.mark.slow
def test_faults_met_always_cost_their_row_and_no_other(simulate, tmp_path: Path) -> None:
    simulator = simulate(faults=dict.fromkeys(ONCE, 0.01))
    prompts = write_prompts(tmp_path / "prompts.jsonl", 400)
    out = tmp_path / "out"

    ended = run_batcher(
        prompts,
        out,
        simulator.base_url,
        "--max-attempts",
        "3",
        "--set",
        "patience.backoff_max_s=0.2",
    )

    assert ended.returncode == 1, ended.stderr
    each_row_once(out, 400)
    kinds = {r["error"]["kind"] for r in records(out, "failures.jsonl")}
    assert kinds == {"server_error", "overloaded", "connection", "bad_response"}
    assert all(len(r["attempts"]) >= 3 for r in records(out, "failures.jsonl"))


@pytest.mark.parametrize("fault", ["401", "echo_key", "balance_429", "balance_400", "404"])
def test_a_run_that_cannot_succeed_stops_at_once_and_says_why(
    simulate, tmp_path: Path, fault: str
) -> None:
    simulator = simulate(faults={fault: 1.0})
    prompts = write_prompts(tmp_path / "prompts.jsonl", 500)
    out = tmp_path / "out"

    ended = run_batcher(prompts, out, simulator.base_url, "--concurrency", "16")

    assert ended.returncode == 3, ended.stderr
    assert simulator.stats()["requests"] <= 16
    assert "Stopped" in ended.stderr
    assert_no_key(out, ended.stdout, ended.stderr)


def test_a_refused_key_is_named_by_its_alias(simulate, tmp_path: Path) -> None:
    simulator = simulate(faults={"401": 1.0})
    prompts = write_prompts(tmp_path / "prompts.jsonl", 5)

    ended = run_batcher(prompts, tmp_path / "out", simulator.base_url, "--quiet")

    assert "ANTHROPIC_API_KEY" in ended.stderr
    assert ended.returncode == 3


def test_bad_lines_are_invalid_records_and_the_others_are_answered(
    simulate, tmp_path: Path
) -> None:
    simulator = simulate()
    good = b'{"prompt": "fine"}'
    lines = [
        b"\xef\xbb\xbf" + good,
        b"{not json",
        b"",
        b"   ",
        good + b"\r",
        b'{"prompt": "nul \x00"}',
        b'{"prompt": "\\ud800"}',
        b"[1, 2]",
        b"null",
        b"{}",
        b'{"prompt": ""}',
        b'{"prompt": "\xff\xfe"}',
        b'{"prompt": "' + b"x" * 5_000_000 + b'"}',
        b'{"id": "same", "prompt": "a"}',
        b'{"id": "same", "prompt": "b"}',
        good,
    ]
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_bytes(b"\n".join(lines))
    out = tmp_path / "out"

    ended = run_batcher(prompts, out, simulator.base_url)

    assert ended.returncode == 1, ended.stderr
    assert sorted(r["line"] for r in records(out)) == [1, 5, 13, 14, 15, 16]
    invalid = records(out, "failures.jsonl")
    assert sorted(r["line"] for r in invalid) == [2, 6, 7, 8, 9, 10, 11, 12]
    assert {r["status"] for r in invalid} == {"invalid"}
    assert all(r["error"]["message"] for r in invalid)
