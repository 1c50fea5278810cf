"""quarantine.jsonl: where odd bytes of the output files go instead of being dropped."""

import base64
import os
from pathlib import Path

import orjson

from batcher import clock
from batcher.storage.faults import storage_error

NAME = "quarantine.jsonl"


def quarantine(directory: Path, file: str, offset: int, data: bytes, *, why: str) -> None:
    """Keep bytes that are about to be taken out of a file, before they are.

    Each record of quarantine.jsonl: `file`, `offset` (bytes from its start), `why`, `at`
    (UTC), `base64` (the bytes themselves).

    On the disk on return, so that taking them out can follow.

    Raises:
        StorageError: They cannot be kept, so they must stay where they are.
    """
    line = orjson.dumps(
        {
            "file": file,
            "offset": offset,
            "why": why,
            "at": clock.stamp(),
            "base64": base64.b64encode(data).decode(),
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
    path = directory / NAME
    try:
        with path.open("ab") as out:
            out.write(line)
            out.flush()
            os.fsync(out.fileno())
    except OSError as fault:
        raise storage_error(path, "write", fault) from fault
