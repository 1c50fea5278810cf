"""Several keys on real sockets: their quotas add up, and one that is rotated costs no row."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.e2e.conftest import each_row_once, environment, records, write_prompts
from tests.support.aws import Moto, needs_moto

pytestmark = pytest.mark.slow

# Put together here so that no file of this repository holds anything shaped like a key.
CANARIES = {name: "sk-" + f"ant-api03-CANARY{name}" + "0a" * 12 for name in ("A", "B", "C", "D")}


class Running:
    """A run of a job in a process of its own."""

    def __init__(self, tmp_path: Path, keys: str, *, rows: int, base_url: str, **env: str) -> None:
        self.out = tmp_path / "out"
        self.rows = rows
        write_prompts(tmp_path / "prompts.jsonl", rows)
        job = tmp_path / "job.toml"
        job.write_text(
            f'input = "prompts.jsonl"\noutput = "{self.out}"\n'
            f'[request]\nmodel = "m"\nmax_tokens = 200\nbase_url = "{base_url}"\n{keys}'
        )
        clean = {n: v for n, v in environment().items() if not n.startswith("ANTHROPIC_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "batcher", "run", str(job)],
            env={**clean, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ends(self, timeout_s: float = 180.0) -> str:
        """Wait for the end; returns what it said on the screen, which holds no key."""
        said, _ = self.process.communicate(timeout=timeout_s)
        places = [path for path in self.out.rglob("*") if path.is_file()]
        for canary in CANARIES.values():
            assert canary not in said
            for path in places:
                assert canary.encode() not in path.read_bytes(), f"a key is in {path}"
        return said

    def events(self) -> Counter[str]:
        lines = (self.out / "log.jsonl").read_bytes().splitlines()
        return Counter(orjson.loads(line)["event"] for line in lines)

    def has_answered(self, simulator: Any, rows: int) -> None:
        """Wait until so many rows have been answered."""
        for _ in range(1200):
            if simulator.stats()["answers"] >= rows:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{simulator.stats()['answers']} rows answered; {self.ends()}")


def write_key(path: Path, value: str) -> None:
    """Replace a key file in one step, as a rotation does; never readable by others."""
    fresh = path.with_suffix(".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(fd, value.encode())
    os.close(fd)
    fresh.replace(path)


def key_table(source: str, **settings: object) -> str:
    lines = [f"{name} = {orjson.dumps(value).decode()}" for name, value in settings.items()]
    return "\n".join(["[[keys]]", f'source = "{source}"', *lines, ""])


def per_second(simulator: Any, seconds: float) -> float:
    before, began = int(simulator.stats()["admitted"]), time.monotonic()
    time.sleep(seconds)
    return (int(simulator.stats()["admitted"]) - before) / (time.monotonic() - began)


def test_three_quotas_add_up_and_a_key_rotated_late_costs_no_row(simulate, tmp_path: Path) -> None:
    simulator = simulate(requests_per_minute=600, burst_s=1, latency_ms=200, retry_after="exact")
    for (name, value), times in zip(CANARIES.items(), (1, 2, 4), strict=False):
        simulator.control(add={value: name}, scope=name, scale=times)
        write_key(tmp_path / name, value)
    tables = "".join(
        key_table(f"file:{tmp_path / name}", alias=name, refresh_s=1.0) for name in "ABC"
    )
    run = Running(tmp_path, tables, rows=2600, base_url=simulator.base_url)

    run.has_answered(simulator, 400)
    all_good = per_second(simulator, 10.0)
    simulator.control(revoke=[CANARIES["C"]])
    time.sleep(4.0)
    without = per_second(simulator, 3.0)
    simulator.control(add={CANARIES["D"]: "C"})
    write_key(tmp_path / "C", CANARIES["D"])
    said = run.ends()

    print(f"{all_good:.1f}/s of 70 with three keys, {without:.1f}/s of 30 without the largest")
    assert run.process.returncode == 0, said
    each_row_once(run.out, run.rows)
    assert records(run.out, "failures.jsonl") == []
    assert all_good >= 0.9 * 70
    assert without <= 31.5
    seen = run.events()
    assert (seen["key.benched"], seen["key.returned"]) == (1, 1)
    used = Counter(record["key"] for record in records(run.out))
    assert used["C"] > used["B"] > used["A"] > 0
    assert simulator.stats()["by_key"][CANARIES["D"]] > 100


def test_a_key_whose_file_has_changed_already_is_not_even_missed(simulate, tmp_path: Path) -> None:
    simulator = simulate(latency_ms=50)
    simulator.control(add={CANARIES["A"]: "one"})
    write_key(tmp_path / "A", CANARIES["A"])
    run = Running(
        tmp_path,
        key_table(f"file:{tmp_path / 'A'}"),
        rows=1500,
        base_url=simulator.base_url,
    )

    run.has_answered(simulator, 200)
    simulator.control(add={CANARIES["B"]: "one"})
    write_key(tmp_path / "A", CANARIES["B"])
    simulator.control(revoke=[CANARIES["A"]])
    said = run.ends()

    assert run.process.returncode == 0, said
    each_row_once(run.out, run.rows)
    assert records(run.out, "failures.jsonl") == []
    assert simulator.stats()["by_status"]["401"] <= 64
    assert run.events()["key.returned"] == 1


def test_when_every_key_is_refused_the_run_stops_with_three(simulate, tmp_path: Path) -> None:
    simulator = simulate(latency_ms=50)
    simulator.control(add={CANARIES["D"]: "one"})
    env = {f"KEY_{name}": CANARIES[name] for name in "ABC"}
    tables = "".join(key_table(f"env:{name}") for name in env)
    run = Running(tmp_path, tables, rows=500, base_url=simulator.base_url, **env)
    said = run.ends()

    assert run.process.returncode == 3, said
    assert "KEY_" in said
    assert simulator.stats()["requests"] <= 64
    assert records(run.out) == records(run.out, "failures.jsonl") == []


def test_numbered_variables_are_all_used(simulate, tmp_path: Path) -> None:
    simulator = simulate(latency_ms=20)
    env: Mapping[str, str] = {
        "ANTHROPIC_API_KEY": CANARIES["A"],
        "ANTHROPIC_API_KEY_2": CANARIES["B"],
        "ANTHROPIC_API_KEY_3": CANARIES["C"],
    }
    run = Running(tmp_path, "", rows=300, base_url=simulator.base_url, **env)
    said = run.ends()

    assert run.process.returncode == 0, said
    used = Counter(record["key"] for record in records(run.out))
    assert set(used) == set(env)
    assert min(used.values()) >= 30


@needs_moto
def test_a_secret_rotated_in_aws_is_taken_up_in_the_middle(simulate, tmp_path: Path) -> None:
    simulator = simulate(latency_ms=50, requests_per_minute=6000, burst_s=1)
    simulator.control(add={CANARIES["A"]: "one"})
    with Moto() as moto:
        aws = moto.client()
        name = "batcher/claude"
        aws.create_secret(Name=name, SecretString=f'{{"key": "{CANARIES["A"]}"}}')
        run = Running(
            tmp_path,
            key_table(f"aws-secretsmanager:{name}#key", alias="aws"),
            rows=1000,
            base_url=simulator.base_url,
            **moto.environment,
        )

        run.has_answered(simulator, 300)
        simulator.control(add={CANARIES["B"]: "one"})
        aws.put_secret_value(SecretId=name, SecretString=f'{{"key": "{CANARIES["B"]}"}}')
        simulator.control(revoke=[CANARIES["A"]])
        said = run.ends()

    assert run.process.returncode == 0, said
    each_row_once(run.out, run.rows)
    assert records(run.out, "failures.jsonl") == []
    assert run.events()["key.returned"] == 1
    assert simulator.stats()["by_key"][CANARIES["B"]] > 300
