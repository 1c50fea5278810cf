"""Where the runs of one user on one machine tell each other how fast they send.

A file for each run and quota, in a folder that is the user's own and does not outlive the
machine's uptime. It holds a few numbers; its name is a digest that nobody can turn back into a
key. Nothing depends on it: a run that cannot read or write it is a run that knows of nobody.
"""

import math
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from batcher import clock

_STALE_S = 5.0  # a run that has said nothing for so long counts as gone
_LITTER_S = 600.0


class NoticeBoard:
    """Notes of the runs that use the same quotas.

    Args:
        folder: Where the notes are; None for the user's own.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or _own_folder()
        self._me = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._mine: set[Path] = set()

    def exchange(
        self, quotas: Sequence[str], pace: Sequence[float] | None
    ) -> Sequence[Sequence[float]]:
        """Tell the others what we take a second, and hear what they do.

        Args:
            quotas: Names of the quotas that are meant, one for each key.
            pace: What we take of them, amounts a second; None while they do not hold us back.

        Returns:
            The paces of the others who are held back by any of these quotas.
        """
        heard: dict[str, Sequence[float]] = {}
        with suppress(OSError):
            if not _is_ours(self._folder):
                return []
            for quota in quotas:
                self._tell(self._folder / quota, pace)
                heard.update(self._hear(self._folder / quota))
        return list(heard.values())

    def close(self) -> None:
        """Take our notes away; may be called twice."""
        for note in self._mine:
            with suppress(OSError):
                note.unlink(missing_ok=True)
            with suppress(OSError):
                note.parent.rmdir()
        self._mine.clear()

    def _tell(self, place: Path, pace: Sequence[float] | None) -> None:
        note = place / self._me
        if pace is None:
            note.unlink(missing_ok=True)
            return
        place.mkdir(mode=0o700, exist_ok=True)
        self._mine.add(note)
        note.write_text(" ".join(f"{amount:.6g}" for amount in pace) + "\n")

    def _hear(self, place: Path) -> Mapping[str, Sequence[float]]:
        heard: dict[str, Sequence[float]] = {}
        with suppress(FileNotFoundError):
            for note in place.iterdir():
                if note.name == self._me:
                    continue
                with suppress(OSError, ValueError):
                    age_s = clock.epoch() - note.stat().st_mtime
                    if age_s > _LITTER_S:
                        note.unlink()
                    elif age_s <= _STALE_S:
                        pace = [float(amount) for amount in note.read_text().split()]
                        if pace and all(0.0 <= amount < math.inf for amount in pace):
                            heard[note.name] = pace
        return heard


def _own_folder() -> Path:
    """A folder nobody else may write to, emptied when the machine starts, or soon after."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "batcher"
    return Path(tempfile.gettempdir()) / f"batcher-{_user()}"


def _is_ours(folder: Path) -> bool:
    """Make the folder where it is missing; False when somebody else has put one there."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == _user()


def _user() -> int:
    return os.getuid() if sys.platform != "win32" else 0
