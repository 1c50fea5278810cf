"""What a run leaves unloaded; each check in a process of its own, for modules stay loaded."""

import subprocess
import sys


def said_by(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_quiet_run_loads_no_console_library() -> None:
    code = (
        "import sys; from batcher.cli.quick import load_structlog_alone; load_structlog_alone(); "
        "import batcher.cli.main, batcher.launch; "
        "print([name for name in ('rich', 'pygments') if name in sys.modules])"
    )

    assert said_by(code) == "[]"


def test_rich_can_still_be_loaded_afterwards() -> None:
    code = (
        "from batcher.cli.quick import load_structlog_alone; load_structlog_alone(); "
        "from rich.console import Console; print(Console.__name__)"
    )

    assert said_by(code) == "Console"


def test_importing_batcher_loads_nothing_heavy_and_leaves_the_process_as_it_is() -> None:
    code = (
        "import gc, sys; before = gc.get_threshold(); import batcher; "
        "print(gc.get_threshold() == before, "
        "[name for name in ('aiohttp', 'pydantic', 'structlog', 'rich') if name in sys.modules])"
    )

    assert said_by(code) == "True []"


def test_every_public_name_is_found() -> None:
    code = "import batcher; print(sorted(n for n in batcher.__all__ if not hasattr(batcher, n)))"

    assert said_by(code) == "[]"
