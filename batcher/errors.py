"""What an operator must fix. Remote faults are values (records.Failure); bugs are exceptions.

Each error is one sentence that names the fix, printed without a traceback, and
carries the exit code of the command.
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of `batcher`; stable, for schedulers."""

    OK = 0  # every row is answered
    ROWS_FAILED = 1  # finished; some rows are in failures.jsonl
    USAGE = 2  # wrong usage, settings or input file
    HALTED = 3  # stopped because no row could succeed
    STORAGE = 4  # could not write (disk full, read-only, I/O error)
    LOCKED = 75  # another run holds the directory (sysexits EX_TEMPFAIL)
    INTERRUPTED = 130  # stopped by SIGINT; resumable
    TERMINATED = 143  # stopped by SIGTERM; resumable


class BatcherError(Exception):
    """Base of everything a user of batcher should catch."""

    exit_code: Exit = Exit.USAGE


class ConfigError(BatcherError):
    """A setting is wrong; the message names the file, the field and the fix."""


class InputError(BatcherError):
    """The input cannot be read, or is not the input this run began with."""


class MissingExtraError(BatcherError):
    """An optional dependency is not installed; the message names the extra."""


class StorageError(BatcherError):
    """The output directory cannot be written."""

    exit_code = Exit.STORAGE


class LockedError(BatcherError):
    """Another run holds the output directory."""

    exit_code = Exit.LOCKED


class HaltedError(BatcherError):
    """The run stopped because no row could succeed until a person acts."""

    exit_code = Exit.HALTED


class InvalidRow(Exception):  # noqa: N818 - it names a row's state, and never reaches a user as an error
    """A row cannot be made into a request; caught in intake, which records the row as invalid."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
