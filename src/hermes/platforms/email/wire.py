"""One IMAP connection: IMAPClient over a socket that is already connected, with bounds on what a server may send."""

from __future__ import annotations

import imaplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, ProtocolError

READ_SECONDS: Final = 20.0
MAX_LITERAL: Final = 4 * 1024 * 1024
MAX_ANSWER: Final = 32 * 1024 * 1024
"""Bytes of one command's whole answer: more than 20,000 mails' ids or 200 mails' headers ever need."""

LOST: Final = (IMAPClientAbortError, OSError, EOFError)
"""The connection is gone or of no use any more."""

REFUSED: Final = IMAPClientError
"""The server said NO or BAD. `LOST` and `ProtocolError` have to be caught before it."""

GARBLED: Final = (ProtocolError, ValueError, LookupError, RecursionError, TypeError, AttributeError, AssertionError)
"""What IMAPClient raises on answers that no server should give."""


class _BoundedImap(imaplib.IMAP4):
    """imaplib's client over a given TLS socket; refuses lines, literals and answers beyond the bounds."""

    def __init__(self, connected: ssl.SSLSocket, host: str) -> None:
        self._connected = connected
        self._budget = MAX_ANSWER
        self.literals_sent = 0
        super().__init__(host, 993)

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        del timeout
        return self._connected

    def read(self, size: int) -> bytes:
        self._spend(size)
        if size > MAX_LITERAL:
            raise self.abort("the server announced more than was asked for")
        return super().read(size)

    def readline(self) -> bytes:
        line = bytes(self.file.readline(self._budget + 1))  # type: ignore[arg-type]  # always opened for bytes
        self._spend(len(line))
        return line

    def send(self, data: Any) -> None:
        # A command begins with its tag; whatever else is sent is a part of the one before.
        if data.startswith(self.tagpre):
            self._budget = MAX_ANSWER
        else:
            self.literals_sent += 1
        super().send(data)

    def _spend(self, size: int) -> None:
        self._budget -= size
        if self._budget < 0:
            raise self.abort("the server's answer is too long")


class ImapConnection(IMAPClient):  # type: ignore[misc]  # IMAPClient has no types of its own
    """IMAPClient over a socket that was connected to a checked address. Not for several threads at once."""

    def __init__(self, connected: socket.socket, host: str, tls: ssl.SSLContext) -> None:
        """Greet the server.

        Args:
            connected: to the server; belongs to the connection from now on, also if this fails.
            host: the server's name, for which its certificate must be.
            tls: whom to trust.

        Raises:
            OSError: no TLS, or a certificate that does not fit.
            IMAPClientError: no IMAP server.
        """
        connected.settimeout(READ_SECONDS)
        self._raw = tls.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
        try:
            self._raw.do_handshake()
            super().__init__(host, ssl=True, timeout=None)
        except BaseException:
            self._raw.close()
            raise
        self.normalise_times = False
        # IMAPClient logs every line otherwise; mail and passwords are not for logs.
        self._imap.debug = 0

    def _create_IMAP4(self) -> _BoundedImap:  # noqa: N802  # pyright: ignore[reportIncompatibleMethodOverride]  # IMAPClient's name and hook
        return _BoundedImap(self._raw, self.host)

    def drop(self) -> None:
        """Close the socket without a word."""
        with suppress(OSError, imaplib.IMAP4.error):
            self.shutdown()

    def list_all(self) -> list[tuple[Sequence[bytes], bytes | None, str]]:
        """Flags, delimiter and name of every folder, with the folders' special uses where the server tells them."""
        names = self.capability_names()
        extended = {"LIST-EXTENDED", "SPECIAL-USE"} <= names
        pattern = '"*" RETURN (SPECIAL-USE)' if extended else '"*"'
        status, found = self._imap._simple_command("LIST", '""', pattern)
        self._checkok("LIST", status, found)
        _, found = self._imap._untagged_response(status, found, "LIST")
        folders: list[tuple[Sequence[bytes], bytes | None, str]] = self._proc_folder_list(found)
        return folders

    @property
    def literals_sent(self) -> int:
        """How many parts of commands were sent after the server had asked for them."""
        return int(self._imap.literals_sent)

    def capability_names(self) -> frozenset[str]:
        return frozenset(name.decode("ascii", "replace").upper() for name in self.capabilities())

    def uid_search(self, arguments: Sequence[bytes], *, utf8: bool) -> list[int]:
        """Search the selected folder.

        Args:
            arguments: keys and values; values quoted by `quoted`.
            utf8: some are not ASCII.
        """
        charset = [b"CHARSET", b"UTF-8"] if utf8 else []
        found = self._raw_command_untagged(b"SEARCH", [*charset, *arguments])
        # A server may split what it found over several lines.
        return sorted({int(word) for line in found if line for word in line.split(b"(")[0].split()})

    def fetch_one(self, uid: int, items: Sequence[str]) -> Mapping[bytes, Any]:
        """One message's data; empty if there is no such message."""
        found: Mapping[bytes, Any] = self.fetch([uid], items).get(uid, {})
        return found


def quoted(text: str) -> bytes:
    """A value in a search: a quoted string, or, if it is not ASCII, bytes that are sent as a literal.

    Line ends and other control characters become spaces, so no value can end its command.
    """
    text = "".join(character if character >= " " and character != "\x7f" else " " for character in text)
    if not text.isascii():
        return text.encode()
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.encode()
