"""What is wrong with settings, in words: the field, the value, the fix.

Turns pydantic's findings into sentences for a person who has never heard of pydantic, and
knows every setting's name, so that a misspelt or misplaced one is pointed to its place.
"""

import difflib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from batcher.job import Job
from batcher.secret import Redactor


class Mistake(NamedTuple):
    """One wrong setting: its dotted name, and what to do, to be read after that name."""

    field: str
    text: str


# Names people try, from other tools and from the wire formats -> ours.
_OTHER_NAMES: Mapping[str, str] = {
    "rpm": "limits.requests_per_minute",
    "itpm": "limits.input_tokens_per_minute",
    "otpm": "limits.output_tokens_per_minute",
    "stop_sequences": "request.stop",
    "max_tokens_to_sample": "request.max_tokens",
    "max_completion_tokens": "request.max_tokens",
    "max_retries": "patience.max_attempts",
    "retries": "patience.max_attempts",
    "timeout": "patience.timeout_s",
    "workers": "limits.concurrency",
    "api_key": "keys.source",
    "key": "keys.source",
    "prompt": "request.template",
    "url": "request.base_url",
    "out": "output.path",
}

_PLACES: Mapping[str, str] = {
    "greater_than_equal": "write at least {ge}",
    "greater_than": "write more than {gt}",
    "less_than_equal": "write at most {le}",
    "less_than": "write less than {lt}",
    "string_pattern_mismatch": "use only letters, digits and _ . -",
}
_BOUNDS = frozenset({"ge", "gt", "le", "lt"})
# First part of pydantic's error type -> the fix.
_TYPES: Mapping[str, str] = {
    "int": "write a whole number",
    "float": "write a number",
    "finite": "write a finite number",
    "bool": "write true or false",
    "string": "write a text in quotes",
    "list": 'write a list, e.g. ["a", "b"]',
    "dict": "write a table, e.g. { name = 1 }",
    "model": "write a table of settings",
}


def mistakes(error: ValidationError) -> list[Mistake]:
    """Every finding of pydantic about a job's settings, in our words."""
    return [
        Mistake(dotted(found["loc"]), _sentence(found)) for found in error.errors(include_url=False)
    ]


def dotted(loc: Sequence[int | str]) -> str:
    """A place in the settings as a person writes it; keys are counted from 1."""
    return ".".join(str(part + 1) if isinstance(part, int) else part for part in loc)


@cache
def settings() -> Mapping[str, FieldInfo]:
    """Every setting by its dotted name; a section's own name is not one."""
    found: dict[str, FieldInfo] = {}
    for name, info in Job.model_fields.items():
        section = section_model(info)
        if section is not None:
            found.update((f"{name}.{field}", i) for field, i in section.model_fields.items())
        elif not info.exclude:
            found[name] = info
    return found


def section_model(info: FieldInfo) -> type[BaseModel] | None:
    """The model of a section, also of one that may be given many times; None for a plain field."""
    for kind in (info.annotation, *get_args(info.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def is_text(field: str) -> bool:
    """Whether a setting takes any text, so that `4` or `2026-11-22` mean the text."""
    info = settings().get(field)
    return info is not None and info.annotation in (str, str | None)


def shown(value: object) -> str:
    """A value for a message: short, and masked where it looks like a key."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    text = Redactor().clean_text(str(value))
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return f'"{text}"' if isinstance(value, str) else text


def unknown(field: str) -> str:
    """What to say about a setting that does not exist, with the one that was probably meant."""
    section, _, name = field.rpartition(".")
    near = [f.rpartition(".")[2] for f in settings() if f.rpartition(".")[0] == section]
    elsewhere = [f for f in settings() if f.rpartition(".")[2] == name and f != field]
    if not section:
        near += [n for n, info in Job.model_fields.items() if not info.exclude]
    if close := difflib.get_close_matches(name, near, n=1, cutoff=0.7):
        return f"is not a setting; did you mean {close[0]}?"
    if name in _OTHER_NAMES or elsewhere:
        meant = _OTHER_NAMES.get(name) or elsewhere[0]
        return f"is not a setting; did you mean {meant}?"
    return f"is not a setting; {section or 'a job'} has: {', '.join(dict.fromkeys(near))}"


def _sentence(found: Any) -> str:
    kind, value, context = found["type"], found["input"], found.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown(dotted(found["loc"]))
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return f"is wrong: {found['msg'].removeprefix('Value error, ')}"
    if kind in ("literal_error", "enum"):
        return _choice(value, context["expected"])
    bounds = {name: f"{bound:.12g}" for name, bound in context.items() if name in _BOUNDS}
    fix = _PLACES.get(kind, "").format(**bounds) or _TYPES.get(kind.partition("_")[0])
    if found["loc"][0] == "keys":  # what stands there may be a key
        return f"is wrong; {fix or found['msg']}"
    return f"is {shown(value)}; {fix or found['msg']}"


def _choice(value: object, expected: str) -> str:
    choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
    close = difflib.get_close_matches(str(value), choices, n=1)
    fix = f"did you mean {close[0]}?" if close else f"write one of {', '.join(choices)}"
    return f"is {shown(value)}; {fix}"
