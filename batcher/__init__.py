"""batcher: an async, high-throughput batch processor for LLM APIs, Claude's first.

    import batcher

    job = batcher.Job(
        input="prompts.jsonl",
        output="runs/first",
        request={"model": "claude-haiku-5-5", "max_tokens": 300},
    )
    summary = batcher.run(job)  # blocking; run it again and it goes on where it stopped

    async for outcome in batcher.stream(job, rows=[{"prompt": "Hello"}]):
        print(outcome.id, outcome.reply.text if outcome.reply else outcome.failure)

Nothing else is public. `run`, `arun` and `stream` load the engine on first use, so that
importing batcher in a hook or a worker costs no HTTP client.
"""

from typing import TYPE_CHECKING

from batcher.errors import (
    BatcherError,
    ConfigError,
    Exit,
    HaltedError,
    InputError,
    LockedError,
    MissingExtraError,
    StorageError,
)
from batcher.job import Input, Job, Key, Limits, Output, Patience, Request
from batcher.records import Failure, FailureKind, Outcome, Reply, Status, Summary, Usage
from batcher.version import __version__ as __version__

if TYPE_CHECKING:
    from batcher.launch import arun, run, stream
    from batcher.load import load

__all__ = [
    "BatcherError",
    "ConfigError",
    "Exit",
    "Failure",
    "FailureKind",
    "HaltedError",
    "Input",
    "InputError",
    "Job",
    "Key",
    "Limits",
    "LockedError",
    "MissingExtraError",
    "Outcome",
    "Output",
    "Patience",
    "Reply",
    "Request",
    "Status",
    "StorageError",
    "Summary",
    "Usage",
    "arun",
    "load",
    "run",
    "stream",
]


def __getattr__(name: str) -> object:
    if name in {"arun", "run", "stream"}:
        from batcher import launch

        return getattr(launch, name)
    if name == "load":
        from batcher.load import load

        return load
    raise AttributeError(f"module 'batcher' has no attribute {name!r}")
