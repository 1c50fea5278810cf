"""Rows to calls: name them, render them, encode them; what cannot be asked is invalid.

Nothing here sends. A row that fails on the way gets its record at once and the others go on.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from batcher.errors import InvalidRow
from batcher.job import Request
from batcher.ports import Provider, Renderer
from batcher.records import (
    Call,
    Failure,
    FailureKind,
    Fingerprint,
    Outcome,
    Prompt,
    Row,
    RowId,
    Status,
    Wire,
)


class Intake:
    """Makes the call of a row.

    Args:
        request: The job's request settings.
        endpoint: Base URL the fingerprint names; the same prompt to another server is another call.
        name_row: Row data and line to the row's id.
        render: Row data to prompt.
        effective: The job's settings with a row's overrides applied.
        measure: Characters of a prompt.
        keep: Input fields copied into records.
    """

    def __init__(
        self,
        *,
        request: Request,
        endpoint: str,
        provider: Provider,
        name_row: Callable[[Mapping[str, Any], int], RowId],
        render: Renderer,
        effective: Callable[[Request, Prompt], Request],
        measure: Callable[[Prompt], int],
        keep: Sequence[str] = (),
    ) -> None:
        self._request = request
        self._endpoint = endpoint
        self._begun: dict[tuple[str, str], hashlib._Hash] = {}  # what most calls' digests share
        self._provider = provider
        self._name_row = name_row
        self._render = render
        self._effective = effective
        self._measure = measure
        self._keep = tuple(keep)

    def call(self, row: Row) -> Call | Outcome:
        """The call of a row, or the outcome of one that has none."""
        row_id = RowId(str(row.line))
        if row.problem is not None:
            return _invalid(row_id, row.line, row.problem, None)
        data = row.data
        try:
            row_id = self._name_row(data, row.line)
            prompt = self._render(data)
            request = self._request
            if prompt.overrides:
                request = self._effective(request, prompt)
            wire = self._provider.encode(prompt, request)
        except InvalidRow as problem:
            return _invalid(row_id, row.line, problem.message, problem.hint)
        kept = {name: data[name] for name in self._keep if name in data} if self._keep else {}
        return Call(
            id=row_id,
            line=row.line,
            fingerprint=self._fingerprint(wire),
            model=request.model,
            wire=wire,
            input_chars=self._measure(prompt),
            max_tokens=request.max_tokens,
            kept=kept,
        )

    def _fingerprint(self, wire: Wire) -> Fingerprint:
        version = wire.headers.get("anthropic-version", "")
        begun = self._begun.get((wire.path, version))
        if begun is None:
            begun = hashlib.sha256(f"{self._endpoint}{wire.path}{version}".encode())
            self._begun[wire.path, version] = begun
        digest = begun.copy()
        digest.update(wire.body)
        return Fingerprint(digest.hexdigest()[:32])


def _invalid(row_id: RowId, line: int, problem: str, hint: str | None) -> Outcome:
    message = problem if hint is None else f"{problem} ({hint})"
    failure = Failure(kind=FailureKind.INVALID, message=message)
    return Outcome(id=row_id, line=line, status=Status.INVALID, failure=failure)
