"""The two files a run is for: results.jsonl holds usable answers, failures.jsonl the rest.

One line per row, over both files. The order of keys is fixed, so that what is settled can be
read from the beginning of each line (ledger.py). Both begin with `id`, `line`, `status`:

results:  text, stop_reason, usage, model, attempts, latency_s, key, request_id, finished_at,
          fingerprint, the kept input fields, response
failures: error {kind, status, type, message, hint}, attempts [{number, key, sent_at,
          latency_s, kind, status, message}], finished_at, fingerprint, the kept input fields,
          text, stop_reason, usage, model (when an answer was paid for), response
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from batcher import clock
from batcher.records import Attempt, Failure, Outcome, Reply, Status, Usage
from batcher.storage.durable import AppendFile, Repair, make_directory, repair_tail
from batcher.storage.encode import embedded, json_line

RESULTS = "results.jsonl"
FAILURES = "failures.jsonl"

_OK = Status.OK  # looking a member up runs Python code (3.11)
_BOTH = {"id", "line", "status", "finished_at", "fingerprint", "response"}
_ANSWER = {"text", "stop_reason", "usage", "model"}
_RESULT = {"attempts", "latency_s", "key", "request_id"}
OWN_KEYS = frozenset(_BOTH | _ANSWER | _RESULT | {"error"})
"""Names a record uses itself; a kept input field of such a name goes under `input.<name>`."""


class RecordSink:
    """Writes each outcome's one line; implements ports.Sink."""

    def __init__(
        self,
        directory: Path,
        *,
        clean: Callable[[bytes], bytes] = bytes,
        hint: Callable[[Failure], str | None] = lambda _: None,
        response: bool = True,
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        """Open both files, repairing ends that a killed run left torn.

        Args:
            directory: Where they are; made when missing. Its lock is the caller's affair.
            clean: Masks secrets; applied to every line.
            hint: What a person can do about a failure, or None.
            response: Whether records carry the provider's raw body.
            write: os.write, or a fake that fails.

        Raises:
            StorageError: The directory cannot be written.
        """
        make_directory(directory)
        paths = directory / RESULTS, directory / FAILURES
        repairs = [repair_tail(path) for path in paths]
        self.repairs: list[Repair] = [each for each in repairs if each]
        self._results, self._failures = (AppendFile(path, write=write) for path in paths)
        self._clean = clean
        self._hint = hint
        self._response = response

    def write(self, outcome: Outcome) -> None:
        """Append the outcome's one record; in the kernel's hands on return.

        Raises:
            StorageError: It could not be written whole; nothing of it counts.
        """
        reply = outcome.reply if outcome.status is _OK else None
        record = _result(outcome, reply) if reply else self._failure(outcome)
        if outcome.kept:
            _keep(record, outcome.kept)
        if outcome.failure and outcome.failure.reply:
            record |= _paid(outcome.failure.reply)
        if self._response and outcome.body is not None:
            # The very body the reply was read from: a stream's may be another than the one kept.
            parsed = reply is not None and reply.json is outcome.body
            record["response"] = embedded(outcome.body, parsed=parsed)
        file = self._results if reply else self._failures
        file.append(json_line(record, self._clean))

    def _failure(self, outcome: Outcome) -> dict[str, Any]:
        failure = outcome.failure
        return {
            "id": outcome.id,
            "line": outcome.line,
            "status": outcome.status,
            "error": None
            if failure is None
            else {
                "kind": failure.kind,
                "status": failure.status,
                "type": failure.error_type,
                "message": failure.message,
                "hint": self._hint(failure),
            },
            "attempts": [_attempt(each) for each in outcome.attempts],
            "finished_at": clock.stamp(),
            "fingerprint": outcome.fingerprint,
        }

    def sync(self) -> None:
        """Force everything written so far to the disk. Blocking; call it from a thread.

        Raises:
            StorageError: The disk would not take it.
        """
        self._results.sync()
        self._failures.sync()

    def close(self) -> None:
        """Sync and close; may be called twice.

        Raises:
            StorageError: The disk would not take it; the files are closed all the same.
        """
        try:
            self.sync()
        finally:
            self._results.close()
            self._failures.close()


def _result(outcome: Outcome, reply: Reply) -> dict[str, Any]:
    last = outcome.attempts[-1] if outcome.attempts else None
    return {
        "id": outcome.id,
        "line": outcome.line,
        "status": "ok",  # as text: an enum member takes orjson twice as long
        "text": reply.text,
        "stop_reason": reply.stop_reason,
        "usage": _usage(reply.usage),
        "model": reply.model,
        "attempts": last.number if last else 0,
        "latency_s": _milli(last.latency_s) if last else None,
        "key": last.key if last else None,
        "request_id": reply.request_id,
        "finished_at": clock.stamp(),
        "fingerprint": outcome.fingerprint,
    }


def _milli(seconds: float) -> float:
    """Seconds to three decimals; round() takes four times as long."""
    return int(seconds * 1000 + 0.5) / 1000


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
    }


def _paid(reply: Reply) -> dict[str, Any]:
    return {
        "text": reply.text,
        "stop_reason": reply.stop_reason,
        "usage": _usage(reply.usage),
        "model": reply.model,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    failure = attempt.failure
    return {
        "number": attempt.number,
        "key": attempt.key,
        "sent_at": attempt.sent_at,
        "latency_s": _milli(attempt.latency_s),
        "kind": failure.kind if failure else None,
        "status": failure.status if failure else None,
        "message": failure.message if failure else None,
    }


def _keep(record: dict[str, Any], kept: Mapping[str, Any]) -> None:
    for name, value in kept.items():
        own = name
        while own in OWN_KEYS or own in record:
            own = f"input.{own}"
        record[own] = value
