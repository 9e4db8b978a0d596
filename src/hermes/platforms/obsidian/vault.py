"""A vault on disk: reading notes, and changing them so that nobody ever sees half a note or loses a change.

Everything here blocks and belongs in a worker thread. One lock per vault, a file outside of it, keeps writers of all
processes apart; syncers do not know that lock, so the note is compared once more right before it is replaced.
"""

from __future__ import annotations

import difflib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hermes.errors import Conflict, NotFound, PayloadTooLarge
from hermes.platforms.obsidian import folders
from hermes.platforms.obsidian.paths import check_new_name, fold, note_title, split_path, with_suffix
from hermes.platforms.obsidian.walk import note_paths, walk_files

READ_LIMIT = 5 * 1024 * 1024
NEW_NOTE_MODE = 0o644
SUGGESTIONS = 5
_RANDOM_HEX = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What a vault may hold; None means no limit (the operator's own vault)."""

    note_bytes: int = 1024 * 1024
    notes: int | None = 20_000
    total_bytes: int | None = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredNote:
    """A note as it is on disk now. `path` is how the disk spells it."""

    path: str
    data: bytes
    mtime_ns: int
    mode: int

    @property
    def etag(self) -> str:
        return etag_of(self.data)


@dataclass(frozen=True, slots=True)
class Change:
    """What a write did, or with `dry_run` would do. `before` is None when the note was made."""

    path: str
    before: bytes | None
    after: bytes
    mtime_ns: int | None


Edit = Callable[[bytes | None], bytes]
"""Makes a note's new bytes from its present ones (None: there is no such note)."""


def etag_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Vault:
    """One vault: the folder `root/inside[0]/inside[1]/…`, of which only `root` may be reached through links."""

    def __init__(
        self, root: Path, inside: tuple[str, ...] = (), *, lock_file: Path, limits: Limits | None = None
    ) -> None:
        self.root = root
        self.inside = inside
        self.limits = limits or Limits()
        self._lock_file = lock_file

    @property
    def folder(self) -> Path:
        return self.root.joinpath(*self.inside)

    def make(self) -> None:
        """Make the vault's folder below the root, where it does not exist yet."""
        with folders.open_root(self.root, ()) as root:
            folders.make_folders(root, self.inside)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the vault's folder. Raises NotFound if it is gone."""
        with folders.open_root(self.root, self.inside) as descriptor:
            yield descriptor

    def read(self, path: str) -> StoredNote:
        """The note at `path`, with or without `.md`; another case or Unicode form is accepted when it is unique.

        Raises:
            InvalidArguments: the path is refused, or is no plain file.
            NotFound: there is no such note; `did_you_mean` lists similar paths.
            PayloadTooLarge: the note is too large to be opened.
        """
        segments = with_suffix(split_path(path))
        with self.opened() as root:
            found = self._find(root, segments)
            note = None if found is None else self._load(root, found)
            if note is None:
                raise _not_found(root, segments)
            return note

    def change(
        self, path: str, edit: Edit, *, create: bool = False, etag: str | None = None, dry_run: bool = False
    ) -> Change:
        """Replace a note by what `edit` makes of it, atomically and durably.

        Args:
            path: as in `read`.
            edit: gets the present bytes; what it raises goes to the caller and nothing is written.
            create: whether a note that does not exist is made, with the folders above it.
            etag: what the note must be now.
            dry_run: check everything and write nothing.

        Raises:
            Conflict: the note is not what `etag` says or changed meanwhile (`current_etag`), or a new name equals an
                existing one but for case or Unicode form (`existing`).
            PayloadTooLarge: the note, or the vault, would exceed its limits.
            InvalidArguments, NotFound: as in `read`.
        """
        segments = with_suffix(split_path(path))
        if dry_run:
            with self.opened() as root:
                return self._prepare(root, segments, edit, create, etag)[0]
        with self._locked(), self.opened() as root:
            change, mode = self._prepare(root, segments, edit, create, etag)
            if change.before == change.after:
                return change
            try:
                return self._store(root, change, mode)
            except FileNotFoundError:
                message = (
                    "The note's folder was moved or removed at this moment. Look where it is and repeat the change."
                )
                raise Conflict(message, current_etag=None) from None

    def _prepare(
        self, root: int, segments: tuple[str, ...], edit: Edit, create: bool, etag: str | None
    ) -> tuple[Change, int | None]:
        found = self._find(root, segments)
        note = None if found is None else self._load(root, found)
        if note is None and not create:
            raise _not_found(root, segments)
        if etag is not None:
            _check_etag(etag, note)
        if note is None:
            segments = self._check_new(root, segments)
        after = edit(None if note is None else note.data)
        before = None if note is None else note.data
        self._check_limits(root, before, after)
        target = "/".join(segments) if note is None else note.path
        return Change(target, before, after, note.mtime_ns if note else None), note.mode if note else None

    def _find(self, root: int, segments: tuple[str, ...]) -> tuple[str, ...] | None:
        try:
            with folders.open_folder(root, segments[:-1]) as folder:
                os.stat(segments[-1], dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return folders.spelled_on_disk(root, segments)
        return segments

    def _load(self, root: int, segments: tuple[str, ...]) -> StoredNote | None:
        path = "/".join(segments)
        try:
            with folders.open_folder(root, segments[:-1]) as folder:
                data, status = folders.read_regular(folder, segments[-1], path, limit=READ_LIMIT)
        except FileNotFoundError:
            return None
        return StoredNote(path, data, status.st_mtime_ns, status.st_mode & 0o777)

    def _check_new(self, root: int, segments: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse a new path of which any part is the twin of an existing name; returns its NFC form."""
        normal = check_new_name(segments)
        spelled: tuple[str, ...] = ()
        for name, asked in zip(normal, segments, strict=True):
            try:
                with folders.open_folder(root, spelled) as folder:
                    existing = folders.twins(folder, name)
            except FileNotFoundError:
                break
            if existing and name not in existing and asked not in existing:
                twin = "/".join((*spelled, existing[0]))
                message = f"{twin} exists and differs only in case or Unicode form; phones and Macs cannot keep both."
                raise Conflict(f"{message} Use that path.", existing=twin)
            spelled = (*spelled, asked if asked in existing else name)
        return (*spelled, *normal[len(spelled) :])

    def _check_limits(self, root: int, before: bytes | None, after: bytes) -> None:
        if len(after) > self.limits.note_bytes and len(after) > len(before or b""):
            limit = self.limits.note_bytes
            raise PayloadTooLarge(f"A note may have {limit} bytes; this would have {len(after)}.", limit=limit)
        growth = len(after) - len(before or b"")
        if growth <= 0 or (self.limits.notes is None and self.limits.total_bytes is None):
            return
        sizes: list[int] = []
        walk_files(root, lambda _, status: sizes.append(status.st_size))
        count, total = len(sizes), sum(sizes)
        if before is None and self.limits.notes is not None and count >= self.limits.notes:
            raise PayloadTooLarge(f"The vault holds its {self.limits.notes} files already.", limit=self.limits.notes)
        if self.limits.total_bytes is not None and total + growth > self.limits.total_bytes:
            limit = self.limits.total_bytes
            raise PayloadTooLarge(f"The vault may hold {limit} bytes; {total} are used.", limit=limit)

    def _store(self, root: int, change: Change, mode: int | None) -> Change:
        segments = tuple(change.path.split("/"))
        if change.before is None:
            folders.make_folders(root, segments[:-1])
        with folders.open_folder(root, segments[:-1]) as folder:
            name = segments[-1]
            temporary = _write_temporary(folder, name, change.after, mode)
            try:
                self._check_unchanged(root, segments, change.before)
                os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
            os.fsync(folder)
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        return Change(change.path, change.before, change.after, status.st_mtime_ns)

    def _check_unchanged(self, root: int, segments: tuple[str, ...], before: bytes | None) -> None:
        now = self._load(root, segments)
        if (now.data if now else None) != before:
            raise Conflict(
                "The note was changed by someone else at this moment. Read it again and repeat the change.",
                current_etag=now.etag if now else None,
            )

    def _open_lock(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        if not self.inside:
            self._lock_file.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._lock_file, flags, 0o600)
        # Beside the vault: a customer's folder that is a link must not lead to another's lock either.
        with folders.open_root(self.root, self.inside[:-1]) as beside:
            return os.open(self._lock_file.name, flags, 0o600, dir_fd=beside)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = self._open_lock()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _write_temporary(folder: int, name: str, data: bytes, mode: int | None) -> str:
    """Write the new bytes beside the note, durably. The dot keeps Obsidian and syncers from seeing the file.

    The caller holds the vault's lock, so an older temporary file of the same note belongs to a process that died.
    """
    stem = "." + name.encode()[: _name_room()].decode(errors="ignore") + "."
    with os.scandir(folder) as entries:
        stale = [entry.name for entry in entries if entry.name.startswith(stem) and _is_temporary(entry.name, stem)]
    for leftover in stale:
        os.unlink(leftover, dir_fd=folder)
    temporary = f"{stem}{secrets.token_hex(_RANDOM_HEX // 2)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, NEW_NOTE_MODE, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    return temporary


def _name_room() -> int:
    """How many bytes of a note's name fit into its temporary file's name."""
    return 255 - len("..") - _RANDOM_HEX - len(".tmp")


def _is_temporary(name: str, stem: str) -> bool:
    middle = name.removeprefix(stem).removesuffix(".tmp")
    return name.endswith(".tmp") and len(middle) == _RANDOM_HEX and all(char in "0123456789abcdef" for char in middle)


def _check_etag(etag: str, note: StoredNote | None) -> None:
    if note is None:
        raise Conflict("The note does not exist any more; leave out etag to make it.", current_etag=None)
    if etag != note.etag:
        raise Conflict(
            "The note is not what you read: it has another etag now. Read it again and repeat the change.",
            current_etag=note.etag,
        )


def _not_found(root: int, segments: tuple[str, ...]) -> NotFound:
    path = "/".join(segments)
    similar = suggestions(note_paths(root), path)
    hint = f" Did you mean {similar[0]}?" if similar else " Use search_notes to find it."
    return NotFound(f"There is no note {path}.{hint}", did_you_mean=similar)


def suggestions(paths: list[str], wanted: str) -> list[str]:
    """The few paths most like `wanted`: same name elsewhere first, then names that contain it, then close spellings."""
    title = fold(note_title(wanted))
    titles = {path: fold(note_title(path)) for path in paths}
    same = [path for path, name in titles.items() if name == title]
    holding = [path for path, name in titles.items() if name != title and (title in name or name in title)]
    close = (
        set(difflib.get_close_matches(title, set(titles.values()), n=SUGGESTIONS, cutoff=0.7))
        if len(title) > 1
        else set()
    )
    near = [path for path, name in titles.items() if name in close]
    ordered = [*sorted(same, key=len), *sorted(near, key=len), *sorted(holding, key=len)]
    return list(dict.fromkeys(ordered))[:SUGGESTIONS]
