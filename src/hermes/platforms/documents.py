"""Texts of an account that clients can read by their address, beside the tools (MCP: resources)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, unquote

from pydantic import BaseModel


class RecentDocument(BaseModel):
    path: str
    title: str
    mtime: datetime
    size: int


class RecentDocuments(BaseModel):
    """The texts of an account that were changed last, the latest first."""

    documents: list[RecentDocument]


@dataclass(frozen=True, slots=True)
class Documents:
    """One platform's kind of text; its addresses are `{scheme}://{account}/{path}`.

    A tool of the platform that changes one tells so in its result: `path`, `changed`, `created`, `dry_run`.

    Attributes:
        scheme: of the addresses; the platform's own.
        title, description: of the kind of text, for people and models.
        media_type: of the texts.
        read: name of the tool that reads one: takes `path`, gives `path` and `content`.
        recent: name of what lists those that were changed last, as `RecentDocuments`; it runs like a tool.
    """

    scheme: str
    title: str
    description: str
    media_type: str
    read: str
    recent: str

    @property
    def template(self) -> str:
        """The addresses as a template (RFC 6570)."""
        return f"{self.scheme}://{{account}}/{{+path}}"

    def address(self, account: str, path: str) -> str:
        return f"{self.scheme}://{account}/{quote(path)}"

    def parse(self, address: str) -> tuple[str, str] | None:
        """The account's label and the path that an address names; None when it is of another form."""
        scheme, _, rest = address.partition("://")
        account, _, path = rest.partition("/")
        if scheme != self.scheme or not account or not path:
            return None
        try:
            return account, unquote(path, errors="strict")
        except UnicodeDecodeError:
            return None
