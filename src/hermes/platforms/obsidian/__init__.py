"""Obsidian: notes in a vault, which is a folder of Markdown files on the server's disk.

A customer's vault is `OBSIDIAN_VAULTS_ROOT/<customer id>/<vault>/`, made when it is linked; the operator's own is
`OBSIDIAN_VAULT_PATH`. Obsidian itself, or whatever syncs the folder, may change it at any moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from hermes.errors import InvalidArguments
from hermes.platforms.base import (
    DEFAULT_ACCOUNT,
    Account,
    ApiContext,
    Credentials,
    Effect,
    PasteToken,
    Platform,
    Redaction,
)
from hermes.platforms.documents import RecentDocuments
from hermes.platforms.obsidian import edit
from hermes.platforms.obsidian.api import Part, VaultApi
from hermes.platforms.obsidian.note import decode
from hermes.platforms.obsidian.paths import check_new_name, split_path
from hermes.platforms.obsidian.results import NoteContent, SearchResult, WriteResult
from hermes.platforms.obsidian.search import Mode, Request
from hermes.platforms.obsidian.sync import SyncStatus
from hermes.platforms.obsidian.vaults import OPERATOR, Vaults, check_folders
from hermes.settings import Settings

__all__ = ["ObsidianCredentials", "VaultApi", "check_folders", "obsidian"]


class ObsidianCredentials(Credentials):
    """Which of the customer's vaults is linked: the name of its folder below the customer's own folder."""

    vault: str = Field(default="vault", min_length=1, max_length=64, description="A name for the vault, such as notes.")

    @field_validator("vault")
    @classmethod
    def _one_folder(cls, value: str) -> str:
        try:
            segments = check_new_name(split_path(value, field="vault"), field="vault")
        except InvalidArguments as error:
            raise ValueError(error.message) from None
        if len(segments) != 1:
            raise ValueError("must be the name of one folder")
        return segments[0]


def _operators_vault(settings: Settings) -> Mapping[str, ObsidianCredentials]:
    return {DEFAULT_ACCOUNT: ObsidianCredentials()} if settings.obsidian_vault_path is not None else {}


class _Opener:
    """Makes the API object of a call; what is kept of vaults between calls hangs on it."""

    def __init__(self) -> None:
        self._vaults = Vaults()

    def __call__(self, context: ApiContext, credentials: ObsidianCredentials) -> VaultApi:
        own = context.customer_id == OPERATOR
        path = context.settings.obsidian_vault_path
        name = path.name if own and path is not None else credentials.vault
        opened = self._vaults.get(context.settings, context.customer_id, credentials.vault)
        return VaultApi(self._vaults, opened, name, own=own)


obsidian = Platform(
    "obsidian",
    title="Obsidian",
    credentials=ObsidianCredentials,
    connect=PasteToken(
        help_url="https://help.obsidian.md/vault",
        steps=(
            "Choose a name for the vault; a folder with that name is made for you on the server.",
            "Let your sync tool put your notes into that folder, or let your assistant write the first one.",
        ),
    ),
    open=_Opener(),
    accounts_from_environ=_operators_vault,
    check_settings=check_folders,
    open_world=False,
)


@obsidian.probe
async def probe(api: VaultApi) -> Account:
    """Make sure that the vault's folder is there."""
    return await api.account()


Path = Annotated[
    str,
    Redaction.PLAIN,
    Field(
        min_length=1,
        max_length=1024,
        description="Path from the vault's root, such as Folder/Note.md; .md may be left out.",
    ),
]
Heading = Annotated[
    str,
    Field(min_length=1, max_length=500, description="A heading's text, a path such as H1/H2, or its line number."),
]
Block = Annotated[str, Field(min_length=1, max_length=200, description="A block's id, with or without ^.")]
Etag = Annotated[
    str, Redaction.PLAIN, Field(pattern="^[0-9a-f]{64}$", description="The etag that read_note gave for this note.")
]
Content = Annotated[str, Field(max_length=1_000_000)]
DryRun = Annotated[bool, Field(description="Show what would change as a diff, and change nothing.")]


@obsidian.tool(Effect.READ, rest="POST /search")
async def search_notes(
    api: VaultApi,
    query: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1000,
            description='Words, "a phrase", -not, OR, brackets, file: path: tag: content:, [property:value], /regex/. '
            "In mode tag: a tag; in mode property: name or name:value; in mode path: parts of the path.",
        ),
    ],
    mode: Annotated[Mode, Redaction.PLAIN, Field(description="What the query is matched with.")] = "text",
    folder: Annotated[
        str | None, Redaction.PLAIN, Field(max_length=1024, description="Search only below this folder.")
    ] = None,
    limit: Annotated[int, Field(ge=1, le=100, description="At most so many notes.")] = 20,
    context_chars: Annotated[int, Field(ge=0, le=500, description="How much to show around what was found.")] = 120,
    cursor: Annotated[
        str | None, Redaction.PLAIN, Field(max_length=4096, description="next_cursor of the page before.")
    ] = None,
) -> SearchResult:
    """Search the vault's notes by text, tag, property or path, best match first, with the lines where it was found."""
    return await api.search(Request(query, mode, folder, limit, context_chars, cursor))


@obsidian.tool(Effect.READ, rest="GET /note")
async def read_note(
    api: VaultApi,
    path: Path,
    part: Annotated[
        Part, Redaction.PLAIN, Field(description="Which part of the note; full has the properties too.")
    ] = "full",
    heading: Heading | None = None,
    block: Block | None = None,
    offset: Annotated[int, Field(ge=0, description="Skip this many characters of the part.")] = 0,
    max_chars: Annotated[int, Field(ge=1, le=200_000, description="At most so many characters.")] = 50_000,
) -> NoteContent:
    """Read a note, or its body, properties, one heading's section, one block or its outline, with tags and links."""
    return await api.read(path, part, heading, block, offset, max_chars)


@obsidian.tool(Effect.UPDATE, rest="POST /note/append")
async def append_to_note(
    api: VaultApi,
    path: Path,
    content: Annotated[str, Field(min_length=1, max_length=1_000_000, description="Markdown to add.")],
    position: Annotated[
        edit.Position,
        Redaction.PLAIN,
        Field(
            description="end of the note, start_of_body (below the properties), or under_heading (end of its section)."
        ),
    ] = "end",
    heading: Heading | None = None,
    block: Annotated[Block | None, Field(description="Add below the block with this id.")] = None,
    create: Annotated[bool, Field(description="Make the note if it does not exist.")] = False,
    etag: Etag | None = None,
    dry_run: DryRun = False,
) -> WriteResult:
    """Add text to a note: at its end, below its properties, under a heading or below a block; the rest stays."""
    _check_place(position, heading, block)

    def change(data: bytes | None) -> bytes:
        return _encode(edit.append(decode(data or b""), content, position, heading, block), "content")

    return await api.change(path, change, create=create, etag=etag, dry_run=dry_run)


def _check_place(position: edit.Position, heading: str | None, block: str | None) -> None:
    if heading is not None and (block is not None or position == "start_of_body"):
        raise _wrong("heading", "cannot be given together with block or start_of_body")
    if block is not None and position != "end":
        raise _wrong("block", "cannot be given together with position")
    if position == "under_heading" and heading is None:
        raise _wrong("heading", "is needed for position under_heading")


class Replace(BaseModel):
    """Replace a piece of text that occurs exactly `count` times."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    old: str = Field(min_length=1, max_length=1_000_000, description="The text as it is now, exactly.")
    new: Content
    count: int = Field(1, ge=1, le=10_000, description="How often old occurs; another number is refused.")


class Section(BaseModel):
    """Replace everything below a heading; the heading stays."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    heading: Heading
    content: Content


PropertyName = Annotated[str, Field(min_length=1, max_length=200)]
Scalar = str | int | float | bool | None


class Properties(BaseModel):
    """Set and delete properties; every other line of the note stays byte for byte."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    set: dict[PropertyName, Scalar | list[Scalar]] = Field(default_factory=dict)
    delete: list[PropertyName] = Field(default_factory=list)


@obsidian.tool(Effect.UPDATE, rest="PUT /note")
async def update_note(
    api: VaultApi,
    path: Path,
    content: Annotated[
        Content | None,
        Field(description="The whole new note. Needs etag if the note exists; properties it leaves out are kept."),
    ] = None,
    replace: Replace | None = None,
    section: Section | None = None,
    frontmatter: Annotated[Properties | None, Field(description="Properties to set and delete.")] = None,
    etag: Etag | None = None,
    create: Annotated[bool, Field(description="Make the note if it does not exist.")] = False,
    dry_run: DryRun = False,
) -> WriteResult:
    """Change a note in one way: new content, a text replaced, a section replaced, or properties set and deleted."""
    ways = (content, replace, section, frontmatter)
    if sum(way is not None for way in ways) != 1:
        raise _wrong("content", "give exactly one of content, replace, section and frontmatter")
    if create and (replace is not None or section is not None):
        raise _wrong("create", "cannot be given with replace or section: there would be nothing to change")
    kept: list[bool] = []

    def change(data: bytes | None) -> bytes:
        text = None if data is None else decode(data)
        if content is not None:
            if text is not None and etag is None:
                raise _wrong("etag", "is needed to replace a note that exists; read_note gives it")
            new, kept_frontmatter = edit.replace_all(text, content)
            kept.append(kept_frontmatter)
        elif replace is not None:
            new = edit.replace_text(text or "", replace.old, replace.new, replace.count)
        elif section is not None:
            new = edit.replace_section(text or "", section.heading, section.content)
        else:
            asked = frontmatter or Properties()
            new = edit.edit_properties(text or "", asked.set, asked.delete)
        return _encode(new, "content")

    result = await api.change(path, change, create=create, etag=etag, dry_run=dry_run)
    return result.model_copy(update={"kept_frontmatter": kept[-1]}) if kept and not result.created else result


@obsidian.document(
    "obsidian", read="read_note", title="Note", description="A note of the vault.", media_type="text/markdown"
)
async def recent_notes(api: VaultApi, limit: Annotated[int, Field(ge=1, le=100)]) -> RecentDocuments:
    """List the notes that were changed last, the latest first."""
    return await api.recent(limit)


@obsidian.tool(Effect.READ, rest="GET /sync")
async def sync_status(api: VaultApi) -> SyncStatus:
    """Tell whether and how the vault is synced with other devices, and which notes are in conflict."""
    return await api.sync_status()


def _encode(text: str, field: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise _wrong(field, "is not valid Unicode") from None


def _wrong(field: str, problem: str) -> InvalidArguments:
    return InvalidArguments(f"{field}: {problem}.", fields=[{"field": field, "problem": problem}])
