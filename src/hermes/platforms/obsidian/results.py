"""What the Obsidian tools return."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field

NANOSECONDS = 1_000_000_000


def at(mtime_ns: int) -> datetime:
    """A file's time as a moment, to the microsecond."""
    return datetime.fromtimestamp(mtime_ns / NANOSECONDS, UTC)


class SnippetResult(BaseModel):
    line: int = Field(description="Counted from 1 over the whole file.")
    text: str


class NoteHit(BaseModel):
    path: str
    title: str
    score: float
    mtime: datetime
    size: int
    snippets: list[SnippetResult]
    tags: list[str]
    matched_in: list[str]


class SearchResult(BaseModel):
    """A page of found notes, the best first."""

    results: list[NoteHit]
    total: int = Field(description="How many notes fit, over all pages.")
    next_cursor: str | None = Field(default=None, description="Pass it as cursor to get the next page.")
    not_searched: int = Field(description="Notes that are too large or not UTF-8 text and were left out.")


class HeadingResult(BaseModel):
    level: int
    text: str
    path: str = Field(description="The headings above it and itself; accepted wherever a heading is asked for.")
    line: int


class LinkResult(BaseModel):
    target: str = Field(description="Empty for a link inside the same note.")
    kind: str
    embed: bool
    line: int = Field(description="0 for a link in the properties.")
    heading: str | None = None
    block: str | None = None
    shown: str | None = None


class NoteContent(BaseModel):
    """A note, or the part of it that was asked for."""

    path: str = Field(description="How the vault spells the path; it may differ in case from what was asked for.")
    content: str
    start_line: int = Field(description="The line of the file where content begins, counted from 1.")
    truncated: bool
    next_offset: int | None = Field(default=None, description="Pass it as offset to read on.")
    frontmatter: dict[str, Any] = Field(description="The note's properties.")
    frontmatter_error: str | None = Field(default=None, description="Why the properties cannot be read.")
    tags: list[str]
    links: list[LinkResult]
    headings: list[HeadingResult]
    etag: str = Field(description="Names this version of the note; pass it when you change the note.")
    mtime: datetime
    size: int


class WriteResult(BaseModel):
    """What a change did to a note, or with dry_run would do."""

    path: str
    created: bool
    changed: bool
    dry_run: bool
    previous_size: int | None = None
    size: int
    previous_etag: str | None = None
    etag: str
    mtime: datetime | None = None
    kept_frontmatter: bool | None = Field(default=None, description="True when the old properties were kept.")
    diff: str | None = Field(default=None, description="With dry_run: what would change.")
    diff_truncated: bool | None = None
