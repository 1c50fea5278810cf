"""A flag is a setting of the job by another name, and nothing more."""

import pytest

from batcher.cli.flags import FLAGS, SIMULATOR_FLAGS, given
from batcher.cli.target import check_rows, is_job, job_from_flags
from batcher.errors import ConfigError
from batcher.job import Job
from batcher.policy.mistakes import settings

PARAMETERS = {flag.names[0]: flag.parameter for flag in (*FLAGS, *SIMULATOR_FLAGS)}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory with a file of rows."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"prompt": "hi"}\n')
    return tmp_path


def said(*words: str, table=FLAGS, sets: tuple[str, ...] = ()):
    """Flags as typer hands them over: `said("--rpm", "5")`."""
    values: dict[str, object] = {}
    many = {flag.parameter for flag in table if flag.many}
    for name, value in zip(words[::2], words[1::2], strict=True):
        parameter = PARAMETERS[name]
        if parameter in many:
            values.setdefault(parameter, []).append(value)  # type: ignore[attr-defined]
        else:
            values[parameter] = value
    return given(values, sets, table=table)


def complaint(target: str, settings) -> str:
    with pytest.raises(ConfigError) as caught:
        job_from_flags(target, settings)
    return str(caught.value)


class TestTable:
    def test_every_flag_names_a_setting(self):
        fields = {flag.field for flag in (*FLAGS, *SIMULATOR_FLAGS)} - {"keys"}

        assert fields <= settings().keys()

    def test_no_two_flags_share_a_name_or_a_setting(self):
        for table in (FLAGS, SIMULATOR_FLAGS):
            names = [name for flag in table for name in flag.names]
            fields = [flag.field for flag in table]

            assert len(set(names)) == len(names)
            assert len(set(fields)) == len(fields)


class TestJobFromFlags:
    def test_rows_and_flags_make_the_whole_job(self, here):
        job = job_from_flags(
            "rows.jsonl",
            said(
                *("--out", "runs/a", "--provider", "openai", "--model", "m", "--system", "s"),
                *("--base-url", "http://127.0.0.1:1", "--template", "t.md", "--max-tokens", "9"),
                *("--temperature", "0.5", "--top-p", "0.9", "--stop", "A", "--stop", "5"),
                *("--concurrency", "8", "--rpm", "1_000", "--itpm", "2e6", "--otpm", "4"),
                *("--limit", "3", "--max-attempts", "2", "--timeout", "30", "--backoff", "linear"),
                *("--keep", "a", "--keep", "b", "--api-version", "2023-06-01", "--auth", "bearer"),
                *("--key", "MY_KEY", "--key", "file:/run/key", "--log-level", "debug"),
                *("--preset", "chat", "--id-field", "n", "--name", "x"),
            ),
        )

        assert job == Job(
            name="x",
            input={"path": "rows.jsonl", "id_field": "n", "limit": 3},
            output={"path": "runs/a", "keep": ["a", "b"]},
            request={
                "provider": "openai",
                "model": "m",
                "system": "s",
                "base_url": "http://127.0.0.1:1",
                "template": "t.md",
                "max_tokens": 9,
                "temperature": 0.5,
                "top_p": 0.9,
                "stop": ["A", "5"],
                "api_version": "2023-06-01",
                "auth": "bearer",
                "preset": "chat",
            },
            limits={
                "concurrency": 8,
                "requests_per_minute": 1000,
                "input_tokens_per_minute": 2_000_000,
                "output_tokens_per_minute": 4,
            },
            patience={"max_attempts": 2, "timeout_s": 30, "backoff": "linear"},
            keys=[{"source": "env:MY_KEY"}, {"source": "file:/run/key"}],
            log={"level": "debug"},
        )

    def test_flags_win_over_a_job_file(self, here):
        (here / "jobs").mkdir()
        (here / "jobs" / "j.toml").write_text('input = "a.jsonl"\nrequest.model = "m"\n')
        job = job_from_flags("jobs/j.toml", said("--model", "n", "--limit", "2"))

        assert (job.request.model, job.input.path, job.input.limit) == ("n", "jobs/a.jsonl", 2)

    def test_set_wins_over_a_flag(self, here):
        job = job_from_flags("rows.jsonl", said("--rpm", "5", sets=("limits.concurrency=3",)))
        other = said("--concurrency", "5", sets=("limits.concurrency=3",))

        assert (job.limits.requests_per_minute, job.limits.concurrency) == (5, 3)
        assert job_from_flags("rows.jsonl", other).limits.concurrency == 3

    def test_quotes_in_a_text_stay(self, here):
        job = job_from_flags("rows.jsonl", said("--system", '"hi"', "--model", "4"))

        assert (job.request.system, job.request.model) == ('"hi"', "4")

    def test_standard_input_needs_no_file(self):
        assert job_from_flags("-", said()).input.path == "-"

    def test_no_response_switches_it_off(self, here):
        off = given({PARAMETERS["--no-response"]: True})

        assert job_from_flags("rows.jsonl", off).output.response is False
        unsaid = given({PARAMETERS["--no-response"]: False})
        assert job_from_flags("rows.jsonl", unsaid).output.response is True

    def test_mistakes_name_the_flag(self, here):
        wrong = said("--concurrency", "0", "--max-tokens", "many", sets=("limits.rpm=3",))

        assert complaint("rows.jsonl", wrong).splitlines() == [
            '--max-tokens is "many"; write a whole number',
            "--concurrency is 0; write at least 1",
            "--set limits.rpm: is not a setting; did you mean limits.requests_per_minute?",
        ]

    def test_a_key_on_the_command_line_is_refused_unrepeated(self, here):
        key = "sk-" + "ant-" + "a1" * 20
        text = complaint("rows.jsonl", said("--key", key))

        assert text.startswith("--key ")
        assert key not in text


class TestSimulatorFlags:
    def test_they_set_the_simulator(self):
        found = said(
            *("--rpm", "600", "--burst-s", "1", "--fault", "529:0.05", "--fault", "reset:1"),
            table=SIMULATOR_FLAGS,
        )

        assert found.overrides == {
            "simulator.requests_per_minute": 600,
            "simulator.burst_s": 1,
            "simulator.faults": {"529": 0.05, "reset": 1.0},
        }

    @pytest.mark.parametrize("text", ["529", "529:", ":0.5", "529:2", "529:x", "529:nan"])
    def test_a_fault_needs_a_share(self, text):
        with pytest.raises(ConfigError, match="KIND:SHARE"):
            said("--fault", text, table=SIMULATOR_FLAGS)


class TestTarget:
    def test_only_toml_is_a_job(self):
        assert is_job("jobs/a.toml")
        assert not is_job("rows.jsonl")
        assert not is_job("-")

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("rows.csv", "to_json"),
            ("rows.parquet", "to_json"),
            ("rows.yml", "jobs are TOML files"),
            ("rows.zip", "unpack it"),
            ("prompt.md", "--template"),
            ("row.jsonl", "row.jsonl does not exist; did you mean rows.jsonl?"),
            ("nowhere/rows.jsonl", "does not exist"),
            (".", "is a directory; name a job or a file of rows: it has rows.jsonl"),
        ],
    )
    def test_what_is_no_file_of_rows_is_refused_with_a_way_on(self, here, name, says):
        assert says in complaint(name, said())

    def test_json_is_read_when_it_holds_json_lines(self, here):
        (here / "lines.json").write_text('{"prompt": "a"}\n{"prompt": "b"}\n')
        (here / "list.json").write_text('[\n{"prompt": "a"}\n]')
        check_rows(here / "lines.json")

        assert "one JSON object a line" in complaint("list.json", said())

    def test_a_missing_job_is_named(self, here):
        assert "j.toml does not exist" in complaint("j.toml", said())
