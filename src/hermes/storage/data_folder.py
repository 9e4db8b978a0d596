"""The data folder of the embedded default: private, used by one hermes at a time, never shared with the sandbox."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Final, Literal

Mode = Literal["sandbox", "live"]
Holder = Literal["server", "command"]

_SOCKET_PATH_LIMIT: Final = 103
"""Bytes of a unix socket's path that every platform takes (macOS: 103, Linux: 107)."""


class DataFolderError(Exception):
    """The data folder cannot be used; the message says why and what to do."""


class DataFolderInUseError(DataFolderError):
    """Another hermes holds the data folder. `pid` and `holder` say which, as far as it is known."""

    def __init__(self, path: Path, pid: int | None, holder: Holder | None) -> None:
        who = "another hermes" if pid is None else f"another hermes (pid {pid})"
        super().__init__(
            f"{path} is in use by {who}; stop it first, or give this one a data folder of its own with --data-dir."
        )
        self.pid = pid
        self.holder = holder


class DataFolder:
    """A folder with everything the embedded default keeps: SQLite, Valkey's files, secrets, marks and the lock."""

    def __init__(self, path: Path) -> None:
        """Create the folder (mode 0700) if it is missing; nothing is locked yet.

        Raises:
            DataFolderError: it cannot be created or written.
        """
        self.path = path.expanduser().resolve()
        self._lock: int | None = None
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(PermissionError):  # a mounted volume may belong to another user
                self.path.chmod(0o700)
        except OSError as error:
            raise _unusable(self.path, error) from error
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise _unusable(self.path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))

    @property
    def database_url(self) -> str:
        """The URL of the SQLite file."""
        return f"sqlite+aiosqlite:///{self.path / 'hermes.db'}"

    @property
    def held(self) -> bool:
        """Whether this object holds the folder."""
        return self._lock is not None

    def acquire(self, holder: Holder = "server") -> None:
        """Take the folder for this process. The lock goes with the process, however that ends.

        Raises:
            DataFolderInUseError: another process has it.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            in_use = DataFolderInUseError(self.path, *_read_holder(descriptor))
            os.close(descriptor)
            raise in_use from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "holder": holder}).encode(), 0)
        self._lock = descriptor

    def release(self) -> None:
        """Give the folder back; does nothing if it is not held."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def claim_mode(self, mode: Mode) -> None:
        """Mark the folder as the sandbox's or a live one, at first use and for good.

        Raises:
            DataFolderError: it was used in the other mode.
        """
        found = write_once(self.path / "mode", mode).strip()
        if found != mode:
            used, wanted = ("with --sandbox", "without") if found == "sandbox" else ("without --sandbox", "with it")
            raise DataFolderError(
                f"{self.path} has been used {used}, so it cannot be used {wanted}: real credentials and the sandbox "
                "never meet. Choose another folder with --data-dir."
            )

    @property
    def mode(self) -> Mode | None:
        """What the folder is marked as; None before its first use."""
        try:
            found = (self.path / "mode").read_text().strip()
        except FileNotFoundError:
            return None
        return "sandbox" if found == "sandbox" else "live"

    def valkey_socket(self) -> Path:
        """Where Valkey's socket is to be: in the folder, or in a private runtime folder if the path is too long.

        Raises:
            DataFolderError: no private folder with a short path can be made.
        """
        inside = self.path / "valkey.sock"
        if len(os.fsencode(inside)) <= _SOCKET_PATH_LIMIT:
            return inside
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16] + ".sock"
        for folder in _runtime_folders():
            if len(os.fsencode(folder / name)) <= _SOCKET_PATH_LIMIT and _make_private(folder):
                return folder / name
        raise DataFolderError(f"The path {self.path} is too long for a socket; set DATA_DIR to a shorter one.")

    def publish_socket(self, socket: Path) -> None:
        """Note where the socket is, for the other processes of this folder."""
        write_atomically(self.path / "valkey.socket", str(socket))

    def published_socket(self) -> Path | None:
        """Where the running hermes has its Valkey, as far as it has said so."""
        try:
            return Path((self.path / "valkey.socket").read_text())
        except FileNotFoundError:
            return None


def _unusable(path: Path, error: OSError) -> DataFolderError:
    return DataFolderError(
        f"The data folder {path} cannot be used ({error.strerror}); set DATA_DIR to a folder you can write."
    )


def write_atomically(path: Path, content: str) -> None:
    """Write a file of mode 0600 so that it is there whole or not at all, also after a crash of the machine."""
    temporary = _write_temporary(path, content)
    temporary.replace(path)
    _sync_folder(path.parent)


def write_once(path: Path, content: str) -> str:
    """Write a file (as `write_atomically`) unless it exists; either way return what it says now."""
    if not path.exists():
        temporary = _write_temporary(path, content)
        try:
            os.link(temporary, path)
            _sync_folder(path.parent)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path.read_text()


def _write_temporary(path: Path, content: str) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    return Path(name)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_holder(descriptor: int) -> tuple[int | None, Holder | None]:
    try:
        content = json.loads(os.pread(descriptor, 200, 0))
        return int(content["pid"]), "command" if content["holder"] == "command" else "server"
    except (ValueError, KeyError, TypeError):
        return None, None


def _runtime_folders() -> list[Path]:
    name = f"hermes-{os.getuid()}"
    given = os.environ.get("XDG_RUNTIME_DIR")
    folders = [Path(given) / "hermes"] if given else []
    return [*folders, Path(tempfile.gettempdir()) / name, Path("/tmp") / name]  # noqa: S108  (owner and mode are checked)


def _make_private(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
