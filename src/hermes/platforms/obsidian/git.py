"""The state of a vault that is a git repository, read without trusting the repository.

A repository's own configuration can name programs that `git status` runs (file-system monitors, filters, hooks), and a
customer's repository is written by whoever syncs it. So git gets a folder of its own with a configuration made here;
only the vault's objects, refs and a copy of its index are used.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hermes.errors import HermesError
from hermes.platforms.obsidian.folders import open_folder, read_regular
from hermes.platforms.obsidian.vault import Vault

TIMEOUT_SECONDS = 10.0
MAX_OUTPUT = 4 * 1024 * 1024
_MAX_FILE = 64 * 1024 * 1024
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9][\w./+*:-]{0,200}")
_IN_PROGRESS = ("MERGE_HEAD", "rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD")


class GitUnreadable(Exception):
    """Why the repository's state cannot be told."""


@dataclass(frozen=True, slots=True)
class GitState:
    """What `git status` says: changed and untracked files, commits ahead and behind, and files in conflict."""

    branch: str | None = None
    upstream: str | None = None
    ahead: int = 0
    behind: int = 0
    changed: int = 0
    conflicts: list[str] = field(default_factory=list)
    in_progress: bool = False
    locked: bool = False
    fetched_at: datetime | None = None


async def read_state(vault: Vault) -> GitState:
    """The repository's state, within a few seconds and without changing it.

    Raises:
        GitUnreadable: git is not installed, takes too long, or cannot read the repository.
    """
    with tempfile.TemporaryDirectory(prefix="hermes-git-") as folder:
        own = Path(folder)
        try:
            await asyncio.to_thread(_copy, vault, own)
            known = _parse_config(
                await _git(["config", "--file", str(own / "theirs"), "--no-includes", "-z", "--list"], {})
            )
            await asyncio.to_thread(_configure, own, known)
        except (OSError, HermesError) as error:
            raise GitUnreadable(f"its .git folder cannot be read ({type(error).__name__})") from None
        environment = {
            "GIT_DIR": folder,
            "GIT_WORK_TREE": str(vault.folder),
            "GIT_OBJECT_DIRECTORY": str(vault.folder / ".git" / "objects"),
            "GIT_INDEX_FILE": str(own / "index"),
        }
        options = ["--porcelain=v2", "--branch", "-z", "--ignore-submodules=all", "--no-renames"]
        output = await _git(["status", *options], environment)
        marks = await asyncio.to_thread(_marks, vault)
    return _parse_status(output, *marks)


async def _git(arguments: list[str], environment: Mapping[str, str]) -> str:
    safe = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never"]
    try:
        process = await asyncio.create_subprocess_exec(
            "git", "--no-optional-locks", *safe, *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env=_environment(environment),
        )  # fmt: skip
    except OSError:
        raise GitUnreadable("git is not installed on the server") from None
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            output = await _read(process)
            status = await process.wait()
    except TimeoutError:
        raise GitUnreadable(f"git took more than {TIMEOUT_SECONDS:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if status != 0:
        raise GitUnreadable("git cannot read the repository")
    return output.decode(errors="replace")


async def _read(process: asyncio.subprocess.Process) -> bytes:
    output = bytearray()
    if process.stdout is not None:
        while piece := await process.stdout.read(65536):
            output += piece
            if len(output) > MAX_OUTPUT:
                raise GitUnreadable("the repository has too many changes to list")
    return bytes(output)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    fixed = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
    }
    return fixed | dict(more)


def _copy(vault: Vault, own: Path) -> None:
    with vault.opened() as root, open_folder(root, (".git",)) as git:
        _require_own_objects(git)
        for name, copy in (("HEAD", "HEAD"), ("config", "theirs"), ("index", "index")):
            try:
                data, status = read_regular(git, name, name, limit=_MAX_FILE)
            except FileNotFoundError:
                if name == "HEAD":
                    raise
                data, status = b"", None
            if name == "index" and status is None:
                continue
            (own / copy).write_bytes(data)
            if status is not None:
                # git compares the files' times with the index's own: a copy that looks newer would hide changes.
                os.utime(own / copy, ns=(status.st_mtime_ns, status.st_mtime_ns))
    theirs = vault.folder / ".git"
    (own / "refs").symlink_to(theirs / "refs")
    (own / "packed-refs").symlink_to(theirs / "packed-refs")


def _require_own_objects(git: int) -> None:
    """Refuse a repository that lives on another one's history: git follows these by their paths."""
    for name in ("refs", "packed-refs", "objects"):
        with suppress(FileNotFoundError):
            if stat.S_ISLNK(os.stat(name, dir_fd=git, follow_symlinks=False).st_mode):
                raise GitUnreadable(f"its {name} lies elsewhere")
    with suppress(FileNotFoundError), open_folder(git, ("objects", "info")) as info:
        os.stat("alternates", dir_fd=info, follow_symlinks=False)
        raise GitUnreadable("it borrows history from another repository")


def _parse_config(output: str) -> dict[str, str]:
    pairs = (entry.partition("\n") for entry in output.split("\0") if entry)
    return {key: value for key, _, value in pairs if _PLAIN_VALUE.fullmatch(value.removeprefix("+"))}


def _configure(own: Path, known: Mapping[str, str]) -> None:
    """Write git's configuration: only facts about the format and the upstream branch, none that names a program."""
    lines = ["[core]", "bare = false"]
    lines += [
        f"{name} = {known[f'core.{name}']}"
        for name in ("filemode", "ignorecase", "autocrlf")
        if f"core.{name}" in known
    ]
    if known.get("extensions.objectformat") in ("sha1", "sha256"):
        lines += ["repositoryformatversion = 1", "[extensions]", f"objectformat = {known['extensions.objectformat']}"]
    branch = (own / "HEAD").read_text(errors="replace").strip().removeprefix("ref: refs/heads/")
    remote, merge = known.get(f"branch.{branch}.remote"), known.get(f"branch.{branch}.merge")
    fetch = known.get(f"remote.{remote}.fetch")
    if remote and merge and fetch and _PLAIN_VALUE.fullmatch(branch):
        lines += [f'[branch "{branch}"]', f"remote = {remote}", f"merge = {merge}"]
        lines += [f'[remote "{remote}"]', f"fetch = {fetch}"]
    (own / "config").write_text("\n".join(lines) + "\n")
    (own / "theirs").unlink()


def _marks(vault: Vault) -> tuple[bool, bool, datetime | None]:
    git = vault.folder / ".git"
    fetched: datetime | None = None
    with suppress(OSError):
        fetched = datetime.fromtimestamp((git / "FETCH_HEAD").lstat().st_mtime, UTC)
    return any(os.path.lexists(git / name) for name in _IN_PROGRESS), os.path.lexists(git / "index.lock"), fetched


def _parse_status(output: str, in_progress: bool, locked: bool, fetched: datetime | None) -> GitState:
    branch = upstream = None
    ahead = behind = changed = 0
    conflicts: list[str] = []
    for line in output.split("\0"):
        if line.startswith("# branch.head "):
            branch = line.removeprefix("# branch.head ")
        elif line.startswith("# branch.upstream "):
            upstream = line.removeprefix("# branch.upstream ")
        elif line.startswith("# branch.ab "):
            plus, minus = line.removeprefix("# branch.ab ").split(" ")
            ahead, behind = int(plus), -int(minus)
        elif line.startswith("u "):
            conflicts.append(line.split(" ", 10)[-1])
        elif line.startswith(("1 ", "2 ", "? ")):
            changed += 1
    return GitState(branch, upstream, ahead, behind, changed, conflicts, in_progress, locked, fetched)
