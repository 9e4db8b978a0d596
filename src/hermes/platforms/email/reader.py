"""Reading one message, and fetching its files as media."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from hermes.errors import InvalidArguments, PayloadTooLarge
from hermes.platforms.email.api import EmailApi
from hermes.platforms.email.compose import wrong
from hermes.platforms.email.mailbox import Found, Mailbox
from hermes.platforms.email.models import Attachment, Message
from hermes.platforms.email.pool import Session
from hermes.platforms.email.reading import Decoder, Text, attachments, part_named, read_text
from hermes.platforms.email.results import attached, message
from hermes.platforms.email.structure import Part

MAX_FILE_BYTES: Final = 50 * 1024 * 1024
"""Of one fetched attachment; the largest that common providers deliver."""

_CHUNK: Final = 512 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a message is to be read."""

    as_html: bool
    offset: int
    max_chars: int
    files: Sequence[str]


async def read_message(api: EmailApi, id_: str, wanted: Wanted) -> Message:
    """Read a message without marking it as read.

    Raises:
        HermesError: it is not there, or a file is not among its attachments or too large.
    """
    place = api.locate(id_)

    async def work(session: Session) -> Message:
        found = await session.run(Mailbox.message, place.folder, place.validity, place.uid)
        parts = [_part(found, number, at) for at, number in enumerate(wanted.files)]
        text = await session.run(partial(_text, found=found, as_html=wanted.as_html))
        handles = {part.number: await _keep(api, session, found, part) for part in parts}
        files = [_with_handle(file, handles) for file in attached(found)]
        window = slice(wanted.offset, wanted.offset + wanted.max_chars)
        return message(found, id_, place.folder, text, files, as_html=wanted.as_html, window=window)

    return await api.read(work)


def _text(mailbox: Mailbox, *, found: Found, as_html: bool) -> Text:
    return read_text(mailbox, found, as_html=as_html)


def _with_handle(file: Attachment, handles: dict[str, str]) -> Attachment:
    handle = handles.get(file.part)
    return file if handle is None else file.model_copy(update={"media": handle})


def _part(found: Found, number: str, at: int) -> Part:
    part = part_named(attachments(found), number)
    if part is None:
        raise wrong(f"attachments.{at}", "is not the part of an attachment of this message")
    if part.content_size > MAX_FILE_BYTES:
        raise PayloadTooLarge(
            f"Attachment {number} has {part.content_size:,} bytes; at most {MAX_FILE_BYTES:,} are fetched.",
            limit_bytes=MAX_FILE_BYTES,
        )
    return part


async def _keep(api: EmailApi, session: Session, found: Found, part: Part) -> str:
    keep = partial(api.context.ports.media.keep, api.context.customer_id, filename=part.filename or "attachment")
    try:
        return await keep(_content(session, found.uid, part), content_type=part.type)
    except InvalidArguments:
        # It says that it is a picture and is none: kept as the bytes that it is.
        return await keep(_content(session, found.uid, part), content_type="application/octet-stream")


async def _content(session: Session, uid: int, part: Part) -> AsyncIterator[bytes]:
    """An attachment's content, piece by piece."""
    decoder, at, size = Decoder(part.encoding), 0, 0
    while True:
        raw = await session.run(Mailbox.section, uid, part.number, at, _CHUNK)
        piece = decoder.feed(raw) + (decoder.finish() if len(raw) < _CHUNK else b"")
        at, size = at + len(raw), size + len(piece)
        if size > MAX_FILE_BYTES:
            raise PayloadTooLarge(
                f"Attachment {part.number} is larger than {MAX_FILE_BYTES:,} bytes, the most that is fetched.",
                limit_bytes=MAX_FILE_BYTES,
            )
        if piece:
            yield piece
        if len(raw) < _CHUNK:
            return
