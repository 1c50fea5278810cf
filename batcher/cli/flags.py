"""Which flags there are: each is a setting of the job by another name, and nothing more.

The table is the only place that names them. Type, range and meaning come from the setting
itself, so that a flag, a job file and `--set` cannot disagree.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Annotated, Any, NamedTuple

import typer

from batcher.errors import ConfigError
from batcher.load import parse_set
from batcher.policy.mistakes import is_text, settings
from batcher.records import record

_INPUT = "Rows and records"
_REQUEST = "Request"
_LIMITS = "Limits"
_PATIENCE = "Patience"
_KEYS = "Keys"
_MORE = "More"
_QUOTA = "Quota"
_ODD = "Time and oddities"

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


class Flag(NamedTuple):
    """One flag: its names, the setting it gives, and how help shows it.

    `many` flags may be repeated. A `turns_off` flag takes no value and sets false.
    """

    names: tuple[str, ...]
    field: str
    shows: str
    panel: str
    many: bool = False
    turns_off: bool = False
    help: str | None = None

    @property
    def parameter(self) -> str:
        """The name of the function parameter that carries it."""
        return "flag_" + self.names[0].lstrip("-").replace("-", "_")


FLAGS: Sequence[Flag] = (
    Flag(("--out", "-o"), "output.path", "DIR", _INPUT),
    Flag(("--id-field",), "input.id_field", "FIELD", _INPUT),
    Flag(("--limit",), "input.limit", "N", _INPUT),
    Flag(("--sample",), "input.sample", "N", _INPUT),
    Flag(("--seed",), "input.seed", "S", _INPUT),
    Flag(("--shard",), "input.shard", "I/N", _INPUT),
    Flag(("--keep",), "output.keep", "FIELD", _INPUT, many=True),
    Flag(
        ("--no-response",),
        "output.response",
        "",
        _INPUT,
        turns_off=True,
        help="Leave the provider's raw body out of the records.",
    ),
    Flag(("--name",), "name", "NAME", _INPUT),
    Flag(("--provider", "-p"), "request.provider", "P", _REQUEST),
    Flag(("--model", "-m"), "request.model", "M", _REQUEST),
    Flag(("--base-url",), "request.base_url", "URL", _REQUEST),
    Flag(("--system",), "request.system", "TEXT", _REQUEST),
    Flag(
        ("--template",),
        "request.template",
        "FILE",
        _REQUEST,
        help="jinja2 file that makes the prompt from a row's fields.",
    ),
    Flag(("--max-tokens",), "request.max_tokens", "N", _REQUEST),
    Flag(("--temperature",), "request.temperature", "T", _REQUEST),
    Flag(("--top-p",), "request.top_p", "P", _REQUEST),
    Flag(("--stop",), "request.stop", "TEXT", _REQUEST, many=True),
    Flag(("--preset",), "request.preset", "chat|content", _REQUEST),
    Flag(("--api-version",), "request.api_version", "DATE", _REQUEST),
    Flag(("--concurrency", "-c"), "limits.concurrency", "N", _LIMITS),
    Flag(
        ("--rpm",), "limits.requests_per_minute", "N", _LIMITS, help="Requests a minute, at most."
    ),
    Flag(
        ("--itpm",),
        "limits.input_tokens_per_minute",
        "N",
        _LIMITS,
        help="Input tokens a minute, at most.",
    ),
    Flag(
        ("--otpm",),
        "limits.output_tokens_per_minute",
        "N",
        _LIMITS,
        help="Output tokens a minute, at most.",
    ),
    Flag(("--max-attempts",), "patience.max_attempts", "N", _PATIENCE),
    Flag(("--timeout",), "patience.timeout_s", "SECONDS", _PATIENCE),
    Flag(("--backoff",), "patience.backoff", "exponential|linear", _PATIENCE),
    Flag(("--deadline",), "patience.deadline", "06:00|90m", _PATIENCE),
    Flag(
        ("--key", "--env-key"),
        "keys",
        "SOURCE",
        _KEYS,
        many=True,
        help="Where a key is kept: env:NAME, NAME for short, file:PATH, command:... or "
        "aws-secretsmanager:ID; never the key itself. May be repeated. Left out: the "
        "provider's usual environment variables.",
    ),
    Flag(("--auth",), "request.auth", "x-api-key|bearer|none", _KEYS),
    Flag(("--log-level",), "log.level", "LEVEL", _MORE),
)

SIMULATOR_FLAGS: Sequence[Flag] = (
    Flag(("--rpm",), "simulator.requests_per_minute", "N", _QUOTA),
    Flag(("--itpm",), "simulator.input_tokens_per_minute", "N", _QUOTA),
    Flag(("--otpm",), "simulator.output_tokens_per_minute", "N", _QUOTA),
    Flag(("--burst-s",), "simulator.burst_s", "SECONDS", _QUOTA),
    Flag(("--retry-after",), "simulator.retry_after", "exact|seconds|none", _QUOTA),
    Flag(
        ("--no-headers",),
        "simulator.headers",
        "",
        _QUOTA,
        turns_off=True,
        help="Send no rate-limit headers.",
    ),
    Flag(("--latency-ms",), "simulator.latency_ms", "MS", _ODD),
    Flag(("--slots",), "simulator.slots", "N", _ODD),
    Flag(
        ("--fault",),
        "simulator.faults",
        "KIND:SHARE",
        _ODD,
        many=True,
        help="Share of prompts (0 to 1) that suffer it: a status such as 500 or 529, reset, "
        "cut_body, hang, html, truncated, refused, ...",
    ),
    Flag(("--seed",), "simulator.seed", "N", _ODD),
)

SET = Flag(
    ("--set",),
    "",
    "SECTION.FIELD=VALUE",
    _MORE,
    many=True,
    help="Any setting of a job; VALUE is TOML, or else text. jobs/reference.toml has them all.",
)


@record
class Given:
    """What the flags of a command line say.

    Attributes:
        overrides: Dotted setting -> value, as load.load takes it.
        flags: Dotted setting -> the flag that gave it, for messages.
    """

    overrides: Mapping[str, object]
    flags: Mapping[str, str]


def given(
    values: Mapping[str, Any], sets: Sequence[str] = (), *, table: Sequence[Flag] = FLAGS
) -> Given:
    """Overrides out of the values of flags; `--set` wins over a flag for the same setting.

    Args:
        values: Flag.parameter -> a text, a list of texts or a bool; None and empty: not given.
        sets: Texts of `--set`.
        table: Whose flags they are.

    Raises:
        ConfigError: A `--set` is no assignment, a `--fault` no share.
    """
    overrides: dict[str, object] = {}
    flags: dict[str, str] = {}
    for flag in table:
        value = values.get(flag.parameter)
        if value is None or value is False or value == []:
            continue
        overrides[flag.field] = _as_setting(flag, value)
        flags[flag.field] = flag.names[0]
    for text in sets:
        field, value = parse_set(text)
        overrides[field] = value
        flags[field] = f"--set {field}:"
    return Given(overrides=overrides, flags=flags)


def _as_setting(flag: Flag, value: Any) -> object:
    if flag.turns_off:
        return False
    if flag.field == "keys":
        return [{"source": f"env:{s}" if _VARIABLE.fullmatch(s) else s} for s in value]
    if flag.field == "simulator.faults":
        return dict(map(_fault, value))
    if flag.many or is_text(flag.field):
        return value
    return parse_set(f"{flag.field}={value}")[1]


def _fault(text: str) -> tuple[str, float]:
    kind, _, share = text.partition(":")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if not kind or not 0 <= value <= 1:
        raise ConfigError(f"--fault {text}: write it as KIND:SHARE, e.g. 529:0.05")
    return kind, value


def with_settings(
    *fields: str, table: Sequence[Flag] = FLAGS
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the flags of these settings (all when none is named) and `--set`.

    The command takes them together in its parameter `settings: Given`.
    """
    chosen = [f for f in table if not fields or f.field in fields]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        own = [p for p in signature.parameters.values() if p.name != "settings"]
        words = [p for p in own if p.kind is not p.KEYWORD_ONLY]
        switches = [p for p in own if p.kind is p.KEYWORD_ONLY]
        # Help shows panels in the order of their first flag.
        parameters = [*words, *map(_parameter, chosen), *switches, _parameter(SET)]

        @wraps(command)
        def call(**values: Any) -> None:
            mine = {p.name: values.pop(p.name) for p in own}
            sets = values.pop(SET.parameter) or ()
            command(**mine, settings=given(values, sets, table=table))

        # typer reads a command's flags from its signature.
        vars(call)["__signature__"] = signature.replace(parameters=parameters)
        call.__annotations__ = {p.name: p.annotation for p in parameters}
        return call

    return decorate


def _parameter(flag: Flag) -> inspect.Parameter:
    info = settings().get(flag.field)
    text = flag.help or (info.description if info else None) or ""
    kind: Any = bool if flag.turns_off else (list[str] if flag.many else str) | None
    option = typer.Option(
        *flag.names,
        metavar=flag.shows or None,
        help=" ".join(text.replace("[", r"\[").split()) + (" Repeatable." if flag.many else ""),
        rich_help_panel=flag.panel,
        show_default=False,
    )
    return inspect.Parameter(
        flag.parameter,
        inspect.Parameter.KEYWORD_ONLY,
        default=False if flag.turns_off else None,
        annotation=Annotated[kind, option],
    )
