"""log.jsonl: one event a line, written by structlog, masked just before the bytes leave.

Events are `noun.verb` with fields. Prompts and answers are not among them.
"""

import os
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import fields
from pathlib import Path
from typing import Any, assert_never

import orjson
import structlog

from batcher import clock
from batcher.errors import StorageError
from batcher.events import (
    AttemptFailed,
    Event,
    KeyBenched,
    KeyReturned,
    KeyRotated,
    KeyStale,
    LimitChanged,
    Paused,
    RowSettled,
    RunDraining,
    RunFinished,
    RunHalted,
    RunStarted,
    SharedQuotaSuspected,
)
from batcher.secret import Redactor

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class LogFile:
    """An append-only file of lines; a full disk costs log lines, never the run.

    Raises:
        StorageError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = self._open()
        self.lost = 0

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as fault:
            raise StorageError(f"{self._path} cannot be written: {fault.strerror}.") from fault

    def msg(self, line: bytes) -> None:
        """Append one line."""
        try:
            os.write(self._fd, line + b"\n")
        except OSError:
            self.lost += 1

    debug = info = warning = error = msg

    def reopen(self) -> None:
        """Go on in a new file of the same name, after a rotation."""
        old, self._fd = self._fd, self._open()
        os.close(old)

    def close(self) -> None:
        """Close; nothing may be written afterwards."""
        os.close(self._fd)


def make_logger(file: LogFile, *, level: str, redactor: Redactor) -> structlog.typing.WrappedLogger:
    """A structlog logger that writes masked JSON lines into the file."""

    def render(_: object, level_name: str, told: MutableMapping[str, Any]) -> bytes:
        event = told.pop("event")
        line = {"at": clock.stamp(), "level": level_name, "event": event, **told}
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS)

    def mask(_: object, __: str, line: Any) -> bytes:  # structlog's types name only the first stage
        return redactor.clean_text(line.decode()).encode()

    return structlog.wrap_logger(
        file,
        processors=[render, mask],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )


def listener(log: structlog.typing.WrappedLogger, *, level: str) -> Callable[[Event], None]:
    """What turns events into log lines."""
    debug = level == "debug"

    def take_note(event: Event) -> None:
        match event:
            case RowSettled():
                if debug:
                    log.debug(event.name, **_settled(event))
            case AttemptFailed():
                log.info(event.name, **_attempt(event))
            case RunStarted() | RunFinished() | LimitChanged() | Paused():
                log.info(event.name, **_fields(event))
            case KeyReturned() | KeyRotated():
                log.info(event.name, **_fields(event))
            case RunDraining() | KeyBenched() | KeyStale() | SharedQuotaSuspected():
                log.warning(event.name, **_fields(event))
            case RunHalted():
                log.error(event.name, **_fields(event))
            case _:
                assert_never(event)

    return take_note


def _fields(event: Event) -> Mapping[str, Any]:
    return {
        part.name: value
        for part in fields(event)
        if (value := getattr(event, part.name)) is not None
    }


def _settled(event: RowSettled) -> Mapping[str, Any]:
    outcome = event.outcome
    return {
        "id": outcome.id,
        "line": outcome.line,
        "status": outcome.status,
        "attempts": len(outcome.attempts),
        "key": outcome.attempts[-1].key if outcome.attempts else None,
        "latency_s": round(outcome.attempts[-1].latency_s, 3) if outcome.attempts else None,
    }


def _attempt(event: AttemptFailed) -> Mapping[str, Any]:
    failure = event.failure
    told: dict[str, Any] = {
        "id": event.call.id,
        "line": event.call.line,
        "attempt": event.attempt.number,
        "key": event.attempt.key,
        "kind": failure.kind,
        "status": failure.status,
        "message": failure.message,
        "request_id": failure.request_id,
        "latency_s": round(event.attempt.latency_s, 3),
        "wait_s": None if event.wait_s is None else round(event.wait_s, 3),
    }
    return {name: value for name, value in told.items() if value is not None}
