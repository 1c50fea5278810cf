"""Inputs that are named by an address (s3://bucket/rows.jsonl), read as a stream.

Whatever fsspec can open can be read; SpooledSource keeps the copy that makes it resumable.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from batcher.errors import InputError, MissingExtraError

_T = TypeVar("_T")


def is_remote(path: str) -> bool:
    """Whether an input path is an address rather than a file's name."""
    return "://" in path


class RemoteStream:
    """A binary stream that is opened when it is first read; bytes come as they are stored."""

    def __init__(self, url: str) -> None:
        """Name the address, after a look whether it could be opened at all.

        Args:
            url: An address that fsspec knows.

        Raises:
            MissingExtraError: fsspec, or what it needs for this kind of address, is missing.
        """
        self._url = url
        self._file: Any = None
        self._open = _opener(url)

    def read(self, size: int) -> bytes:
        """The next bytes, at most so many; none at the end.

        Raises:
            InputError: It cannot be opened or read.
        """
        if self._file is None:
            self._file = self._told(self._open)
        data: bytes = self._told(lambda: self._file.read(size))
        return data

    def close(self) -> None:
        """Let the connection go; may be called twice."""
        if self._file is not None:
            with suppress(Exception):  # nothing is lost that was not copied
                self._file.close()

    def _told(self, act: Callable[[], _T]) -> _T:
        try:
            return act()
        except FileNotFoundError as error:
            raise InputError(f"{self._url} does not exist") from error
        except Exception as error:  # each kind of address brings a library with its own errors
            what = str(error) or type(error).__name__
            raise InputError(
                f"{self._url} cannot be read: {what}; mend that, then run the same command again: "
                "it goes on where it stopped"
            ) from error


def _opener(url: str) -> Callable[[], Any]:
    scheme = url.partition("://")[0]
    missing = f"reading {scheme}:// needs more packages: pip install 'batcher[remote]'"
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError(missing) from error
    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise MissingExtraError(f"{missing} ({error})") from error
    except ValueError as error:
        known = "s3, gs, https and others"
        raise InputError(f"{url}: {scheme} is no kind of address ({known} are)") from error
    return fsspec.open(url, "rb").open  # type: ignore[no-any-return]
