"""Where the sealed bytes of files lie: a folder, or a bucket of an S3-compatible store (bucket.py).

Every method blocks, because what reads photos and videos wants ordinary files; the callers run them in threads.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import Executor
from pathlib import Path
from typing import IO, Protocol


class Sink(Protocol):
    """A new file on its way to its place. It can be read once it is finished."""

    def write(self, content: bytes) -> None: ...

    def finish(self) -> None:
        """Make it durable."""
        ...

    def abandon(self) -> None:
        """Leave nothing of it behind, finished or not."""
        ...


class Place(Protocol):
    """A place for files. `at` is a file's name there: letters, digits and `_`, with one slash.

    Attributes:
        threads: where the methods are to run; None: in the threads that everybody uses.
    """

    @property
    def threads(self) -> Executor | None: ...

    def create(self, at: str) -> Sink: ...

    def read(self, at: str, start: int, length: int) -> bytes:
        """At most `length` bytes from `start`; fewer at the file's end.

        Raises:
            FileNotFoundError: there is no such file.
        """
        ...

    def remove(self, at: str) -> None:
        """Remove a file; nothing happens when it is not there."""
        ...

    def remove_older(self, before: float) -> None:
        """Remove everything that was last written before a moment (seconds since 1970)."""
        ...

    def check(self) -> str:
        """Say where it is, in words for operators.

        Raises:
            PlaceUnavailable: it does not answer, or does not let us in.
        """
        ...

    def close(self) -> None: ...


class PlaceUnavailable(Exception):
    """The place does not answer, or refuses. The message says which, without any secret."""


class FolderPlace:
    """A folder on disk, which is made when something is written."""

    threads: Executor | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, at: str) -> Sink:
        return _FileSink(self._folder / at)

    def read(self, at: str, start: int, length: int) -> bytes:
        with (self._folder / at).open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(length)

    def remove(self, at: str) -> None:
        (self._folder / at).unlink(missing_ok=True)

    def remove_older(self, before: float) -> None:
        if not self._folder.is_dir():
            return
        for folder in self._folder.iterdir():
            for path in folder.iterdir():
                if path.stat().st_mtime < before:
                    path.unlink(missing_ok=True)
            if not any(folder.iterdir()) and folder.stat().st_mtime < before:
                shutil.rmtree(folder, ignore_errors=True)

    def check(self) -> str:
        near = next(path for path in (self._folder, *self._folder.absolute().parents) if path.is_dir())
        if not os.access(near, os.W_OK):
            raise PlaceUnavailable(f"{near} cannot be written to")
        return f"in {self._folder}"

    def close(self) -> None:
        """Nothing is held open."""


class _FileSink:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._path = path
        self._file: IO[bytes] = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[self._file.write(view) :]

    def finish(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)
