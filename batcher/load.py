"""How a job file and flags become a Job, and what is said when they cannot.

In a job file `input.path` and `request.template` are relative to that file, everything else
and every flag to the working directory. Flags win over the file. All mistakes are named at
once, each with its place and its fix. Keys and base URLs of the environment are build's matter.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from batcher import clock
from batcher.errors import ConfigError
from batcher.job import Job
from batcher.policy.mistakes import Mistake, is_text, mistakes, unknown
from batcher.secret import Redactor

Tree = dict[str, Any]

_FROM_THE_FILES_FOLDER = (("input", "path"), ("request", "template"))
_SYNTAX = re.compile(r"(?P<what>.*?) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end.*)\)")
_SYNTAX_FIX = {
    "Invalid value": "a text needs quotes",
    "Cannot overwrite a value": "the setting is given twice",
    "Expected '=' after a key": "write name = value",
}
_SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"}
)
_USER_IN_URL = re.compile(r"://[^/@\s]+@")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")


def load(
    path: Path,
    *,
    overrides: Mapping[str, object] | None = None,
    flags: Mapping[str, str] | None = None,
) -> Job:
    """The job a TOML file describes, with overrides in place of its own settings.

    A file without `name` is called after itself.

    Args:
        path: The job file.
        overrides: Dotted setting -> value, e.g. `{"limits.concurrency": 8}`; paths among
            them are relative to the working directory.
        flags: Dotted setting -> the flag it came from, for messages.

    Raises:
        ConfigError: The file cannot be read, or settings are wrong; names every mistake.
    """
    tree = _read(path)
    for section in ("input", "output"):
        if isinstance(tree.get(section), str):
            tree[section] = {"path": tree[section]}
    for section, field in _FROM_THE_FILES_FOLDER:
        table = tree.get(section)
        if isinstance(table, dict) and isinstance(table.get(field), str):
            table[field] = _beside(path.parent, table[field])
    tree.setdefault("name", _as_name(path.stem))
    job = _checked(tree, str(path), overrides or {}, flags or {})
    return expanded(job.model_copy(update={"folder": path.parent}))


def from_flags(overrides: Mapping[str, object], *, flags: Mapping[str, str] | None = None) -> Job:
    """The job that flags alone describe; without `name` it is called after its input.

    Raises:
        ConfigError: Settings are wrong; names every mistake.
    """
    tree: Tree = {}
    source = overrides.get("input.path")
    if isinstance(source, str) and (name := _as_name(Path(source).name.partition(".")[0])):
        tree["name"] = name
    return expanded(_checked(tree, None, overrides, flags or {}))


def parse_set(text: str) -> tuple[str, object]:
    """`section.field=value` taken apart; the value is TOML, or else the text as it stands.

    Raises:
        ConfigError: There is no `=`, or nothing before it.
    """
    field, equals, value = text.partition("=")
    field = field.strip()
    if not equals or not field:
        raise ConfigError(f"--set {Redactor().clean_text(text)}: write it as section.field=value")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        return field, value
    if parsed.keys() != {"value"} or (is_text(field) and not isinstance(parsed["value"], str)):
        return field, value
    return field, parsed["value"]


def read_template(job: Job) -> str | None:
    """The text of the job's template; None when it names none.

    Raises:
        ConfigError: The file cannot be read.
    """
    if job.request.template is None:
        return None
    return _text(Path(job.request.template), "request.template: ")


def expanded(job: Job) -> Job:
    """The job with {name} and {date} filled into its output path; doing it twice is harmless.

    Raises:
        ConfigError: The path has another name in braces.
    """
    path = job.output.path
    if "{" not in path:
        return job
    today = clock.wall().astimezone().date().isoformat()
    known = {"name": job.name, "date": today}
    if odd := next((n for n in _PLACEHOLDER.findall(path) if n not in known), None):
        raise ConfigError(f"output.path: {{{odd}}} is not known; {{name}} and {{date}} are")
    path = _PLACEHOLDER.sub(lambda found: known[found[1]], path)
    return job.model_copy(update={"output": job.output.model_copy(update={"path": path})})


def _read(path: Path) -> Tree:
    text = _text(path, "")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _SYNTAX.fullmatch(str(error))
        if found is None:
            raise ConfigError(f"{path}: {error}") from error
        what = found["what"]
        place = (
            f", line {found['line']}, column {found['column']}" if found["line"] else ", at its end"
        )
        fix = next((f"; {fix}" for start, fix in _SYNTAX_FIX.items() if what.startswith(start)), "")
        raise ConfigError(f"{path}{place}: {what[0].lower()}{what[1:]}{fix}") from error


def _text(path: Path, setting: str) -> str:
    """A file's text, or a ConfigError that says what to do about it."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"{setting}{path} does not exist{_similar(path)}") from error
    except IsADirectoryError as error:
        inside = ", ".join(sorted(p.name for p in path.glob("*.toml"))[:5])
        fix = f"; name one of its job files: {inside}" if inside else "; name a file"
        raise ConfigError(f"{setting}{path} is a directory{fix}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{setting}{path} is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise ConfigError(f"{setting}{path} cannot be read: {error.strerror}") from error


def _similar(path: Path) -> str:
    siblings = [p.name for p in path.parent.glob(f"*{path.suffix}")] if path.suffix else []
    close = difflib.get_close_matches(path.name, siblings, n=1)
    return f"; did you mean {path.with_name(close[0])}?" if close else ""


def _beside(folder: Path, path: str) -> str:
    if path == "-" or "://" in path:
        return path
    return str(folder / Path(path).expanduser())


def _as_name(text: str) -> str:
    """A file's name as a job's name; empty for standard input."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-")


def _checked(
    tree: Tree, source: str | None, overrides: Mapping[str, object], flags: Mapping[str, str]
) -> Job:
    """The tree with overrides put in, as a Job; every mistake is raised at once."""
    wrong = [m for field, value in overrides.items() if (m := _put(tree, field, value))]
    wrong += _secrets(tree)
    for name in [n for n, info in Job.model_fields.items() if info.exclude and n in tree]:
        del tree[name]
        wrong.append(Mistake(name, unknown(name)))
    job = None
    try:
        job = Job.model_validate(tree)
    except ValidationError as error:
        named = {m.field for m in wrong}
        wrong += [m for m in mistakes(error) if m.field not in named]
    if job is None or wrong:
        raise ConfigError("\n".join(_line(m, source, overrides, flags) for m in wrong))
    return job


def _put(tree: Tree, field: str, value: object) -> Mistake | None:
    """Set one dotted field; a section's path may be given by the section's name alone."""
    *sections, name = field.split(".")
    table = tree
    for section in sections:
        inner = table.setdefault(section, {})
        if not isinstance(inner, dict):
            return Mistake(field, f"cannot be set by itself: {section} is given whole")
        table = inner
    if field in ("input", "output") and isinstance(value, str):
        table, name = table.setdefault(name, {}), "path"
    if not sections and isinstance(value, dict) and isinstance(table.get(name), dict):
        value = table[name] | value
    table[name] = value
    return None


def _secrets(tree: Tree) -> Iterator[Mistake]:
    """Places that hold a key; what a job says is stored and shown, so it must hold none."""
    mask = Redactor()
    for field, value in _leaves(tree, ()):
        header = field[-1].lower() if field[:2] == ("request", "headers") else ""
        if mask.clean_text(value) != value or header in _SECRET_HEADERS:
            fix = (
                'put it into an environment variable and name that: keys = [{source = "env:NAME"}]'
            )
            yield Mistake(".".join(field), f"holds a key, and jobs are stored and shown: {fix}")
        elif field[-1] == "base_url" and _USER_IN_URL.search(value):
            yield Mistake(".".join(field), "holds a user name or password: take it out")


def _leaves(value: object, at: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, (*at, str(name)))
    elif isinstance(value, list):
        for number, inner in enumerate(value, start=1):
            yield from _leaves(inner, (*at, str(number)))


def _line(
    mistake: Mistake,
    source: str | None,
    overrides: Mapping[str, object],
    flags: Mapping[str, str],
) -> str:
    """A mistake with where it was made: at a flag, or in the file."""
    for field in overrides:
        if mistake.field == field or mistake.field.startswith(f"{field}."):
            return f"{flags.get(field, field)} {mistake.text}"
    return f"{source}: {mistake.field} {mistake.text}" if source else " ".join(mistake)
