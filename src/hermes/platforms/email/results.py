"""What a mailbox said, as results."""

from __future__ import annotations

from collections.abc import Sequence

from hermes.platforms.email.ids import Locator, write_id
from hermes.platforms.email.mailbox import Found
from hermes.platforms.email.mime import Headers
from hermes.platforms.email.models import Attachment, Message, MessageSummary, Person
from hermes.platforms.email.reading import Text, attachments

_MAX_PEOPLE = 100
_MAX_REFERENCES = 50


def people(headers: Headers, name: str) -> list[Person]:
    return [Person(name=shown or None, address=address or None) for shown, address in headers.addresses(name)][
        :_MAX_PEOPLE
    ]


def summary(found: Found, tag: str, folder: str, validity: int) -> MessageSummary:
    """A message as a list shows it."""
    headers = found.headers
    return MessageSummary(
        id=write_id(tag, Locator(folder, validity, found.uid)),
        thread_id=found.thread_id,
        message_id=next(iter(headers.message_ids("message-id")), None),
        sender=next(iter(people(headers, "from")), None),
        to=people(headers, "to")[:20],
        cc=people(headers, "cc")[:20],
        subject=headers.text("subject"),
        date=headers.date(),
        received=found.received,
        size=found.size,
        unread="\\seen" not in found.flags,
        flagged="\\flagged" in found.flags,
        answered="\\answered" in found.flags,
        draft="\\draft" in found.flags,
        has_attachments=None if found.part is None else any(not a.inline for a in attached(found)),
    )


def attached(found: Found) -> list[Attachment]:
    """A message's attachments, none of them fetched."""
    return [
        Attachment(
            part=part.number,
            filename=part.filename,
            content_type=part.type,
            size=part.content_size,
            inline=part.content_id is not None and not part.attached,
            content_id=part.content_id,
        )
        for part in attachments(found)
    ]


def message(
    found: Found, place: str, folder: str, text: Text, files: Sequence[Attachment], *, as_html: bool, window: slice
) -> Message:
    """A message with the window of its body that was asked for."""
    headers = found.headers
    body = text.body[window]
    return Message(
        id=place,
        folder=folder,
        thread_id=found.thread_id,
        message_id=next(iter(headers.message_ids("message-id")), None),
        in_reply_to=next(iter(headers.message_ids("in-reply-to")), None),
        references=headers.message_ids("references")[-_MAX_REFERENCES:],
        sender=next(iter(people(headers, "from")), None),
        reply_to=people(headers, "reply-to"),
        to=people(headers, "to"),
        cc=people(headers, "cc"),
        bcc=people(headers, "bcc"),
        subject=headers.text("subject"),
        date=headers.date(),
        received=found.received,
        size=found.size,
        unread="\\seen" not in found.flags,
        flagged="\\flagged" in found.flags,
        answered="\\answered" in found.flags,
        draft="\\draft" in found.flags,
        list_id=headers.text("list-id"),
        format="html" if as_html else "text",
        body=body,
        body_chars=len(text.body),
        truncated=text.cut or (window.start or 0) + len(body) < len(text.body),
        attachments=list(files),
        calendars=text.calendars,
    )
