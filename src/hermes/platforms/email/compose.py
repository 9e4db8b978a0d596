"""Building a message: text and HTML, attachments, threads. What could change a header field is refused before."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from hermes.errors import InvalidArguments
from hermes.platforms.email.addresses import AddressError, Mailbox, mailbox_address
from hermes.platforms.email.mime import Headers, clean_filename

MAX_RECIPIENTS: Final = 100
"""Gmail takes 100 over SMTP, most others more: https://support.google.com/a/answer/166852"""

MAX_MESSAGE_BYTES: Final = 25 * 1024 * 1024
"""Of all attachments together. Gmail's limit; Outlook.com's is the same: https://support.google.com/mail/answer/6584"""

_MAX_REFERENCES: Final = 20
_POLICY: Final = SMTP.clone(cte_type="7bit")
_REPLY: Final = re.compile(r"^\s*(re|aw|sv|antw|vs|odp|ref)(\[\d+\])?\s*:", re.IGNORECASE)
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class File:
    """An attachment in memory."""

    filename: str
    content_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be sent or kept as a draft."""

    sender: Mailbox
    to: Sequence[Mailbox]
    cc: Sequence[Mailbox]
    bcc: Sequence[Mailbox]
    subject: str
    text: str
    html: str | None = None
    files: Sequence[File] = ()
    in_reply_to: str | None = None
    references: Sequence[str] = ()

    @property
    def recipients(self) -> list[Mailbox]:
        """Everybody, each once."""
        return list({one.address.lower(): one for one in (*self.to, *self.cc, *self.bcc)}.values())


@dataclass(frozen=True, slots=True)
class Built:
    """A message as bytes, and the same with its Bcc field for the sender's own copy."""

    message_id: str
    content: bytes = field(repr=False)
    own_copy: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Parent:
    """What a reply takes from the message that it answers."""

    headers: Headers

    @property
    def message_id(self) -> str | None:
        return next(iter(self.headers.message_ids("message-id")), None)

    def references(self) -> list[str]:
        """The thread so far: first and last ones, if it is long."""
        before = self.headers.message_ids("references")
        if not before and len(replied := self.headers.message_ids("in-reply-to")) == 1:
            before = replied
        own = self.message_id
        thread = list[str](dict.fromkeys([*before, *([own] if own else [])]))
        return thread if len(thread) <= _MAX_REFERENCES else [thread[0], *thread[1 - _MAX_REFERENCES :]]

    def subject(self) -> str:
        subject = self.headers.text("subject") or ""
        return subject if _REPLY.match(subject) else f"Re: {subject}".strip()

    def recipients(self, own: Sequence[str], *, everybody: bool) -> tuple[list[Mailbox], list[Mailbox]]:
        """To and Cc of a reply. What one wrote oneself is answered to whom it went."""
        mine = {address.lower() for address in own}
        author = self._people("reply-to") or self._people("from")
        if all(one.address.lower() in mine for one in author):
            author = self._people("to")
        if not everybody:
            return author, []
        known = mine | {one.address.lower() for one in author}
        others = [one for one in (*self._people("to"), *self._people("cc")) if one.address.lower() not in known]
        return author, list({one.address.lower(): one for one in others}.values())

    def _people(self, name: str) -> list[Mailbox]:
        found = []
        for shown, address in self.headers.addresses(name):
            try:
                found.append(mailbox_address(address, shown))
            except AddressError:
                continue  # an answer cannot go there
        return found


def read_recipients(given: Sequence[str], name: str) -> list[Mailbox]:
    """Check addresses that were given in an argument.

    Raises:
        InvalidArguments: one is none; says which by its place.
    """
    found = []
    for at, text in enumerate(given):
        try:
            found.append(mailbox_address(text))
        except AddressError as error:
            problem = str(error)
        else:
            continue
        raise wrong(f"{name}.{at}", problem)
    return found


def wrong(name: str, problem: str) -> InvalidArguments:
    """An error about one argument, found before anything was sent."""
    return InvalidArguments(f"{name}: {problem}.", fields=[{"field": name, "problem": problem}], nothing_sent=True)


def build(letter: Letter) -> Built:
    """The message as bytes. Blocks for a moment when the attachments are large.

    Raises:
        InvalidArguments: something in it cannot be a header field.
    """
    message = EmailMessage(policy=_POLICY)
    domain = letter.sender.domain
    message_id = f"<{uuid.uuid4()}@{domain}>"
    try:
        message["From"] = letter.sender.for_header()
        for name, people in (("To", letter.to), ("Cc", letter.cc)):
            if people:
                message[name] = _group(people)
        message["Subject"] = letter.subject
        message["Date"] = format_datetime(datetime.now(UTC))
        message.set_content(_lines(letter.text))
        if letter.html is not None:
            message.add_alternative(_lines(letter.html), subtype="html")
        for file in letter.files:
            kind, subtype = _type(file.content_type)
            message.add_attachment(file.content, maintype=kind, subtype=subtype, filename=clean_filename(file.filename))
    except (ValueError, IndexError):
        problem = "an address, the subject or a file's name cannot be written into a header field"
    else:
        head = [f"Message-ID: {message_id}", *_thread(letter)]
        content = "\r\n".join(head).encode() + b"\r\n" + message.as_bytes()
        hidden = f"Bcc: {_folded([one.address for one in letter.bcc])}\r\n" if letter.bcc else ""
        return Built(message_id, content, hidden.encode() + content)
    raise wrong("subject", problem)


def _group(people: Sequence[Mailbox]) -> tuple[Address, ...]:
    return tuple(one.for_header() for one in people)


def _thread(letter: Letter) -> list[str]:
    # Written here and not by the library, which encodes ids that are longer than a line.
    lines = [f"In-Reply-To: {letter.in_reply_to}"] if letter.in_reply_to else []
    return [*lines, "References: " + "\r\n ".join(letter.references)] if letter.references else lines


def _folded(addresses: Sequence[str]) -> str:
    return ",\r\n ".join(addresses)


def _type(content_type: str) -> tuple[str, str]:
    # Messages and multiparts may not be base64 (RFC 2046), and an attachment always is here.
    usable = _TYPE.fullmatch(content_type) and not content_type.startswith(("multipart/", "message/"))
    kind, _, subtype = (content_type if usable else "application/octet-stream").partition("/")
    return kind, subtype


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
