"""One customer's one vault, as the tools use it."""

from __future__ import annotations

import heapq
from functools import partial
from typing import Literal

from hermes.errors import InvalidArguments
from hermes.platforms.base import Account
from hermes.platforms.documents import RecentDocument, RecentDocuments
from hermes.platforms.obsidian import edit
from hermes.platforms.obsidian.markdown import lines_of
from hermes.platforms.obsidian.note import Note, decode
from hermes.platforms.obsidian.paths import note_title
from hermes.platforms.obsidian.results import (
    HeadingResult,
    LinkResult,
    NoteContent,
    NoteHit,
    SearchResult,
    SnippetResult,
    WriteResult,
    at,
)
from hermes.platforms.obsidian.search import Page, Request, search
from hermes.platforms.obsidian.sync import SyncStatus, sync_status
from hermes.platforms.obsidian.vault import Change, Edit, StoredNote, etag_of
from hermes.platforms.obsidian.vaults import OpenVault, Vaults
from hermes.platforms.obsidian.walk import walk_notes

Part = Literal["full", "body", "frontmatter", "heading", "block", "outline"]

MAX_LINKS = 500
MAX_HEADINGS = 500


class VaultApi:
    """What the tools can do with one vault. All file work runs in threads."""

    def __init__(self, vaults: Vaults, opened: OpenVault, name: str, *, own: bool) -> None:
        """Bind a vault.

        Args:
            vaults: runs the work and keeps the indexes.
            opened: the vault.
            name: what the vault is called.
            own: whether it is the operator's own vault, which is never made by hermes.
        """
        self._vaults = vaults
        self._opened = opened
        self._name = name
        self._own = own

    async def account(self) -> Account:
        """Make sure that the vault is there: a customer's new vault is made, the operator's must exist.

        Raises:
            NotFound: the operator's vault does not exist.
        """
        await self._vaults.run(self._opened, self._make_sure)
        return Account(id=self._name, name=self._name)

    def _make_sure(self) -> None:
        vault = self._opened.vault
        if not self._own:
            vault.root.mkdir(parents=True, exist_ok=True)
            vault.make()
        with vault.opened():
            pass

    async def search(self, request: Request) -> SearchResult:
        """Search the vault as it is on disk now. Raises as `search.search`."""
        page = await self._vaults.run(self._opened, partial(self._search, request))
        return _search_result(page)

    def _search(self, request: Request) -> Page:
        index = self._opened.index
        with index.lock:
            index.refresh(self._opened.vault)
            return search(index, request)

    async def recent(self, limit: int) -> RecentDocuments:
        """The notes that were changed last, the latest first. Raises NotFound if the vault is gone."""
        return await self._vaults.run(self._opened, partial(self._recent, limit))

    def _recent(self, limit: int) -> RecentDocuments:
        found: list[tuple[int, str, int]] = []
        with self._opened.vault.opened() as root:
            walk_notes(root, lambda path, status: found.append((status.st_mtime_ns, path, status.st_size)))
        latest = heapq.nlargest(limit, found)
        return RecentDocuments(
            documents=[
                RecentDocument(path=path, title=note_title(path), mtime=at(mtime_ns), size=size)
                for mtime_ns, path, size in latest
            ]
        )

    async def read(
        self, path: str, part: Part, heading: str | None, block: str | None, offset: int, max_chars: int
    ) -> NoteContent:
        """Read a note or a part of it. Raises as `Vault.read` and `Outline.section`."""
        return await self._vaults.run(self._opened, partial(self._read, path, part, heading, block, offset, max_chars))

    def _read(
        self, path: str, part: Part, heading: str | None, block: str | None, offset: int, max_chars: int
    ) -> NoteContent:
        stored = self._opened.vault.read(path)
        note = Note(decode(stored.data))
        first, content = _part(note, part, heading, block)
        return _note_content(stored, note, first, content, offset, max_chars)

    async def change(
        self, path: str, edit_: Edit, *, create: bool = False, etag: str | None = None, dry_run: bool = False
    ) -> WriteResult:
        """Change a note by `edit_`. Raises as `Vault.change`, and what `edit_` raises."""
        work = partial(self._opened.vault.change, path, edit_, create=create, etag=etag, dry_run=dry_run)
        change = await self._vaults.run(self._opened, work)
        return await self._vaults.run(self._opened, partial(_write_result, change, dry_run=dry_run))

    async def sync_status(self) -> SyncStatus:
        return await sync_status(self._opened.vault)


def _part(note: Note, part: Part, heading: str | None, block: str | None) -> tuple[int, str]:
    """The first line (from 0) and the text of a part of a note."""
    lines = note.outline.lines
    if part == "heading":
        found, end = note.outline.section(_needed("heading", heading, part))
        return found.line, "".join(lines[found.line : end])
    if part == "block":
        first, end = note.outline.block(_needed("block", block, part))
        return first, "".join(lines[first:end])
    if part == "outline":
        return 0, "".join(f"{'#' * heading.level} {heading.text}\n" for heading in note.outline.headings)
    if part == "frontmatter":
        return 0, note.parts.block
    return (note.outline.first, note.parts.body) if part == "body" else (0, note.text)


def _needed(name: str, value: str | None, part: str) -> str:
    if value is None:
        problem = f"is needed for part {part}"
        raise InvalidArguments(f"{name} {problem}.", fields=[{"field": name, "problem": problem}])
    return value


def _note_content(stored: StoredNote, note: Note, first: int, content: str, offset: int, max_chars: int) -> NoteContent:
    shown = content[offset : offset + max_chars]
    end = offset + len(shown)
    headings = note.outline.headings[:MAX_HEADINGS]
    return NoteContent(
        path=stored.path,
        content=shown,
        start_line=first + len(lines_of(content[:offset])) + (not offset or content[offset - 1 : offset] == "\n"),
        truncated=end < len(content),
        next_offset=end if end < len(content) else None,
        frontmatter=note.properties,
        frontmatter_error=note.properties_error,
        tags=note.tags,
        links=[
            LinkResult(
                target=link.target,
                kind=link.kind,
                embed=link.embed,
                heading=link.heading,
                block=link.block,
                shown=link.shown,
                line=link.line + 1 if link.line else 0,
            )
            for link in note.links[:MAX_LINKS]
        ],
        headings=[HeadingResult(level=h.level, text=h.text, path="/".join(h.path), line=h.line + 1) for h in headings],
        etag=stored.etag,
        mtime=at(stored.mtime_ns),
        size=len(stored.data),
    )


def _search_result(page: Page) -> SearchResult:
    hits = [
        NoteHit(
            path=hit.entry.path,
            title=hit.entry.title,
            score=hit.score,
            mtime=at(hit.entry.mtime_ns),
            size=hit.entry.size,
            snippets=[SnippetResult(line=snippet.line, text=snippet.text) for snippet in hit.snippets],
            tags=list(hit.entry.tags),
            matched_in=hit.matched_in,
        )
        for hit in page.hits
    ]
    return SearchResult(results=hits, total=page.total, next_cursor=page.cursor, not_searched=page.left_out)


def _write_result(change: Change, *, dry_run: bool) -> WriteResult:
    before = change.before
    result = WriteResult(
        path=change.path,
        created=before is None,
        changed=before != change.after,
        dry_run=dry_run,
        previous_size=None if before is None else len(before),
        size=len(change.after),
        previous_etag=None if before is None else etag_of(before),
        etag=etag_of(change.after),
        mtime=None if dry_run or change.mtime_ns is None else at(change.mtime_ns),
    )
    if dry_run:
        result.diff, result.diff_truncated = edit.unified_diff(decode(before or b""), decode(change.after), change.path)
    return result
