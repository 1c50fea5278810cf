"""run.json: what ran in an output directory, from which input, and how far it came.

An index for people and for the next run, which compares its own settings with it. Nothing is
settled by it: where it is missing, the two record files still say everything.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from batcher.errors import StorageError
from batcher.storage.durable import write_atomic
from batcher.storage.encode import json_line
from batcher.storage.faults import storage_error

NAME = "run.json"
_SHOWN = 60  # characters of a long text around its first difference
_UNSET = "(not set)"

RunStatus = Literal["running", "finished", "interrupted", "halted"]


class Manifest(BaseModel):
    """What run.json holds; fields of a newer version are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow")

    batcher: str
    """Version that wrote it."""
    name: str = "batch"
    """The job's."""
    status: RunStatus = "running"
    """`running` while it runs, and after it was killed."""
    reason: str | None = None
    """Why it ended early."""
    started_at: str = ""
    """UTC; of the first run in this directory."""
    updated_at: str = ""
    """UTC; when this was written."""
    finished_at: str | None = None
    """UTC; when every row had its record."""
    runs: int = 1
    """How often it was started."""
    request: dict[str, Any] = Field(default_factory=dict)
    """The settings that decide an answer; another run goes on only with the same."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """All settings, without secrets."""
    template_sha256: str | None = None
    """Of the template's text."""
    input: dict[str, Any] | None = None
    """Identity of the input file (rows.identity), or of the copy of a stream."""
    complete: bool = True
    """For a copied stream: whether its end was seen."""
    choice: dict[str, Any] = Field(default_factory=dict)
    """limit, shard, sample, seed: which rows of the input were taken."""
    rows: int | None = None
    """Rows of the input, once they are counted."""
    counts: dict[str, int] = Field(default_factory=dict)
    """Records by status."""
    requests: int = 0
    """HTTP requests sent, over all runs."""
    usage: dict[str, int] = Field(default_factory=dict)
    """Tokens billed, over all runs."""
    seconds: float = 0.0
    """Time spent running, over all runs."""
    in_doubt: list[dict[str, Any]] = Field(default_factory=list)
    """Attempts of killed runs that may have been billed without a record."""
    changes: list[dict[str, Any]] = Field(default_factory=list)
    """What was changed on the way: when, how (`accept-changes`, `reuse`, `retry-failed`), what."""
    mixed: bool = False
    """Whether some records were asked for with other settings than `request`."""
    retry: dict[str, Any] | None = None
    """A retry of failed rows that has not come to its end: which, with what settings."""


def read(directory: Path) -> Manifest | None:
    """What an earlier run wrote; None when there was none.

    Raises:
        StorageError: It cannot be read or is no manifest.
    """
    path = directory / NAME
    try:
        return Manifest.model_validate(orjson.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise storage_error(path, "read", fault) from fault
    except (orjson.JSONDecodeError, ValidationError) as fault:
        raise StorageError(
            f"{path} is damaged; the answers are not in it, so move it away and run the same "
            "command again: it goes on where it stopped"
        ) from fault


def write(
    directory: Path, manifest: Manifest, *, clean: Callable[[bytes], bytes] = lambda data: data
) -> None:
    """Replace run.json at once.

    Args:
        directory: The output directory.
        manifest: Its new content.
        clean: Masks secrets.

    Raises:
        StorageError: It cannot be written; the old one is untouched.
    """
    write_atomic(directory / NAME, content(manifest, clean=clean))


def content(manifest: Manifest, *, clean: Callable[[bytes], bytes] = lambda data: data) -> bytes:
    """What run.json holds when this manifest is in it, secrets masked."""
    line = json_line(manifest.model_dump(mode="json"), clean)
    return orjson.dumps(orjson.loads(line), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def diff(old: Mapping[str, Any], new: Mapping[str, Any], *, name: str = "request") -> list[str]:
    """What differs between two trees of settings, a sentence each: `request.model: "a" → "b"`.

    Args:
        old: Of the earlier run.
        new: Of this one.
        name: What the tree is called; empty for a tree whose branches have names enough.
    """
    before, after = dict(_leaves(old, name)), dict(_leaves(new, name))
    return [
        f"{key}: {' → '.join(_pair(before.get(key, _UNSET), after.get(key, _UNSET)))}"
        for key in sorted({*before, *after})
        if before.get(key, _UNSET) != after.get(key, _UNSET)
    ]


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Dotted names with what they are set to; what is not set has no name."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, f"{name}.{key}" if name else str(key))
    elif value is not None and value != []:
        yield name, orjson.dumps(value, default=str).decode()


def _pair(old: str, new: str) -> tuple[str, str]:
    """Both, cut to what surrounds the first difference where they are long."""
    if max(len(old), len(new)) <= 2 * _SHOWN:
        return old, new
    pairs = enumerate(zip(old, new, strict=False))
    first = next((at for at, (a, b) in pairs if a != b), min(len(old), len(new)))
    start = max(0, first - _SHOWN // 3)
    return _excerpt(old, start), _excerpt(new, start)


def _excerpt(text: str, start: int) -> str:
    part = text[start : start + _SHOWN]
    return f"{'...' if start else ''}{part}{'...' if start + _SHOWN < len(text) else ''}"
