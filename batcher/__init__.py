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

Nothing else is public. Each name is loaded on first use, so that importing batcher in a hook
or a worker costs neither an HTTP client nor pydantic.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from batcher.version import __version__ as __version__

if TYPE_CHECKING:
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
    from batcher.launch import arun, run, stream
    from batcher.load import load
    from batcher.records import Failure, FailureKind, Outcome, Reply, Status, Summary, Usage
    from batcher.resume import Way

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
    "Way",
    "arun",
    "load",
    "run",
    "stream",
]


_HOMES = {
    "job": {"Input", "Job", "Key", "Limits", "Output", "Patience", "Request"},
    "launch": {"arun", "run", "stream"},
    "load": {"load"},
    "records": {"Failure", "FailureKind", "Outcome", "Reply", "Status", "Summary", "Usage"},
    "resume": {"Way"},
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'batcher' has no attribute {name!r}")
    home = next((home for home, names in _HOMES.items() if name in names), "errors")
    return getattr(import_module(f"batcher.{home}"), name)
