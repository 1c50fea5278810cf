"""What the records of a directory should be: the ids of the input's rows, by line.

Also which records are none of theirs, and when the input may be trusted to say so.
"""

from array import array
from collections.abc import Callable
from pathlib import Path

from batcher.errors import InputError
from batcher.records import Row
from batcher.secret import MASK
from batcher.storage import manifest as manifests
from batcher.storage.choice import Choice
from batcher.storage.lines import MAX_LINE_BYTES
from batcher.storage.manifest import Manifest
from batcher.storage.parse import parse, too_long
from batcher.storage.rows import changed, chosen_lines
from batcher.storage.spool import SPOOL

_HASH = (1 << 64) - 1


def input_of(directory: Path, manifest: Manifest | None) -> Path:
    """The input of a directory: the copy of a stream, or the file that run.json names.

    Raises:
        InputError: There is neither.
    """
    if (directory / SPOOL).exists():
        return directory / SPOOL
    if manifest is None or manifest.input is None:
        raise InputError(f"{directory} does not say which input it belongs to; name it")
    return Path(manifest.input["path"])


def expected_ids(
    path: Path, choice: Choice, row_id: Callable[[Row], str], *, complete: bool
) -> "array[int]":
    """Hash of the id of each input line that is a row, 0 for the others; index 0 is no line."""
    names = array("Q")
    for line, raw in chosen_lines(path, choice, complete=complete):
        row = too_long(line, MAX_LINE_BYTES) if raw is None else parse(line, raw)
        names.frombytes(bytes(8 * (line - len(names))))
        names.append(id_hash(row_id(row)))
    return names


def id_hash(name: str) -> int:
    """Never 0, which stands for no row."""
    return hash(name) & _HASH or 1


def is_known(path: Path, manifest: Manifest, *, choice: Choice, copy: Path) -> tuple[bool, bool]:
    """Whether an input is the run's own, as it was or grown; and whether it has changed."""
    if manifest.input is None:  # a stream, whose copy nobody edits
        return path == copy and manifest.complete, False
    verdict = changed(manifest.input, path)
    # A sample of a longer file is another one.
    grew = verdict == "appended" and choice.sample is None
    return verdict == "same" or grew, verdict == "changed"


def strays(
    directory: Path, *, row_id: Callable[[Row], str], input_path: Path | None = None
) -> Callable[[int, str], str | None]:
    """What says of a record's line and id why they are of no row of the run; None for the others.

    Nothing is said of any record where the input is not known to be the one of the run: it may
    be the input that is wrong. Blocking: reads the input.

    Args:
        directory: The output directory.
        row_id: The id that a run gives an input row, also one with a problem.
        input_path: The input; left out, the one run.json names, or the copy of a stream.

    Raises:
        StorageError: run.json cannot be read.
    """
    manifest = manifests.read(directory)
    if manifest is None:
        return _no_stray
    choice = Choice.from_settings(manifest.choice)
    try:
        path = input_path or input_of(directory, manifest)
        if not is_known(path, manifest, choice=choice, copy=directory / SPOOL)[0]:
            return _no_stray
        expected = expected_ids(path, choice, row_id, complete=True)
    except InputError:
        return _no_stray

    def why(line: int, name: str) -> str | None:
        if line >= len(expected) or not expected[line]:
            return f"line {line} is no row of the input"
        if expected[line] == id_hash(name) or MASK in name:  # a secret was hidden in the id
            return None
        return f"its id is not that of line {line}"

    return why


def _no_stray(_line: int, _name: str) -> str | None:
    return None
