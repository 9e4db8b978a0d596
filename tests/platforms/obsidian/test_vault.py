"""A vault never lets anyone out, never loses a change, and never shows half a note."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hermes.errors import Conflict, HermesError, InvalidArguments, NotFound, PayloadTooLarge
from hermes.platforms.obsidian.folders import read_regular
from hermes.platforms.obsidian.vault import Vault, etag_of

PIECES = st.sampled_from(
    [
        "..",
        ".",
        "",
        "/",
        "\\",
        "C:",
        "a",
        "b.md",
        "link",
        "out",
        "\x00",
        "%2e%2e",
        "%2F",
        "．．",
        "‥",
        "CON",
        "é",
        "e\u0301",
        "~",
        " ",
    ]
)
PATHS = st.one_of(
    st.text(max_size=40), st.lists(PIECES, max_size=6).map("/".join), st.lists(PIECES, max_size=6).map("".join)
)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=PATHS)
def test_no_path_reads_or_writes_outside(path: str, vault: Vault, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "out"
    outside.mkdir(exist_ok=True)
    (outside / "b.md").write_bytes(b"secret")
    if not (folder / "link").is_symlink():
        (folder / "link").symlink_to(outside)
    before = tree(outside)
    try:
        vault.change(path, lambda _: b"written", create=True)
        assert vault.read(path).data == b"written"
    except HermesError:
        pass
    assert tree(outside) == before
    assert {entry.name for entry in tmp_path.iterdir()} <= {"vault", "out", "vault.lock"}
    for made in folder.iterdir():
        made.unlink() if made.is_symlink() or made.is_file() else shutil.rmtree(made)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "/a.md",
        "..",
        "../a.md",
        "a/../b.md",
        "a/../../b.md",
        "./a.md",
        ".obsidian/x.md",
        "a/.git/x.md",
        ".trash/x.md",
        "a\\b.md",
        "..\\b.md",
        "C:\\a.md",
        "C:a.md",
        "c:/a.md",
        "a\x00.md",
        "a\n.md",
        "a\x7f.md",
        "a//b.md",
        "a/",
        "CON",
        "con.md",
        "a/NUL.md",
        "aux",
        "com1.x.md",
        "LPT9.md",
        "COM¹.md",
        "nul .md",
        "x" * 256,
        "a/" * 600 + "b",
        "\ud800.md",
        "a/" * 40 + "b.md",
    ],
)
@pytest.mark.parametrize("write", [False, True])
def test_refused_paths(vault: Vault, folder: Path, path: str, write: bool) -> None:
    with pytest.raises(InvalidArguments) as caught:
        vault.change(path, lambda _: b"", create=True) if write else vault.read(path)
    assert caught.value.data["fields"][0]["field"] == "path"
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    "path",
    [
        "a#b.md",
        "a|b",
        "a^b",
        "a:b",
        "a%%b",
        "[[a]]",
        'a"b',
        "a<b",
        "a?b",
        "a*b",
        "a .md",
        "a./b.md",
        " a.md",
        "a\u202eb.md",
        "a\u200bb.md",
        "a\ufeffb.md",
    ],
)
def test_new_names_that_links_or_other_systems_cannot_hold(vault: Vault, path: str) -> None:
    with pytest.raises(InvalidArguments):
        vault.change(path, lambda _: b"", create=True)


@pytest.mark.parametrize("path", ["%2e%2e/x.md", "Ünï/ços.md", "日本/語.md", "👩\u200d💻.md", "a b/c d", "CONTENT.md"])
def test_odd_but_good_names(vault: Vault, path: str) -> None:
    assert vault.change(path, lambda _: b"hi", create=True).before is None
    assert vault.read(path).data == b"hi"


def put_symlink(place: Path, secret: Path) -> None:
    place.symlink_to(secret)


def put_hardlink(place: Path, secret: Path) -> None:
    place.hardlink_to(secret)


def put_pipe(place: Path, _: Path) -> None:
    os.mkfifo(place)


def put_folder(place: Path, _: Path) -> None:
    place.mkdir()


def put_socket(place: Path, _: Path) -> None:
    here = Path.cwd()
    os.chdir(place.parent)  # a socket's path may have 108 bytes only
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(place.name)
    os.chdir(here)


def put_dangling(place: Path, _: Path) -> None:
    place.symlink_to("/nonexistent/file")


@pytest.mark.parametrize("put", [put_symlink, put_hardlink, put_pipe, put_folder, put_socket, put_dangling])
def test_only_plain_files(vault: Vault, folder: Path, tmp_path: Path, put: object) -> None:
    secret = tmp_path / "secret.md"
    secret.write_bytes(b"secret")
    put(folder / "note.md", secret)  # type: ignore[operator]  # one of the functions above
    for write in (False, True):
        with pytest.raises(InvalidArguments, match="plain file"):
            vault.change("note", lambda _: b"x", create=True) if write else vault.read("note.md")
    assert secret.read_bytes() == b"secret"


def test_devices_are_refused(tmp_path: Path) -> None:
    vault = Vault(Path("/dev"), lock_file=tmp_path / "lock")
    with vault.opened() as root, pytest.raises(InvalidArguments):
        read_regular(root, "null", "null", limit=10)


def test_folder_links_are_refused(vault: Vault, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "note.md").write_bytes(b"secret")
    (folder / "sub").symlink_to(outside)
    for path in ("sub/note.md", "SUB/note.md", "sub/new.md"):
        with pytest.raises((InvalidArguments, Conflict, NotFound)):
            vault.change(path, lambda _: b"x", create=True)
        with pytest.raises((InvalidArguments, NotFound)):
            vault.read(path)
    assert tree(outside) == {"note.md": b"secret"}


def test_swapping_a_folder_for_a_link_never_leads_out(vault: Vault, folder: Path, tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", folder / "sub"
    outside.mkdir()
    inside.mkdir()
    (outside / "note.md").write_bytes(b"secret")
    (inside / "note.md").write_bytes(b"mine")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            inside.rename(folder / "kept")
            inside.symlink_to(outside)
            inside.unlink()
            (folder / "kept").rename(inside)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for turn in range(400):
            try:
                if turn % 2:
                    vault.change("sub/note.md", lambda _: b"mine")
                else:
                    assert vault.read("sub/note.md").data == b"mine"
            except HermesError:
                pass
    finally:
        stop.set()
        thread.join()
    assert tree(outside) == {"note.md": b"secret"}


def test_another_case_or_unicode_form_is_found_when_unique(vault: Vault, folder: Path) -> None:
    name = unicodedata.normalize("NFD", "Café") + ".md"
    (folder / "Sub").mkdir()
    (folder / "Sub" / name).write_bytes(b"x")
    assert vault.read("sub/CAFÉ").path == f"Sub/{name}"
    (folder / "Sub" / "CAFÉ.md").write_bytes(b"y")
    with pytest.raises(NotFound):
        vault.read("sub/café")
    assert vault.read("Sub/CAFÉ").data == b"y"


@pytest.mark.parametrize(
    ("existing", "asked"),
    [("Projects/a.md", "projects/b.md"), ("Cafe\u0301/a.md", "Caf\u00e9/b.md"), ("A.md/x.md", "a.md")],
)
def test_a_new_name_never_collides_on_a_phone(vault: Vault, folder: Path, existing: str, asked: str) -> None:
    (folder / existing).parent.mkdir(parents=True)
    (folder / existing).write_bytes(b"x")
    with pytest.raises((Conflict, InvalidArguments)):
        vault.change(asked, lambda _: b"", create=True)


def test_new_names_are_composed(vault: Vault, folder: Path) -> None:
    vault.change("Cafe\u0301/e\u0301", lambda _: b"x", create=True)
    vault.change("Cafe\u0301/b", lambda _: b"y", create=True)
    assert tree(folder) == {"Caf\u00e9/\u00e9.md": b"x", "Caf\u00e9/b.md": b"y"}


def test_not_found_suggests(vault: Vault, folder: Path) -> None:
    (folder / "Work").mkdir()
    (folder / "Work" / "Meeting notes.md").write_bytes(b"x")
    for wrong in ("Meeting notes", "Work/Meting notes.md", "meeting"):
        with pytest.raises(NotFound) as caught:
            vault.change(wrong, lambda _: b"")
        assert caught.value.data["did_you_mean"] == ["Work/Meeting notes.md"]
    assert len(tree(folder)) == 1


def test_write_keeps_mode_and_leaves_nothing_else(vault: Vault, folder: Path) -> None:
    note = folder / "a.md"
    note.write_bytes(b"old")
    note.chmod(0o640)
    stale = folder / ".a.md.0123456789abcdef.tmp"
    stale.write_bytes(b"left by a process that died")
    change = vault.change("a", lambda data: (data or b"") + b" new", etag=etag_of(b"old"))
    assert (change.before, change.after) == (b"old", b"old new")
    assert stat.S_IMODE(note.stat().st_mode) == 0o640
    assert tree(folder) == {"a.md": b"old new"}


def test_dying_before_the_replace_leaves_the_old_note(
    vault: Vault, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.md").write_bytes(b"old")

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        patch.setattr(os, "unlink", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            vault.change("a", lambda _: b"new")
    assert (folder / "a.md").read_bytes() == b"old"
    vault.change("a", lambda _: b"new")
    assert tree(folder) == {"a.md": b"new"}


def test_a_change_from_outside_is_never_overwritten(vault: Vault, folder: Path) -> None:
    note = folder / "a.md"
    note.write_bytes(b"one")
    etag = vault.read("a").etag
    note.write_bytes(b"two")
    with pytest.raises(Conflict) as caught:
        vault.change("a", lambda _: b"mine", etag=etag)
    assert caught.value.data["current_etag"] == etag_of(b"two")

    def meanwhile(data: bytes | None) -> bytes:
        note.write_bytes(b"three")
        return b"mine"

    with pytest.raises(Conflict) as caught:
        vault.change("a", meanwhile)
    assert caught.value.data["current_etag"] == etag_of(b"three")

    def made(data: bytes | None) -> bytes:
        (folder / "new.md").write_bytes(b"theirs")
        return b"mine"

    with pytest.raises(Conflict):
        vault.change("new", made, create=True)
    assert tree(folder) == {"a.md": b"three", "new.md": b"theirs"}


def test_of_two_writers_with_one_etag_one_wins(folder: Path, tmp_path: Path) -> None:
    for turn in range(20):
        (folder / "a.md").write_bytes(b"%d" % turn)
        etag = etag_of(b"%d" % turn)
        barrier = threading.Barrier(2)

        def write(text: bytes, barrier: threading.Barrier = barrier, etag: str = etag) -> bool:
            vault = Vault(folder, lock_file=tmp_path / "lock")
            barrier.wait()
            try:
                vault.change("a", lambda _: text, etag=etag)
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            won = list(pool.map(write, (b"x", b"y")))
        assert sorted(won) == [False, True]
        assert (folder / "a.md").read_bytes() == (b"x" if won[0] else b"y")


def test_parallel_appends_lose_nothing(folder: Path, tmp_path: Path) -> None:
    def append(number: int) -> None:
        vault = Vault(folder, lock_file=tmp_path / "lock")
        vault.change("a", lambda data: (data or b"") + b"%d\n" % number, create=True)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(60)))
    assert sorted(map(int, (folder / "a.md").read_bytes().split())) == list(range(60))


def test_limits(vault: Vault, folder: Path) -> None:
    with pytest.raises(PayloadTooLarge):
        vault.change("a", lambda _: b"x" * 1001, create=True)
    (folder / "big.md").write_bytes(b"x" * 2000)
    vault.change("big", lambda data: (data or b"")[:-1])
    with pytest.raises(PayloadTooLarge):
        vault.change("big", lambda data: (data or b"") + b"more")
    (folder / "photo.jpg").write_bytes(b"x" * 17_900)
    with pytest.raises(PayloadTooLarge, match="20000 bytes"):
        vault.change("a", lambda _: b"x" * 500, create=True)
    (folder / "photo.jpg").unlink()
    for number in range(49):
        (folder / f"{number}.md").write_bytes(b"")
    with pytest.raises(PayloadTooLarge, match="50 files"):
        vault.change("a", lambda _: b"x", create=True)


def test_dry_run_changes_nothing(vault: Vault, folder: Path) -> None:
    change = vault.change("new/a", lambda _: b"x", create=True, dry_run=True)
    assert (change.path, change.before, change.after) == ("new/a.md", None, b"x")
    assert not list(folder.iterdir())
