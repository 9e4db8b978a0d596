"""A message's text, invitations and files. The functions here block, and run in the session's thread."""

from __future__ import annotations

import html as markup
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from hermes.platforms.email.html import html_to_text, safe_html
from hermes.platforms.email.mailbox import Found, Mailbox
from hermes.platforms.email.mime import decode_bytes, decode_transfer, unflow
from hermes.platforms.email.structure import Part, choose

MAX_TEXT_BYTES: Final = 1024 * 1024
"""Of one text part, as transferred; what is beyond is no letter."""
MAX_TEXTS: Final = 20
MAX_CALENDARS: Final = 3
MAX_CALENDAR_BYTES: Final = 32 * 1024
_MAX_BODY: Final = 2_000_000
_TAG: Final = re.compile(r"<[a-z/!][^<>]*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Text:
    """What a message says. `cut`: some of it was too long to be read."""

    body: str
    calendars: list[str]
    cut: bool


def read_text(mailbox: Mailbox, found: Found, *, as_html: bool) -> Text:
    """Fetch and read the text of a message in the selected folder; its attachments are left at the server."""
    if found.part is None:
        raw = mailbox.section(found.uid, "TEXT", 0, MAX_TEXT_BYTES)
        part = Part("TEXT", "text/plain")
        return Text(_shown(part, raw, as_html=as_html), [], len(raw) == MAX_TEXT_BYTES)
    reading = choose(found.part, html=as_html)
    pieces: list[str] = []
    cut = len(reading.texts) > MAX_TEXTS
    for part in reading.texts[:MAX_TEXTS]:
        raw = mailbox.section(found.uid, part.number, 0, MAX_TEXT_BYTES)
        cut = cut or len(raw) == MAX_TEXT_BYTES
        pieces.append(_shown(part, raw, as_html=as_html))
        if sum(map(len, pieces)) > _MAX_BODY:
            cut = True
            break
    calendars = [
        _plain(part, mailbox.section(found.uid, part.number, 0, MAX_CALENDAR_BYTES))
        for part in reading.calendars[:MAX_CALENDARS]
    ]
    return Text("\n\n".join(piece for piece in pieces if piece.strip()), calendars, cut)


def _shown(part: Part, raw: bytes, *, as_html: bool) -> str:
    text = _plain(part, raw)
    if part.type == "text/html":
        return safe_html(text) if as_html else html_to_text(text)
    if part.type in ("text/enriched", "text/richtext"):
        text = _TAG.sub("", text)
    if part.flowed:
        text = unflow(text)
    return f"<pre>{markup.escape(text)}</pre>" if as_html else text


def _plain(part: Part, raw: bytes) -> str:
    return decode_bytes(decode_transfer(raw, part.encoding), part.charset).replace("\r\n", "\n").replace("\r", "\n")


class Decoder:
    """Undoes a transfer encoding piece by piece, so that memory stays flat."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._rest = b""

    def feed(self, piece: bytes) -> bytes:
        """The content that is complete with this piece."""
        if self._encoding == "base64":
            data = self._rest + piece.translate(None, b" \t\r\n")
            whole = len(data) - len(data) % 4
        elif self._encoding == "quoted-printable":
            data = self._rest + piece
            whole = data.rfind(b"\n") + 1
        elif self._encoding in ("7bit", "8bit", "binary", ""):
            return piece
        else:
            data, whole = self._rest + piece, 0
        self._rest = data[whole:]
        return decode_transfer(data[:whole], self._encoding)

    def finish(self) -> bytes:
        """What is left."""
        rest, self._rest = self._rest, b""
        return decode_transfer(rest, self._encoding)


def attachments(found: Found) -> Iterator[Part]:
    """What is attached to a message."""
    if found.part is not None:
        yield from choose(found.part, html=False).attachments


def part_named(parts: Iterable[Part], number: str) -> Part | None:
    return next((part for part in parts if part.number == number), None)
