"""Opening folders and notes of a vault so that no link of any kind leads out of it.

Every step is relative to an open folder and refuses symbolic links, so a folder that is swapped for a link between
two steps is refused too, whatever the path looked like before.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hermes.errors import InvalidArguments, NotFound, PayloadTooLarge
from hermes.platforms.obsidian.paths import fold

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: opening a pipe that someone put there must not hang before it is recognised.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
FOLDER_MODE = 0o755


@contextmanager
def open_root(root: Path, inside: tuple[str, ...]) -> Iterator[int]:
    """A descriptor of the vault's folder: `root` is the operator's own word, `inside` is walked without links.

    Raises:
        NotFound: there is no such folder.
    """
    try:
        descriptor = os.open(root, _FOLDER)
    except OSError as error:
        raise NotFound("The vault's folder does not exist on the server.", detail=str(error)) from None
    try:
        for name in inside:
            descriptor = _step(descriptor, name)
    except OSError as error:
        os.close(descriptor)
        raise NotFound("The vault's folder does not exist on the server.", detail=str(error)) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _step(descriptor: int, name: str) -> int:
    """Open a folder below an open one, and close that one."""
    below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
    os.close(descriptor)
    return below


@contextmanager
def open_folder(root: int, segments: tuple[str, ...]) -> Iterator[int]:
    """A descriptor of a folder in the vault.

    Raises:
        FileNotFoundError: a segment does not exist.
        InvalidArguments: a segment is not a folder, or is a link to one.
    """
    descriptor = os.dup(root)
    try:
        for name in segments:
            descriptor = _step(descriptor, name)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise not_regular("/".join(segments)) from None
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def make_folders(root: int, segments: tuple[str, ...]) -> None:
    """Make the folders of a path that do not exist yet, each one durably.

    Raises:
        InvalidArguments: a segment exists and is not a folder, or is a link.
    """
    for depth, name in enumerate(segments):
        with open_folder(root, segments[:depth]) as parent:
            with suppress(FileExistsError):
                os.mkdir(name, FOLDER_MODE, dir_fd=parent)
            os.fsync(parent)


def read_regular(folder: int, name: str, path: str, *, limit: int) -> tuple[bytes, os.stat_result]:
    """The bytes of a plain file in an open folder.

    Raises:
        FileNotFoundError: there is none.
        InvalidArguments: it is a link, has several hard links, or is a folder, pipe or device.
        PayloadTooLarge: it has more than `limit` bytes.
    """
    before = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not is_plain(before):
        raise not_regular(path)
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise not_regular(path) from None
        raise
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        # The name may have been swapped between the two calls: what counts is the file that is open.
        status = os.fstat(descriptor)
        if not is_plain(status):
            raise not_regular(path)
        data = file.read(limit + 1) or b""
        while 0 < len(data) <= limit and (more := file.read(limit + 1 - len(data))):
            data += more
        if len(data) > limit:
            raise PayloadTooLarge(f"{path} is larger than {limit} bytes; hermes does not open such notes.", limit=limit)
        return data, status


def is_plain(status: os.stat_result) -> bool:
    """Whether it is a regular file with one name: a second hard link could lead out of the vault."""
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def not_regular(path: str) -> InvalidArguments:
    problem = "is not a plain file or folder of the vault (links, devices and pipes are refused)"
    return InvalidArguments(f"path: {path} {problem}.", fields=[{"field": "path", "problem": problem}])


def twins(folder: int, name: str) -> list[str]:
    """The names in an open folder that equal `name` without regard to case and Unicode form, dot names left out."""
    wanted = fold(name)
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name[0] != "." and fold(entry.name) == wanted)


def spelled_on_disk(root: int, segments: tuple[str, ...]) -> tuple[str, ...] | None:
    """The one path in the vault that equals `segments` without regard to case and Unicode form, or None."""
    found: tuple[str, ...] = ()
    for name in segments:
        try:
            with open_folder(root, found) as folder:
                candidates = twins(folder, name)
        except (OSError, InvalidArguments):
            return None
        if len(candidates) > 1 and name in candidates:
            candidates = [name]
        if len(candidates) != 1:
            return None
        found = (*found, candidates[0])
    return found
