"""Whether and how a vault is kept in step with other devices, as far as its folder tells."""

from __future__ import annotations

import asyncio
import os
import re
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, Field

from hermes.platforms.obsidian.folders import open_folder
from hermes.platforms.obsidian.git import GitState, GitUnreadable, read_state
from hermes.platforms.obsidian.vault import Vault
from hermes.platforms.obsidian.walk import walk_files

Backend = Literal["none", "git", "obsidian-headless", "livesync", "external"]
State = Literal["idle", "syncing", "error", "conflict", "not_configured", "unknown"]

MAX_CONFLICTS = 100
# Obsidian and Dropbox: "name (Conflicted copy DEVICE 202601021530).md", "name (Ann's conflicted copy 2026-01-02).md";
# Syncthing: "name.sync-conflict-20260102-153000-ABCDEFG.md".
_CONFLICT_NAME = re.compile(r"\([^()]*conflicted copy[^()]*\)|\.sync-conflict-\d{8}-\d{6}", re.IGNORECASE)
_EXTERNAL = (".stfolder", ".stversions", ".dropbox", ".dropbox.cache", ".syncthing")
# The lock is a folder that a running `ob sync` touches every second (obsidian-headless 0.0.9, cli.js).
_HEADLESS_LOCK = ((".obsidian",), ".sync.lock")
_LOCK_FRESH = timedelta(seconds=15)
_LIVESYNC = ((".obsidian", "plugins"), "obsidian-livesync")


class SyncStatus(BaseModel):
    """How a vault is synced. `pending_changes` counts changes here that the other side does not have yet."""

    backend: Backend
    state: State
    last_sync_at: datetime | None = Field(
        default=None, description="When the other side was last asked, if that is known."
    )
    pending_changes: int | None = Field(
        default=None, description="Local changes that are not synced yet, if that is known."
    )
    conflicts: list[str] = Field(description="Notes that two devices changed at once; a person has to merge them.")
    details: str
    checked_at: datetime


async def sync_status(vault: Vault) -> SyncStatus:
    """Look at the vault's folder. Never changes anything and never blocks the event loop.

    Raises:
        NotFound: the vault is gone.
    """
    backend, seen_at, conflicts = await asyncio.to_thread(_look, vault)
    now = datetime.now(UTC)
    if backend == "git":
        try:
            return _git_status(await read_state(vault), conflicts, now)
        except GitUnreadable as error:
            details = f"The vault is a git repository, but {error}."
            return SyncStatus(backend="git", state="error", conflicts=conflicts, details=details, checked_at=now)
    if backend == "obsidian-headless":
        return _headless_status(seen_at, conflicts, now)
    details = {
        "none": "Nothing in the vault's folder says that it is synced.",
        "livesync": "The Self-hosted LiveSync plugin is installed; its progress is not visible from the folder.",
    }.get(backend, "Another program syncs this folder; its progress is not visible from here.")
    state: State = "conflict" if conflicts else "not_configured" if backend == "none" else "unknown"
    return SyncStatus(backend=backend, state=state, conflicts=conflicts, details=details, checked_at=now)


def _look(vault: Vault) -> tuple[Backend, datetime | None, list[str]]:
    conflicts: list[str] = []

    def visit(path: str, _: os.stat_result) -> None:
        if _CONFLICT_NAME.search(path.rsplit("/", 1)[-1]):
            conflicts.append(path)

    with vault.opened() as root:
        walk_files(root, visit)
        conflicts = sorted(conflicts)[:MAX_CONFLICTS]
        if _changed_at(root, (), ".git") is not None:
            return "git", None, conflicts
        if (lock := _changed_at(root, *_HEADLESS_LOCK)) is not None:
            return "obsidian-headless", lock, conflicts
        if _changed_at(root, *_LIVESYNC) is not None:
            return "livesync", None, conflicts
        external = conflicts or any(_changed_at(root, (), name) is not None for name in _EXTERNAL)
    return ("external" if external else "none"), None, conflicts


def _changed_at(root: int, folder: tuple[str, ...], name: str) -> datetime | None:
    """When a name in the vault last changed; None if it is not there (or only reached through a link)."""
    try:
        with open_folder(root, folder) as descriptor:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except Exception:  # noqa: BLE001  (whatever is in the way, the mark is not there)
        return None
    return datetime.fromtimestamp(status.st_mtime, UTC)


def _git_status(git: GitState, conflicts: list[str], now: datetime) -> SyncStatus:
    conflicts = sorted({*conflicts, *git.conflicts})[:MAX_CONFLICTS]
    state: State = "conflict" if conflicts or git.in_progress else "syncing" if git.locked else "idle"
    against = (
        f"{git.ahead} commits ahead of and {git.behind} behind {git.upstream}" if git.upstream else "no upstream branch"
    )
    unfinished = " A merge or rebase is unfinished." if git.in_progress else ""
    return SyncStatus(
        backend="git",
        state=state,
        last_sync_at=git.fetched_at,
        pending_changes=git.changed + git.ahead,
        conflicts=conflicts,
        details=f"Branch {git.branch}: {git.changed} changed or new files, {against}.{unfinished}",
        checked_at=now,
    )


def _headless_status(seen_at: datetime | None, conflicts: list[str], now: datetime) -> SyncStatus:
    running = seen_at is not None and now - seen_at < _LOCK_FRESH
    state: State = "conflict" if conflicts else "syncing" if running else "error"
    details = (
        "obsidian-headless is running for this vault."
        if running
        else "obsidian-headless left its lock behind: it was killed; start `ob sync --continuous` again."
    )
    return SyncStatus(
        backend="obsidian-headless",
        state=state,
        last_sync_at=seen_at,
        conflicts=conflicts,
        details=details,
        checked_at=now,
    )
