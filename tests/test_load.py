"""Job files and flags become the job they mean; every mistake is named with its fix."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from batcher import clock
from batcher.errors import ConfigError
from batcher.job import Job, Output
from batcher.load import expanded, from_flags, load, parse_set, read_template
from batcher.policy.mistakes import section_model, settings

REFERENCE = Path(__file__).parents[1] / "jobs" / "reference.toml"
# Put together here so that no file of this repository holds anything shaped like a key.
A_KEY = "sk-" + "ant-api03-" + "a1" * 20


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a job file below the working directory and returns its path, relative to it."""
    monkeypatch.chdir(tmp_path)

    def to(text: str | bytes, name: str = "jobs/x.toml") -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return to


def complaint(path: Path, **more) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, **more)
    return str(caught.value)


class TestJobFile:
    def test_paths_of_input_and_template_start_at_the_file(self, write):
        job = load(write('input = "data/t.jsonl"\noutput = "runs/t"\nrequest.template = "t.md"'))

        assert job.input.path == "jobs/data/t.jsonl"
        assert job.request.template == "jobs/t.md"
        assert job.output.path == "runs/t"
        assert job.folder == Path("jobs")

    def test_absolute_and_remote_paths_and_standard_input_stay(self, write, monkeypatch):
        monkeypatch.setenv("HOME", "/home/someone")

        assert load(write('input = "/data/t.jsonl"')).input.path == "/data/t.jsonl"
        assert load(write('input = "s3://b/t.jsonl"')).input.path == "s3://b/t.jsonl"
        assert load(write('input = "-"')).input.path == "-"
        assert load(write('input = "~/t.jsonl"')).input.path == "/home/someone/t.jsonl"

    def test_a_job_without_a_name_is_called_after_its_file(self, write):
        assert load(write("", "jobs/night run.toml")).name == "night-run"

    def test_name_and_date_are_filled_into_the_output(self, write):
        job = load(write('name = "n"\noutput = "runs/{name}/{date}"'))

        today = clock.wall().astimezone().date().isoformat()
        assert job.output.path == f"runs/n/{today}"
        assert expanded(job) == job

    def test_another_placeholder_is_refused(self, write):
        assert "{time} is not known" in complaint(write('output = "runs/{time}"'))

    def test_a_byte_order_mark_is_no_mistake(self, write):
        assert load(write(b"\xef\xbb\xbfname = 'a'")).name == "a"


class TestOverrides:
    def test_they_win_over_the_file_and_start_at_the_working_directory(self, write):
        path = write('input = { path = "a.jsonl", limit = 3 }\n[limits]\nconcurrency = 4')
        job = load(path, overrides={"input.path": "b.jsonl", "limits.concurrency": 8})

        assert (job.input.path, job.input.limit, job.limits.concurrency) == ("b.jsonl", 3, 8)

    def test_a_sections_path_may_be_given_by_its_name(self, write):
        job = load(write("input.limit = 3"), overrides={"input": "b.jsonl"})

        assert (job.input.path, job.input.limit) == ("b.jsonl", 3)

    def test_a_whole_section_is_merged_into_the_files(self, write):
        job = load(write('request.model = "m"'), overrides={"request": {"max_tokens": 5}})

        assert (job.request.model, job.request.max_tokens) == ("m", 5)

    def test_tables_inside_a_section_can_be_reached(self, write):
        overrides = {"simulator.faults.http_500": 0.1, "request.headers.x-team": "a"}
        job = load(write(""), overrides=overrides)

        assert job.simulator.faults == {"http_500": 0.1}
        assert job.request.headers == {"x-team": "a"}

    def test_a_mistake_is_blamed_on_the_flag_that_made_it(self, write):
        said = complaint(
            write("limits.concurrency = 4"),
            overrides={"limits.concurrency": 0, "request.modell": "m"},
            flags={"limits.concurrency": "--concurrency"},
        )

        assert said.splitlines() == [
            "request.modell is not a setting; did you mean model?",
            "--concurrency is 0; write at least 1",
        ]

    def test_a_part_of_a_list_cannot_be_set(self, write):
        said = complaint(write('keys = [{source = "env:A"}]'), overrides={"keys.1.source": "x"})

        assert "keys is given whole" in said

    def test_flags_alone_make_a_job_called_after_its_input(self):
        job = from_flags({"input.path": "data/my rows.jsonl.gz", "request.model": "m"})

        assert (job.name, job.output.path, job.folder) == ("my-rows", "runs/my-rows", None)
        assert from_flags({"input.path": "-"}).name == "batch"


class TestSet:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("limits.concurrency=8", ("limits.concurrency", 8)),
            ("request.temperature = 0.5", ("request.temperature", 0.5)),
            ("request.stream=true", ("request.stream", True)),
            ("request.model=claude-haiku-5-5", ("request.model", "claude-haiku-5-5")),
            ('request.model="m"', ("request.model", "m")),
            ("request.model=4", ("request.model", "4")),
            ("request.system=true", ("request.system", "true")),
            ("name=2026-11-22", ("name", "2026-11-22")),
            ('request.stop=["a", "b"]', ("request.stop", ["a", "b"])),
            ("request.system=a = b", ("request.system", "a = b")),
            ("request.system=", ("request.system", "")),
            ("request.max_tokens=5\nrequest.model=6", None),
        ],
    )
    def test_values_are_toml_or_else_text(self, text, expected):
        assert parse_set(text) == (expected or ("request.max_tokens", "5\nrequest.model=6"))

    @pytest.mark.parametrize("text", ["", "x", "=3", " =3"])
    def test_what_is_no_assignment_is_refused(self, text):
        with pytest.raises(ConfigError, match=r"section\.field=value"):
            parse_set(text)

    @given(st.text())
    def test_any_text_is_a_value_or_refused(self, text):
        try:
            parse_set(text)
        except ConfigError as problem:
            assert "--set" in str(problem)


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("request.max_token = 4", "jobs/x.toml: request.max_token is not a setting; did you"),
            ("request.max_token = 4", "did you mean max_tokens?"),
            ("max_tokens = 4", "did you mean request.max_tokens?"),
            ("rpm = 4", "did you mean limits.requests_per_minute?"),
            ("requests.model = 'm'", "did you mean request?"),
            ("limits.colour = 4", "limits has: concurrency, requests_per_minute"),
            ("colour = 4", "a job has: name, input, output"),
            ("limits.concurrency = 0", "limits.concurrency is 0; write at least 1"),
            ("limits.requests_per_minute = 0", "write more than 0"),
            ("limits.concurrency = 'x'", 'is "x"; write a whole number'),
            ("limits.concurrency = 30000", "write at most 20000"),
            ("request.temperature = 'hot'", 'is "hot"; write a number'),
            ("request.stream = 'maybe'", 'is "maybe"; write true or false'),
            ("request.model = 4", "is 4; write a text in quotes"),
            ("request.provider = 'antropic'", 'is "antropic"; did you mean anthropic?'),
            ("request.provider = 'x'", "write one of anthropic, anthropic-complete, openai"),
            ("request = 'x'", "write a table of settings"),
            ("request.headers = 'x'", "write a table"),
            ("output.keep = 'x'", "write a list"),
            ("name = 'a b'", "use only letters, digits"),
            ("[[keys]]\nalias = 'a'", "keys.1.source is missing"),
            ("keys = ['env:A']", "keys.1 is wrong"),
            ("[[keys]]\nsource = 'A_KEY'", "keys.1.source is wrong: a key is named by where"),
            ("[[keys]]\nsource = 'vault:x'", "keys.1.source is wrong: a key is named by where"),
            ("[[keys]]\nsource = 'command: '", "keys.1.source is wrong: the command is empty"),
            ('[[keys]]\nsource = "command:a \'b"', "a quote without its partner"),
            ("[[keys]]\nsource = 'env:A'\nactive = '22-6'", 'write hours as "22:00-06:00"'),
            ("[[keys]]\nsource = 'env:A'\nactive = '9:00-9:00'", "begins and ends at once"),
            ("[[keys]]\nsource = 'env:A'\ntime_zone = 'Europe/Berln'", "keys.1.time_zone is wrong"),
            ("[[keys]]\nsource = 'env:A'\nweight = 0", "keys.1.weight is wrong; write more than 0"),
            (
                "keys = [{source='env:A', alias='x'}, {source='env:B', alias='x'}]",
                "key 2 has the al",
            ),
            ("keys = [{source='env:A'}, {source='env:A'}]", "key 2 has the source of an earlier"),
            ("keys = [{source='env:A', base_url='https://me:pw@host'}]", "take it out"),
            (
                "keys = [{source='env:A', scope='s', requests_per_minute=1}, "
                "{source='env:B', scope='s', requests_per_minute=2}]",
                "key 2 states another requests_per_minute than an earlier key of its scope",
            ),
            ("folder = 'x'", "folder is not a setting"),
            ("rehearsal = true", "rehearsal is not a setting"),
            ("request.base_url = 'https://me:pw@host/'", "take it out"),
            ("a = \n", "jobs/x.toml, line 1, column 5: invalid value; a text needs quotes"),
            ("[request]\nmodel = m", "line 2, column 9"),
            ("name = 'a'\nname = 'b'", "given twice"),
            ("x", "jobs/x.toml, at its end: expected '='"),
            ("a = [1,", "jobs/x.toml"),
            (b"a = '\xff'", "is not UTF-8 text (byte 5)"),
        ],
    )
    def test_each_is_said_with_its_place_and_fix(self, write, text, says):
        assert says in complaint(write(text))

    def test_all_are_said_at_once(self, write):
        said = complaint(write("colour = 1\nlimits.concurrency = 0\nrequest.model = 3"))

        assert len(said.splitlines()) == 3

    def test_a_missing_file_points_to_the_one_meant(self, write):
        write("", "jobs/summarize.toml")

        assert "jobs/sumarize.toml does not exist; did you mean jobs/summarize.toml?" in complaint(
            Path("jobs/sumarize.toml")
        )

    def test_a_directory_names_its_jobs(self, write):
        assert "jobs is a directory; name one of its job files: x.toml" in complaint(
            write("").parent
        )


class TestSecrets:
    @pytest.mark.parametrize(
        "text",
        [
            f"request.system = 'x {A_KEY}'",
            f"[[keys]]\nsource = '{A_KEY}'",
            f"[[keys]]\nsource = 'env:{A_KEY}'",
            f"request.extra = {{ a = [{{ b = '{A_KEY}' }}] }}",
            f"request.headers = {{ x = 'Bearer {'z' * 20}' }}",
            f"api_key = '{A_KEY}'",
        ],
    )
    def test_a_key_written_into_a_job_is_refused_and_not_repeated(self, write, text):
        said = complaint(write(text))

        assert 'keys = [{source = "env:NAME"}]' in said
        assert A_KEY not in said
        assert "z" * 20 not in said

    def test_headers_that_carry_keys_are_refused_whatever_they_hold(self, write):
        assert "holds a key" in complaint(write("request.headers = { X-Api-Key = 'secret' }"))

    def test_a_wrong_value_that_is_a_key_is_masked(self, write):
        assert A_KEY not in complaint(write(f"limits.concurrency = '{A_KEY}'"))

    def test_a_key_given_as_a_flag_is_refused_and_not_repeated(self):
        with pytest.raises(ConfigError) as caught:
            from_flags({"keys": [{"source": A_KEY}]}, flags={"keys": "--key"})

        assert str(caught.value).startswith("--key")
        assert A_KEY not in str(caught.value)


class TestTemplate:
    def test_it_is_read_from_beside_the_job(self, write):
        write("{{ a }}\n", "jobs/t.md")

        assert read_template(load(write('request.template = "t.md"'))) == "{{ a }}\n"

    def test_a_job_without_one_has_none(self):
        assert read_template(Job()) is None

    def test_a_missing_one_is_named(self, write):
        write("", "jobs/ticket.md")
        with pytest.raises(
            ConfigError, match=r"request\.template: jobs/tickets\.md .* jobs/ticket\.md\?"
        ):
            read_template(load(write('request.template = "tickets.md"')))


class TestReference:
    """jobs/reference.toml shows every setting with its default, and nothing else."""

    COMMENTED = re.compile(r"^# ([a-z_0-9]+ = |\[)", re.MULTILINE)

    def flat(self, text: str) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, value in tomllib.loads(text).items():
            section = value[0] if isinstance(value, list) else value
            if isinstance(section, dict):
                found.update({f"{name}.{field}": v for field, v in section.items()})
            else:
                found[name] = value
        return found

    def test_it_names_every_setting_and_no_other(self):
        every = self.COMMENTED.sub(lambda m: m[1], REFERENCE.read_text())

        assert set(self.flat(every)) == set(settings())

    def test_what_it_states_is_the_default_and_the_rest_has_none(self):
        stated = self.flat(REFERENCE.read_text())
        without = {
            name
            for name, info in settings().items()
            if info.is_required() or info.default is None or name.startswith("keys.")
        }

        assert stated.keys() == settings().keys() - without
        for name, value in stated.items():
            default = settings()[name].get_default(call_default_factory=True)
            assert value == default, name

    def test_it_loads_as_the_job_nobody_changed(self):
        job = load(REFERENCE)

        assert job == Job(folder=REFERENCE.parent, output={"path": "runs/batch"})

    def test_its_examples_are_valid(self, write):
        every = self.COMMENTED.sub(lambda m: m[1], REFERENCE.read_text())

        assert load(write(every)).keys[0].alias == "support"

    def test_every_setting_has_a_sentence(self):
        missing = [name for name, info in settings().items() if not info.description]

        assert not missing
        for info in Job.model_fields.values():
            section = section_model(info)
            assert section is None or section.__doc__


def test_an_output_directory_is_one_of_this_machine() -> None:
    with pytest.raises(ValidationError, match="directory of this machine"):
        Output(path="s3://bucket/runs")
