"""What a vault's folder tells of how it is synced; a hostile git repository runs nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hermes.platforms.obsidian import obsidian

Call = Callable[..., Awaitable[dict[str, Any]]]


def git(folder: Path, *arguments: str) -> None:
    identity = {"GIT_CONFIG_GLOBAL": os.devnull, "PATH": os.environ["PATH"]}
    options = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.com",
        "-c",
        "init.defaultBranch=main",
        "-c",
        "protocol.file.allow=always",
    ]
    subprocess.run(["git", "-C", str(folder), *options, *arguments], check=True, capture_output=True, env=identity)


@pytest.mark.parametrize(
    ("names", "backend", "state", "conflicts"),
    [
        ([], "none", "not_configured", []),
        ([".stfolder/"], "external", "unknown", []),
        (
            ["a.sync-conflict-20260102-153000-ABCDEFG.md"],
            "external",
            "conflict",
            ["a.sync-conflict-20260102-153000-ABCDEFG.md"],
        ),
        (
            ["s/n (Ann's conflicted copy 2026-01-02).md"],
            "external",
            "conflict",
            ["s/n (Ann's conflicted copy 2026-01-02).md"],
        ),
        (
            ["n (Conflicted copy PHONE 202601021530).md", ".obsidian/.sync.lock/"],
            "obsidian-headless",
            "conflict",
            ["n (Conflicted copy PHONE 202601021530).md"],
        ),
        ([".obsidian/.sync.lock/"], "obsidian-headless", "syncing", []),
        ([".obsidian/plugins/obsidian-livesync/"], "livesync", "unknown", []),
        ([".git/"], "git", "error", []),
    ],
)
async def test_backends(
    call: Call, folder: Path, names: list[str], backend: str, state: str, conflicts: list[str]
) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).mkdir() if name.endswith("/") else (folder / name).write_text("x")
    status = await call("sync_status")
    jsonschema.validate(status, obsidian.tools["sync_status"].output_schema)
    assert (status["backend"], status["state"], status["conflicts"]) == (backend, state, conflicts)


async def test_an_old_headless_lock_is_an_error(call: Call, folder: Path) -> None:
    (folder / ".obsidian" / ".sync.lock").mkdir(parents=True)
    os.utime(folder / ".obsidian" / ".sync.lock", (1, 1))
    assert (await call("sync_status"))["state"] == "error"


async def test_git(call: Call, folder: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    git(tmp_path, "init", "--bare", str(remote))
    git(folder, "init")
    (folder / "a.md").write_text("a\n")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "one")
    status = await call("sync_status")
    assert (status["backend"], status["state"], status["pending_changes"], "last_sync_at" in status) == (
        "git",
        "idle",
        0,
        False,
    )
    git(folder, "remote", "add", "origin", str(remote))
    git(folder, "push", "-u", "origin", "HEAD:main")
    (folder / "b.md").write_text("b\n")
    (folder / "a.md").write_text("b\n")
    git(folder, "commit", "-am", "two")
    status = await call("sync_status")
    assert status["pending_changes"] == 2
    assert "1 commits ahead of and 0 behind origin/main" in status["details"]
    git(folder, "checkout", "-b", "side", "HEAD~1")
    (folder / "a.md").write_text("c\n")
    git(folder, "commit", "-am", "three")
    git(folder, "fetch", "origin")
    with pytest.raises(subprocess.CalledProcessError):
        git(folder, "merge", "main")
    status = await call("sync_status")
    assert (status["state"], status["conflicts"]) == ("conflict", ["a.md"])
    assert status["last_sync_at"]


async def test_a_hostile_repository_runs_nothing(call: Call, folder: Path, tmp_path: Path) -> None:
    git(folder, "init")
    (folder / "a.md").write_text("a\n")
    (folder / ".gitattributes").write_text("* filter=evil diff=evil\n")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "one")
    proof, script = tmp_path / "proof", tmp_path / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch {proof}\ncat\n")
    script.chmod(0o755)
    hook = folder / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_bytes(script.read_bytes())
    hook.chmod(0o755)
    for name in (
        "core.fsmonitor",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "core.pager",
        "core.sshCommand",
    ):
        git(folder, "config", name, str(script))
    (folder / ".git" / "more").write_text(f"[core]\n\tfsmonitor = {script}\n")
    git(folder, "config", "include.path", "more")
    (folder / "a.md").write_text("b\n")
    status = await call("sync_status")
    assert (status["backend"], status["pending_changes"]) == ("git", 1)
    assert not proof.exists()


@pytest.mark.parametrize("borrowed", ["refs", "objects", "alternates"])
async def test_a_repository_that_lives_on_anothers_history_is_not_read(
    call: Call, folder: Path, tmp_path: Path, borrowed: str
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for place in (theirs, folder):
        git(place, "init")
        (place / "n.md").write_text("x")
        git(place, "add", ".")
        git(place, "commit", "-m", "one")
    assert (await call("sync_status"))["state"] == "idle"
    own = folder / ".git"
    if borrowed == "alternates":
        (own / "objects" / "info" / "alternates").write_text(f"{theirs / '.git' / 'objects'}\n")
    else:
        (own / borrowed).rename(own / f"{borrowed}.was")
        (own / borrowed).symlink_to(theirs / ".git" / borrowed)
    found = await call("sync_status")
    assert (found["backend"], found["state"]) == ("git", "error")
