"""One logged-in IMAP session, as the tools use it. Everything here blocks, and runs in the session's own thread."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from imapclient.exceptions import ProtocolError

from hermes.errors import HermesError, NotFound
from hermes.platforms.email.credentials import EmailCredentials
from hermes.platforms.email.mime import Headers
from hermes.platforms.email.refusals import FOLDER, LOGIN, OTHER, imap_refusal
from hermes.platforms.email.search import GMAIL, Criteria
from hermes.platforms.email.structure import Part, has_attachments, read_structure
from hermes.platforms.email.wire import GARBLED, LOST, REFUSED, ImapConnection
from hermes.platforms.refusals import Refusal

MAX_FOLDERS: Final = 1000
MAX_HEADER: Final = 256 * 1024
_BATCH: Final = 100
_MAX_SCANNED: Final = 1000
_FIELDS: Final = "DATE FROM TO CC SUBJECT MESSAGE-ID IN-REPLY-TO REFERENCES"
_SUMMARY: Final = ("FLAGS", "INTERNALDATE", "RFC822.SIZE", f"BODY.PEEK[HEADER.FIELDS ({_FIELDS})]")
_SPECIAL: Final = {
    name.lower(): name for name in ("drafts", "sent", "trash", "junk", "archive", "all", "flagged", "important")
}
_USUAL_NAMES: Final = {
    "drafts": "drafts|draft|entwürfe|brouillons|borradores|bozze|concepten|rascunhos|utkast|черновики|下書き|草稿箱",
    "sent": "sent|sent items|sent messages|sent mail|gesendet|gesendete elemente|gesendete objekte|envoyés"
    "|messages envoyés|éléments envoyés|enviados|elementos enviados|inviati|posta inviata|verzonden"
    "|verzonden items|skickat|отправленные|送信済み|已发送",
    "trash": "trash|deleted|deleted items|deleted messages|papierkorb|gelöscht|gelöschte elemente|corbeille|papelera"
    "|cestino|prullenbak",
    "junk": "junk|spam|junk e-mail|junk email|bulk mail|spamverdacht|courrier indésirable|correo no deseado",
    "archive": "archive|archives|archiv|archivo|archivio|archief",
}
_APPENDED: Final = re.compile(rb"\[APPENDUID ([0-9]+) ([0-9]+)\]", re.IGNORECASE)


class Lost(Exception):
    """The connection is gone. Whether something was changed, the operation says."""

    def __init__(self, reason: str, *, begun: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.begun = begun


@dataclass(frozen=True, slots=True)
class FolderInfo:
    name: str
    delimiter: str | None
    special: str | None
    selectable: bool


@dataclass(frozen=True, slots=True)
class Found:
    """One message's data: flags and header fields; `part` where its structure could be read."""

    uid: int
    flags: frozenset[str]
    received: datetime | None
    size: int
    headers: Headers
    part: Part | None
    gmail_thread: str | None = None

    @property
    def thread_id(self) -> str | None:
        """The conversation: Gmail's own id, otherwise the Message-ID with which it began."""
        ids = [*self.headers.message_ids("references"), *self.headers.message_ids("in-reply-to")]
        own = self.headers.message_ids("message-id")
        return self.gmail_thread or next(iter([*ids, *own]), None)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search. `more_below`: go on with smaller UIDs than this; `unicode_checked_here`: see `search`."""

    validity: int
    found: Sequence[Found]
    matches: int
    more_below: int | None
    scanned_out: bool
    unicode_checked_here: bool


class Mailbox:
    """A session. Not for several threads at once."""

    def __init__(self, connection: ImapConnection, credentials: EmailCredentials, username: str) -> None:
        """Log in; the connection belongs to the mailbox from now on, also if this fails.

        Raises:
            HermesError: the server does not let us in.
            Lost: it gave no answer.
        """
        self.connection = connection
        try:
            with _answers(LOGIN, secret=credentials.secret):
                self._login(credentials, username)
                self.capabilities = connection.capability_names()
                if "ID" in self.capabilities:
                    # Some servers (163.com) give nothing to programs that do not introduce themselves.
                    connection.id_({"name": "squaremcp-hermes"})
        except BaseException:
            connection.drop()
            raise

    @classmethod
    def over(
        cls, connected: socket.socket, host: str, tls: ssl.SSLContext, credentials: EmailCredentials, username: str
    ) -> Mailbox:
        """Greet the server over a connected socket, and log in. Raises as `__init__`."""
        with _answers():
            connection = ImapConnection(connected, host, tls)
        return cls(connection, credentials, username)

    def _login(self, credentials: EmailCredentials, username: str) -> None:
        names = self.connection.capability_names()
        if credentials.access_token is not None:
            bearer = f"user={username}\1auth=Bearer {credentials.secret}\1\1"
            # A refusal comes as a second challenge, which wants an empty answer.
            answers = iter([bearer])
            self.connection.sasl_login("XOAUTH2", lambda _: next(answers, ""))
        elif "AUTH=PLAIN" in names:
            self.connection.plain_login(username, credentials.secret)
        else:
            self.connection.login(username, credentials.secret)

    def check(self) -> None:
        """Make sure that the connection still stands."""
        with _answers():
            self.connection.noop()

    def close(self) -> None:
        """Say goodbye, as far as the server listens."""
        try:
            self.connection.logout()
        except (*LOST, REFUSED, *GARBLED):
            self.connection.drop()

    def folders(self) -> list[FolderInfo]:
        """All folders; a special use is the server's word, or, where it says nothing, the usual name's."""
        with _answers():
            listed = self.connection.list_all()
        folders = [_folder(flags, delimiter, name) for flags, delimiter, name in listed]
        told = {folder.special for folder in folders}
        guessed: dict[str, str] = {}
        for special, names in _USUAL_NAMES.items():
            if special not in told:
                usual = names.split("|")
                candidates = [folder for folder in folders if folder.selectable and _last(folder) in usual]
                if candidates:
                    guessed[min(candidates, key=lambda folder: usual.index(_last(folder))).name] = special
        return [
            FolderInfo(folder.name, folder.delimiter, folder.special or guessed.get(folder.name), folder.selectable)
            for folder in folders
        ]

    def counts(self, folder: str) -> tuple[int | None, int | None]:
        """Messages and unread ones in a folder; None where the server does not say."""
        try:
            with _answers():
                told = self.connection.folder_status(folder, ["MESSAGES", "UNSEEN"])
        except HermesError:
            return None, None
        return told.get(b"MESSAGES"), told.get(b"UNSEEN")

    def quota(self) -> tuple[int, int] | None:
        """Used and allowed bytes, if the server knows them."""
        if "QUOTA" not in self.capabilities:
            return None
        try:
            with _answers():
                _, quotas = self.connection.get_quota_root("INBOX")
        except HermesError:
            return None
        storage = next((item for item in quotas if _name(item.resource).upper() == "STORAGE"), None)
        return (storage.usage * 1024, storage.limit * 1024) if storage is not None else None

    def select(self, folder: str, *, write: bool = False) -> Mapping[bytes, Any]:
        """Open a folder, to be read only unless `write`.

        Raises:
            HermesError: there is no such folder.
        """
        with _answers(FOLDER):
            told: Mapping[bytes, Any] = self.connection.select_folder(folder, readonly=not write)
        return told

    def search(self, folder: str, criteria: Criteria, limit: int, below: int | None, validity: int | None) -> Page:
        """Search a folder, the newest first.

        Args:
            limit: most messages of the page.
            below: only messages with smaller UIDs, for a further page.
            validity: the folder's UIDVALIDITY on the page before.

        Raises:
            NotFound: there is no such folder, or its UIDs are no longer those of the page before.
        """
        told = self.select(folder)
        now = int(told.get(b"UIDVALIDITY", 0))
        if validity is not None and validity != now:
            raise NotFound("The folder was rebuilt since the page before; search again without cursor.")
        keywords = {_name(flag) for flag in told.get(b"FLAGS", ())}
        uids, here = self._uids(criteria, keywords, below)
        checked = here is not None or criteria.checked_here(self.capabilities)
        if not checked:
            chosen = uids[:limit]
            more = chosen[-1] if len(uids) > limit else None
            return Page(now, self.summaries(chosen), len(uids), more, False, False)
        return self._looked_through(now, uids, criteria, here or Criteria(), limit)

    def _uids(
        self, criteria: Criteria, keywords: Collection[str], below: int | None
    ) -> tuple[list[int], Criteria | None]:
        """Matching UIDs, the newest first, and what the server could not be asked because it is not ASCII."""
        window = [b"UID", f"1:{below - 1}".encode()] if below is not None else []
        if below is not None and below <= 1:
            return [], None
        try:
            with _answers():
                keys = criteria.keys(self.capabilities, keywords)
                return self.connection.uid_search([*window, *keys], utf8=not criteria.is_ascii)[::-1], None
        except HermesError as error:
            if criteria.is_ascii or error.data.get("platform_code") not in ("BADCHARSET", "NO"):
                raise
        asked, here = criteria.without_unicode()
        with _answers():
            keys = asked.keys(self.capabilities, keywords)
            return self.connection.uid_search([*window, *keys], utf8=False)[::-1], here

    def _looked_through(
        self, validity: int, uids: Sequence[int], criteria: Criteria, here: Criteria, limit: int
    ) -> Page:
        found: list[Found] = []
        wanted = criteria.has_attachment if criteria.checked_here(self.capabilities) else None
        last = 0
        for at in range(0, min(len(uids), _MAX_SCANNED), _BATCH):
            for item in self.summaries(uids[at : at + _BATCH]):
                last = item.uid
                if wanted is not None and (item.part is None or has_attachments(item.part) is not wanted):
                    continue
                if not here.matches(
                    item.headers.text("from") or "", _recipients(item), item.headers.text("subject") or ""
                ):
                    continue
                found.append(item)
                if len(found) == limit:
                    more = item.uid if item.uid != uids[-1] else None
                    return Page(validity, found, len(uids), more, False, here != Criteria())
        more = last if len(uids) > _MAX_SCANNED else None
        return Page(validity, found, len(uids), more, more is not None, here != Criteria())

    def summaries(self, uids: Sequence[int]) -> list[Found]:
        """What a list shows of messages in the selected folder, in the given order."""
        found: list[Found] = []
        for at in range(0, len(uids), _BATCH):
            batch = uids[at : at + _BATCH]
            data = self._fetch_summaries(batch)
            found += [_found(uid, data[uid]) for uid in batch if uid in data]
        return found

    def _fetch_summaries(self, uids: Sequence[int]) -> Mapping[int, Mapping[bytes, Any]]:
        items = [*_SUMMARY, *(["X-GM-THRID"] if GMAIL in self.capabilities else [])]
        with _answers():
            try:
                found: Mapping[int, Mapping[bytes, Any]] = self.connection.fetch(list(uids), [*items, "BODYSTRUCTURE"])
            except GARBLED:
                # One structure that cannot be read must not hide a whole page.
                found = self.connection.fetch(list(uids), items)
        return found

    def message(self, folder: str, validity: int, uid: int) -> Found:
        """One message's flags, whole header and structure.

        Raises:
            NotFound: it is not there any more.
        """
        told = self.select(folder)
        items = ["FLAGS", "INTERNALDATE", "RFC822.SIZE", f"BODY.PEEK[HEADER]<0.{MAX_HEADER}>"]
        items += ["X-GM-THRID"] if GMAIL in self.capabilities else []
        data: Mapping[bytes, Any] = {}
        if int(told.get(b"UIDVALIDITY", 0)) == validity:
            with _answers():
                try:
                    data = self.connection.fetch_one(uid, [*items, "BODYSTRUCTURE"])
                except GARBLED:
                    data = self.connection.fetch_one(uid, items)
        if _section(data) is None:
            raise NotFound("There is no such message any more: it was moved or deleted. Search for it again.")
        return _found(uid, data)

    def section(self, uid: int, section: str, start: int, length: int) -> bytes:
        """A piece of one part, as it was transferred, of a message in the selected folder."""
        with _answers():
            data = self.connection.fetch_one(uid, [f"BODY.PEEK[{section}]<{start}.{length}>"])
        return (_section(data) or b"")[:length]

    def append(self, folder: str, content: bytes, flags: Sequence[bytes]) -> tuple[int, int] | None:
        """Put a message into a folder.

        Returns:
            UIDVALIDITY and UID, if the server tells.

        Raises:
            HermesError: a clear no.
            Lost: no answer; `begun` says whether the message may be there.
        """
        before = self.connection.literals_sent
        try:
            with _answers():
                answer = bytes(self.connection.append(folder, content, flags))
        except Lost as lost:
            lost.begun = self.connection.literals_sent > before
            raise
        told = _APPENDED.search(answer or b"")
        return (int(told[1]), int(told[2])) if told else None

    def has_message(self, folder: str, message_id: str) -> bool:
        """Whether a folder has a message with this Message-ID."""
        self.select(folder)
        with _answers():
            return bool(self.connection.uid_search([b"HEADER", b"Message-ID", f'"{message_id}"'.encode()], utf8=False))

    def mark_answered(self, folder: str, validity: int, uid: int) -> None:
        """Set the flag that a message was answered."""
        if int(self.select(folder, write=True).get(b"UIDVALIDITY", 0)) == validity:
            with _answers():
                self.connection.add_flags([uid], [b"\\Answered"], silent=True)


@contextmanager
def _answers(otherwise: Refusal = OTHER, *, secret: str = "") -> Iterator[None]:
    """Turn what IMAPClient raises into a refusal or a lost connection."""
    raised: Exception | None = None
    try:
        yield
    except LOST as error:
        raised = Lost(type(error).__name__)
    except ProtocolError:
        raised = Lost("answer not understood")
    except REFUSED as error:
        raised = imap_refusal(str(error), otherwise=otherwise, secret=secret)
    except GARBLED as error:
        raised = Lost(f"answer not understood: {type(error).__name__}")
    if raised is not None:
        raise raised


def _folder(flags: Sequence[bytes], delimiter: bytes | None, name: str) -> FolderInfo:
    words = {_name(flag).lstrip("\\").lower() for flag in flags}
    special = next((_SPECIAL[word] for word in sorted(words) if word in _SPECIAL), None)
    return FolderInfo(name, _name(delimiter) if delimiter else None, special, not words & {"noselect", "nonexistent"})


def _last(folder: FolderInfo) -> str:
    name = folder.name.rpartition(folder.delimiter)[2] if folder.delimiter else folder.name
    return name.casefold()


def _name(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _recipients(item: Found) -> str:
    return " ".join(item.headers.text(name) or "" for name in ("to", "cc", "bcc"))


def _section(data: Mapping[bytes, Any]) -> bytes | None:
    for name, value in data.items():
        if name.startswith(b"BODY[") and isinstance(value, bytes | int):
            # IMAPClient reads a text of digits as a number.
            return value if isinstance(value, bytes) else str(value).encode()
        if name.startswith(b"BODY[") and value is None:
            return b""
    return None


def _found(uid: int, data: Mapping[bytes, Any]) -> Found:
    try:
        part = read_structure(data[b"BODYSTRUCTURE"]) if b"BODYSTRUCTURE" in data else None
    except GARBLED:
        part = None
    received = data.get(b"INTERNALDATE")
    thread = data.get(b"X-GM-THRID")
    size = data.get(b"RFC822.SIZE", 0)
    return Found(
        uid,
        frozenset(_name(flag).lower() for flag in data.get(b"FLAGS") or ()),
        received.astimezone(UTC) if isinstance(received, datetime) else None,
        size if isinstance(size, int) else 0,
        Headers(_section(data) or b""),
        part,
        None if thread is None else _name(thread),
    )
