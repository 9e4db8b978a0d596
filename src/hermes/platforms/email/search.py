"""From a search's arguments to IMAP's search keys (RFC 3501, 6.4.4), Gmail's own search, and what is checked here."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from hermes.platforms.email.wire import quoted

GMAIL: Final = "X-GM-EXT-1"
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TERM: Final = re.compile(r'"([^"]+)"|(\S+)')
_MAX_TERMS: Final = 8
_GMAIL_THREAD: Final = re.compile(r"[0-9]{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Criteria:
    """What to look for; None and empty: anything."""

    text: str | None = None
    sender: str | None = None
    recipient: str | None = None
    subject: str | None = None
    since: date | None = None
    until: date | None = None
    unread: bool | None = None
    flagged: bool | None = None
    has_attachment: bool | None = None
    thread_id: str | None = None

    @property
    def is_ascii(self) -> bool:
        return all(value.isascii() for value in (self.text, self.sender, self.recipient, self.subject) if value)

    def keys(self, capabilities: Collection[str], keywords: Collection[str]) -> list[bytes]:
        """The search keys for a server.

        Args:
            capabilities: of the server.
            keywords: that the folder's messages may have.
        """
        gmail = GMAIL in capabilities
        found = [*self._flags(), *self._fields(), *self._thread(gmail=gmail)]
        if gmail:
            found += self._gmail()
        else:
            for term in terms(self.text or ""):
                found += [b"TEXT", quoted(term)]
            found += self._attachment_keywords(keywords)
        return found or [b"ALL"]

    def checked_here(self, capabilities: Collection[str]) -> bool:
        """Whether what the server finds has still to be looked through: not every server knows attachments."""
        return self.has_attachment is not None and GMAIL not in capabilities

    def without_unicode(self) -> tuple[Criteria, Criteria]:
        """For servers that take ASCII only: what is still asked of them, and what is checked here instead."""
        names = ("text", "sender", "recipient", "subject")
        odd = {name: value for name in names if (value := getattr(self, name)) and not value.isascii()}
        return replace(self, **dict.fromkeys(odd)), Criteria(**odd)

    def matches(self, sender: str, recipients: str, subject: str) -> bool:
        """Whether a message fits what is checked here. Of the whole text, only these fields are known here."""
        everything = f"{sender} {recipients} {subject}".casefold()
        wanted = (
            (self.sender, sender),
            (self.recipient, recipients),
            (self.subject, subject),
            *((term, everything) for term in terms(self.text or "")),
        )
        return all(value is None or value.casefold() in field.casefold() for value, field in wanted)

    def _flags(self) -> Iterator[bytes]:
        if self.unread is not None:
            yield b"UNSEEN" if self.unread else b"SEEN"
        if self.flagged is not None:
            yield b"FLAGGED" if self.flagged else b"UNFLAGGED"
        after = self.until + timedelta(days=1) if self.until is not None and self.until < date.max else None
        for key, day in ((b"SINCE", self.since), (b"BEFORE", after)):
            if day is not None:
                # English whatever the locale, so not by strftime.
                yield from (key, f"{day.day}-{_MONTHS[day.month - 1]}-{day.year:04}".encode())

    def _fields(self) -> Iterator[bytes]:
        if self.sender:
            yield from (b"FROM", quoted(self.sender))
        if self.subject:
            yield from (b"SUBJECT", quoted(self.subject))
        if self.recipient:
            value = quoted(self.recipient)
            yield from (b"OR", b"TO", value, b"OR", b"CC", value, b"BCC", value)

    def _thread(self, *, gmail: bool) -> Iterator[bytes]:
        if self.thread_id is None:
            return
        if gmail and _GMAIL_THREAD.fullmatch(self.thread_id):
            yield from (b"X-GM-THRID", self.thread_id.encode())
            return
        root = quoted(self.thread_id)
        yield from (b"OR", b"HEADER", b"Message-ID", root)
        yield from (b"OR", b"HEADER", b"References", root, b"HEADER", b"In-Reply-To", root)

    def _gmail(self) -> Iterator[bytes]:
        words = [self.text] if self.text else []
        if self.has_attachment is not None:
            words.append("has:attachment" if self.has_attachment else "-has:attachment")
        if words:
            yield from (b"X-GM-RAW", quoted(" ".join(words)))

    def _attachment_keywords(self, keywords: Collection[str]) -> Iterator[bytes]:
        """Some servers mark what has attachments. What they did not look at has neither mark and is checked here."""
        if self.has_attachment is None or not {"$HasAttachment", "$HasNoAttachment"} <= set(keywords):
            return
        yield from (b"UNKEYWORD", b"$HasNoAttachment" if self.has_attachment else b"$HasAttachment")


def terms(text: str) -> list[str]:
    """The words and "quoted phrases" of a search, at most eight."""
    return [phrase or word for phrase, word in _TERM.findall(text)][:_MAX_TERMS]
