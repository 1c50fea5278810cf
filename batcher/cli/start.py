"""The first moments of the command `batcher`, before anything of weight is loaded.

Loading takes a fifth of a second, in which a person may press Ctrl-C or close the terminal.
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from batcher.cli.streams import open_streams

_INTERRUPTED = 130  # errors.Exit is not loaded yet
_LASTING = frozenset({"run", "rehearse", "retry-failed"})


def main() -> None:
    """Load the command line and run it; ends the process with its exit code."""
    open_streams()
    outlive_the_terminal(sys.argv[1:])
    own = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if own:
        signal.signal(signal.SIGINT, _leave)
    from batcher.cli.main import main as command

    if own:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command()


def outlive_the_terminal(words: Sequence[str]) -> None:
    """Let a closed terminal not end a command that works for hours.

    A handler that does nothing, and not SIG_IGN, which programs started by us would inherit.
    """
    hangup = getattr(signal, "SIGHUP", None)
    verb = next((word for word in words if not word.startswith("-")), "")
    if hangup is not None and verb in _LASTING and signal.getsignal(hangup) is signal.SIG_DFL:
        signal.signal(hangup, lambda *_: None)


def _leave(*_: object) -> NoReturn:
    """End at once: nothing was begun, and an exception in the middle of an import shows."""
    os._exit(_INTERRUPTED)
