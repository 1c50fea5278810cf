"""Makes a run start sooner, in ways only a process of our own may use."""

import sys
from typing import cast


def load_structlog_alone() -> None:
    """Import structlog without rich and pygments, which take it longer than all of its own code.

    It loads them for a coloured console, where they are installed; batcher writes JSON. To be
    called before anything imports structlog; where rich is loaded already, nothing is saved.
    """
    modules = cast("dict[str, object]", sys.modules)
    if "rich" in modules or "structlog" in modules:
        return
    modules["rich"] = None  # Python's way to say that it cannot be imported
    try:
        import structlog  # noqa: F401 - for its effect
    finally:
        del modules["rich"]
