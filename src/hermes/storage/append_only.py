"""Valkey's append-only file: brought to the disk, and mended when a crash of the machine left rubbish at its end.

A file that merely ends early is mended by Valkey itself (`aof-load-truncated yes`). Zeros or half a page of something
else make it refuse to start; the check tool, which is the same binary under another name, cuts them off.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

_LARGEST_CUT: Final = 4 * 1024 * 1024
"""What a second of writing can be. More than that is another kind of damage, which a person should look at."""


def mend(binary: Path, folder: Path) -> bool:
    """Cut the unreadable end off the newest append-only file, after keeping a copy of it beside the folder.

    Returns:
        Whether something was cut, so that another start is worth trying. False: nothing wrong was found at the end
        of the newest file, or too much of it.
    """
    newest = _newest_increment(folder / "appendonlydir")
    if newest is None:
        return False
    unreadable = _unreadable_bytes(_check(binary, newest))
    if not 0 < unreadable <= _LARGEST_CUT:
        return False
    kept = folder / f"{newest.name}.damaged-{int(time.time())}"
    shutil.copy2(newest, kept)
    _check(binary, newest, "--fix", answer="y\n")
    _log.warning("cut %d unreadable bytes off %s; the file as it was is %s", unreadable, newest, kept)
    return _unreadable_bytes(_check(binary, newest)) == 0


def sync(folder: Path) -> None:
    """Bring to the disk what Valkey has written by now."""
    for file in (folder / "appendonlydir").glob("*.incr.aof"):
        with suppress(FileNotFoundError):  # a rewrite has just replaced it
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _newest_increment(folder: Path) -> Path | None:
    try:
        manifest = (folder / "appendonly.aof.manifest").read_text()
    except FileNotFoundError:
        return None
    found = re.findall(r"^file (\S+) seq (\d+) type i", manifest, re.MULTILINE)
    return folder / max(found, key=lambda entry: int(entry[1]))[0] if found else None


def _check(binary: Path, file: Path, *options: str, answer: str = "") -> str:
    # one file at a time: given the manifest, the tool takes Valkey's own base file for damaged (9.1.2)
    done = subprocess.run(  # noqa: S603  (our own binary and path)
        ["valkey-check-aof", *options, str(file)],  # noqa: S607  (only the name it is to see; `executable` is the path)
        executable=binary,
        input=answer,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def _unreadable_bytes(report: str) -> int:
    found = re.findall(r"diff=(\d+)", report)
    return int(found[-1]) if found else 0
