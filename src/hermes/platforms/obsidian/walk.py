"""Going through all notes of a vault: one folder descriptor at a time, no link followed."""

from __future__ import annotations

import os
from collections.abc import Callable
from stat import S_ISREG

from hermes.platforms.obsidian.paths import MAX_DEPTH, NOTE_SUFFIX

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Visit = Callable[[str, os.stat_result], None]


def walk_files(folder: int, visit: Visit) -> None:
    """Call `visit` with path and status of every plain file below an open folder. Names that start with a dot
    (`.obsidian`, `.trash`, temporary files) are left out, as are links, pipes, devices, hard-linked files and names
    that are not valid Unicode.
    """
    _walk(folder, "", 1, "", visit)


def walk_notes(folder: int, visit: Visit) -> None:
    """As `walk_files`, for notes only."""
    _walk(folder, "", 1, NOTE_SUFFIX, visit)


def note_paths(folder: int) -> list[str]:
    """The paths of all notes."""
    found: list[str] = []
    walk_notes(folder, lambda path, _: found.append(path))
    return found


def _walk(folder: int, prefix: str, depth: int, suffix: str, visit: Visit) -> None:
    # Every search walks the whole vault first, so this loop is kept short, and nothing is gathered on the way.
    below: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name[0] == ".":
                continue
            if entry.is_file(follow_symlinks=False):
                if not name.endswith(suffix) and not name.lower().endswith(suffix):
                    continue
                path = prefix + name
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if status.st_nlink == 1 and S_ISREG(status.st_mode) and (path.isascii() or _is_unicode(path)):
                    visit(path, status)
            elif entry.is_dir(follow_symlinks=False):
                below.append(name)
    if depth >= MAX_DEPTH:
        return
    for name in below:
        try:
            inner = os.open(name, _FOLDER, dir_fd=folder)
        except OSError:
            continue  # renamed, removed or swapped for a link since it was listed
        try:
            _walk(inner, f"{prefix}{name}/", depth + 1, suffix, visit)
        finally:
            os.close(inner)


def _is_unicode(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
