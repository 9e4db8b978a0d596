"""The stand-in's mailboxes: folders of messages in memory, as an IMAP server sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from typing import Any

SPECIAL = {"Drafts": "\\Drafts", "Sent": "\\Sent", "Trash": "\\Trash", "Junk": "\\Junk"}
MAX_MESSAGES = 5000
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Structure = bytes


@dataclass
class Mail:
    """One message in a folder."""

    uid: int
    content: bytes = field(repr=False)
    received: datetime
    flags: set[str] = field(default_factory=set)

    @property
    def parsed(self) -> Message:
        return message_from_bytes(self.content)

    @property
    def header(self) -> bytes:
        head, found, _ = self.content.partition(b"\r\n\r\n")
        return head + (b"\r\n\r\n" if found else b"")

    @property
    def text(self) -> bytes:
        return self.content.partition(b"\r\n\r\n")[2]

    def field_text(self, name: str) -> str:
        """A header field, its encoded words decoded."""
        values = [str(value) for value in self.parsed.get_all(name, [])]
        return " ".join(_decoded(value) for value in values)

    def internal_date(self) -> str:
        at = self.received
        return f"{at.day:02}-{_MONTHS[at.month - 1]}-{at.year} {at:%H:%M:%S} +0000"


@dataclass
class MailFolder:
    """Messages by arrival; UIDs only grow."""

    name: str
    validity: int
    mails: list[Mail] = field(default_factory=list)
    next_uid: int = 1

    def add(self, content: bytes, at: float, flags: set[str]) -> Mail:
        mail = Mail(self.next_uid, content, datetime.fromtimestamp(at, UTC), flags)
        self.next_uid += 1
        self.mails.append(mail)
        del self.mails[:-MAX_MESSAGES]
        return mail


@dataclass
class MailAccount:
    """One mailbox."""

    address: str
    folders: dict[str, MailFolder]

    @classmethod
    def make(cls, address: str, validity: int) -> MailAccount:
        return cls(address, {name: MailFolder(name, validity) for name in ("INBOX", *SPECIAL)})

    def folder(self, name: str) -> MailFolder | None:
        return self.folders.get("INBOX" if name.upper() == "INBOX" else name)


def section(mail: Mail, name: str) -> bytes | None:
    """The bytes that `BODY[name]` stands for; None when there is no such part."""
    upper = name.upper()
    if not name:
        return mail.content
    if upper == "HEADER":
        return mail.header
    if upper == "TEXT":
        return mail.text
    fields = re.fullmatch(r"HEADER\.FIELDS \(([^)]*)\)", upper)
    if fields:
        return _some_fields(mail, fields[1].split())
    number, _, rest = name.partition(".MIME")
    part = _part(mail.parsed, number)
    if part is None:
        return None
    if name.endswith(".MIME") and not rest:
        return b"".join(f"{key}: {value}\r\n".encode() for key, value in part.items()) + b"\r\n"
    return _body(part)


def _some_fields(mail: Mail, names: list[str]) -> bytes:
    kept = bytearray()
    wanted = False
    for line in mail.header.split(b"\r\n"):
        if line[:1] not in (b" ", b"\t"):
            wanted = line.partition(b":")[0].decode("latin-1").upper() in names
        if wanted and line:
            kept += line + b"\r\n"
    return bytes(kept) + b"\r\n"


def _part(message: Message, number: str) -> Message | None:
    if not message.is_multipart():
        return message if number == "1" else None
    found: Any = message
    for step in number.split("."):
        children = found.get_payload() if found.get_content_maintype() == "multipart" else None
        if not isinstance(children, list) or not step.isdigit() or not 0 < int(step) <= len(children):
            return None
        found = children[int(step) - 1]
    return found  # type: ignore[no-any-return]  # the standard library's payload has no type


def _body(part: Message) -> bytes:
    payload = part.get_payload()
    if isinstance(payload, list):
        return b"\r\n".join(item.as_bytes() for item in payload if isinstance(item, Message))
    return str(payload).encode("utf-8", "surrogateescape")


def structure(part: Message) -> Structure:
    """A part's BODYSTRUCTURE."""
    if part.get_content_maintype() == "multipart":
        children: Any = part.get_payload()
        inside = b"".join(structure(child) for child in children if isinstance(child, Message))
        inside = inside or b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 0 0)'
        return b"(%s %s %s NIL NIL)" % (inside, _string(part.get_content_subtype().upper()), _params(part, None))
    body = _body(part)
    members = [
        _string(part.get_content_maintype().upper()),
        _string(part.get_content_subtype().upper()),
        _params(part, None),
        _string(part.get("Content-ID")),
        b"NIL",
        _string(str(part.get("Content-Transfer-Encoding") or "7BIT").upper()),
        b"%d" % len(body),
    ]
    if part.get_content_maintype() == "text":
        members.append(b"%d" % body.count(b"\n"))
    disposition = part.get_content_disposition()
    shown = b"(%s %s)" % (_string(disposition.upper()), _params(part, "content-disposition")) if disposition else b"NIL"
    return b"(" + b" ".join([*members, b"NIL", shown, b"NIL", b"NIL"]) + b")"


def _params(part: Message, header: str | None) -> bytes:
    found: Any = part.get_params(header=header or "content-type") or []
    pairs = []
    for name, value in found[1:]:
        text = value[2] if isinstance(value, tuple) else value
        pairs += [_string(name.upper()), _string(str(text))]
    return b"(" + b" ".join(pairs) + b")" if pairs else b"NIL"


def _string(value: object) -> bytes:
    if value is None:
        return b"NIL"
    text = str(value).replace("\r", "").replace("\n", "")
    raw = text.encode("utf-8", "surrogateescape")
    if text.isascii():
        return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return b"{%d}\r\n%s" % (len(raw), raw)


def matching(folder: MailFolder, keys: list[object]) -> list[int]:
    """The UIDs of the messages that fit all search keys.

    Raises:
        ValueError: a key is not known here.
    """
    return [mail.uid for mail in folder.mails if _fits(mail, iter(keys), folder)]


def _fits(mail: Mail, keys: Iterator[object], folder: MailFolder) -> bool:
    # Each key has to be read to its end, whether the message fits or not.
    return all([_key(mail, _word(key), keys, folder) for key in keys])  # noqa: C419  (a generator would stop reading)


def _key(mail: Mail, key: str, rest: Iterator[object], folder: MailFolder) -> bool:
    flags = {"SEEN": "\\seen", "FLAGGED": "\\flagged", "ANSWERED": "\\answered", "DRAFT": "\\draft"}
    if key == "ALL":
        return True
    if key == "UID":
        return in_set(mail.uid, _word(next(rest)), folder)
    if key in flags:
        return flags[key] in mail.flags
    if key.startswith("UN") and key[2:] in flags:
        return flags[key[2:]] not in mail.flags
    if key in ("FROM", "TO", "CC", "BCC", "SUBJECT"):
        return _text(next(rest)) in mail.field_text(key).casefold()
    if key == "HEADER":
        name = _text(next(rest))
        return _text(next(rest)) in mail.field_text(name).casefold()
    if key in ("TEXT", "BODY"):
        return _text(next(rest)) in _everything(mail)
    if key in ("SINCE", "BEFORE", "ON"):
        day, month, year = _word(next(rest)).split("-")
        at = datetime(int(year), [name.upper() for name in _MONTHS].index(month) + 1, int(day), tzinfo=UTC).date()
        got = mail.received.date()
        return got >= at if key == "SINCE" else got < at if key == "BEFORE" else got == at
    if key == "OR":
        first = _key(mail, _word(next(rest)), rest, folder)
        second = _key(mail, _word(next(rest)), rest, folder)
        return first or second
    if key == "NOT":
        return not _key(mail, _word(next(rest)), rest, folder)
    raise ValueError(f"unknown search key {key}")


def in_set(uid: int, given: str, folder: MailFolder) -> bool:
    """Whether a UID is in a set such as `1:3,7,9:*`."""
    last = str(folder.next_uid - 1)
    for item in given.replace("*", last).split(","):
        first, _, end = item.partition(":")
        low, high = sorted((int(first), int(end or first)))
        if low <= uid <= high:
            return True
    return False


def _everything(mail: Mail) -> str:
    texts = [mail.field_text(name) for name in ("from", "to", "cc", "subject")]
    for part in mail.parsed.walk():
        if part.get_content_maintype() == "text":
            content = part.get_payload(decode=True)
            texts.append(content.decode("utf-8", "replace") if isinstance(content, bytes) else "")
    return "\n".join(texts).casefold()


def _decoded(value: str) -> str:
    try:
        return str(make_header(decode_header(value)))
    except (ValueError, LookupError):
        return value


def _word(value: object) -> str:
    return value.decode("utf-8", "replace").upper() if isinstance(value, bytes) else str(value).upper()


def _text(value: object) -> str:
    return value.decode("utf-8", "replace").casefold() if isinstance(value, bytes) else str(value).casefold()
