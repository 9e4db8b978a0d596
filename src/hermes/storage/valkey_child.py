"""Run by `EmbeddedValkey` in the child process: tie it to its parent, take Valkey's lock, then become Valkey.

It imports nothing of hermes and runs as `python -I -S valkey_child.py PARENT_PID LOCK_FILE COMMAND…`. Doing this in a
program of its own, instead of between fork and exec, is safe in a process that has threads.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal this process gets when the thread that started it ends. Kept across exec."""


def main(arguments: list[str]) -> None:
    """Never returns: the process becomes the command, or ends."""
    parent, lock_file, *command = arguments
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
            sys.exit("the parent-death signal cannot be set")
    _end_if_orphaned(int(parent))
    # held by Valkey as long as it lives: two servers must never write the same append-only file
    lock = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(lock, True)
    _end_if_orphaned(int(parent))
    os.execv(command[0], command)  # noqa: S606  (no shell is wanted)


def _end_if_orphaned(parent: int) -> None:
    if os.getppid() != parent:
        sys.exit("the parent has already ended")


if __name__ == "__main__":
    main(sys.argv[1:])
