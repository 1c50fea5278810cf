"""`python -m batcher.simulator`: a simulator as a child process; its first line is its URL."""

import argparse
import sys
from collections.abc import Sequence
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from batcher.errors import BatcherError, ConfigError
from batcher.job import Simulator as Settings
from batcher.simulator.server import serve

_T = TypeVar("_T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve as the arguments say (None: those of the command line); returns the exit code."""
    told = _read(arguments)
    try:
        serve(
            _settings(told.settings),
            told.host,
            told.port,
            _announce,
            keys=_table("--keys", told.keys, str),
            scopes=_table("--scopes", told.scopes, float),
            deliveries=not told.no_deliveries,
            times=told.times,
            with_parent=told.with_parent,
        )
    except BatcherError as fault:
        sys.stderr.write(f"{fault}\n")
        return fault.exit_code
    return 0


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m batcher.simulator", description=__doc__)
    parser.add_argument("--settings", default="{}", help="JSON of the job section [simulator]")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--keys", help="JSON: accepted key -> quota scope; left out: every key")
    parser.add_argument("--scopes", help="JSON: quota scope -> times the configured quota")
    parser.add_argument("--no-deliveries", action="store_true", help="keep no count per prompt")
    parser.add_argument("--times", action="store_true", help="note when each request was let in")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin is closed")
    return parser.parse_args(arguments)


def _settings(text: str) -> Settings:
    try:
        return Settings.model_validate_json(text)
    except ValidationError as fault:
        raise ConfigError(f"--settings: {_problems(fault)}") from None


def _table(name: str, text: str | None, kind: type[_T]) -> dict[str, _T] | None:
    if text is None:
        return None
    try:
        return TypeAdapter(dict[str, kind]).validate_json(text)  # type: ignore[valid-type]  # a type at run time
    except ValidationError as fault:
        raise ConfigError(f"{name}: {_problems(fault)}") from None


def _problems(fault: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in fault.errors())


def _announce(url: str) -> None:
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
