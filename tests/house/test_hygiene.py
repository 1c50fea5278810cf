"""What is committed speaks of no one machine, and every test checks something."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXTS = {".py", ".md", ".toml", ".json", ".jsonl", ".txt", ".html", ""}
# Where one machine keeps its work or gets its packages is true of that machine alone.
FOREIGN = re.compile(
    r"(?<![\w.])/(?:(?:root|work|opt/pypi)/|tmp/perf)"
    r"|\b(?:pypi\.org|pythonhosted\.org|npmjs\.org|crates\.io|proxy\.golang\.org)\b"
)
CHECK = re.compile(r"check|assert|verify|each_row_once")


def texts() -> Iterator[Path]:
    """Every file of the project that people read or write."""
    for name in ("README.md", "CHANGELOG.md", "Makefile", "pyproject.toml"):
        yield ROOT / name
    for folder in ("batcher", "jobs", "tests"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in TEXTS and "__pycache__" not in path.parts:
                yield path


def checks(node: ast.AST) -> bool:
    """Whether a statement, or a call by its name, can make a test fail on purpose."""
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    return called in {"pytest.raises", "pytest.warns"} or bool(
        CHECK.search(called.rpartition(".")[2])
    )


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:90]}"
        for path in texts()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if FOREIGN.search(line)
    ]

    assert not found, "\n".join(found)


def test_the_search_for_machines_finds_some() -> None:
    slash = "/"
    for parts in (
        ("", "root", "x"),
        ("", "work", "main"),
        ("", "tmp", "perf-1"),
        ("", "opt", "pypi", "simple"),
    ):
        assert FOREIGN.search(f"see {slash.join(parts)}"), parts
    assert FOREIGN.search("https://" + ".".join(("pypi", "org")))
    assert not FOREIGN.search(f"data{slash}work{slash}rows.jsonl, /workers/ and /srv/prompts")


def test_every_test_checks_something() -> None:
    idle = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not any(checks(inner) for inner in ast.walk(node))
    ]

    assert not idle, "\n".join(idle)
