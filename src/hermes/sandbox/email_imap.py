"""An IMAP4rev1 server in memory (RFC 3501, with UIDPLUS, SPECIAL-USE and QUOTA), for one connection at a time each."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable

from hermes.sandbox.email_store import SPECIAL, Mail, MailAccount, MailFolder, in_set, matching, section, structure

CAPABILITIES = "IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN AUTH=XOAUTH2 UIDPLUS LIST-EXTENDED SPECIAL-USE QUOTA ID"
MAX_LITERAL = 40 * 1024 * 1024
_LITERAL = re.compile(rb"\{([0-9]{1,9})(\+?)\}$")
_ATOM = re.compile(rb'[^\s()"{}]+')
_BODY = re.compile(r"BODY(?:\.PEEK)?\[([^\]]*)\](?:<([0-9]+)\.([0-9]+)>)?", re.IGNORECASE)
_ITEM = re.compile(r"BODY(?:\.PEEK)?\[[^\]]*\](?:<[0-9.]+>)?|[A-Za-z0-9.\-]+", re.IGNORECASE)


class Refused(Exception):
    """A tagged NO: its response code and words."""


LogIn = Callable[[str, str], MailAccount]
Kept = Callable[[MailAccount, MailFolder, Mail], None]
"""Told of each message that a client puts into a folder itself."""
"""User and secret → the mailbox. Raises `Refused`."""


class ImapSession:
    """One connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        log_in: LogIn,
        now: Callable[[], float],
        kept: Kept,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._log_in = log_in
        self._now = now
        self._kept = kept
        self._account: MailAccount | None = None
        self._folder: MailFolder | None = None
        self._writable = False

    async def serve(self) -> None:
        """Talk until the client leaves."""
        self._send(b"* OK [CAPABILITY " + CAPABILITIES.encode() + b"] sandbox ready\r\n")
        while (line := await self._command()) is not None:
            tag, _, rest = line[0].partition(b" ")
            name, _, arguments = rest.partition(b" ")
            line[0] = arguments
            word = name.decode("latin-1").upper()
            try:
                said = await self._run(word, line)
            except Refused as refused:
                said = f"NO {refused}"
            except (ValueError, IndexError, StopIteration):
                said = "BAD arguments"
            self._send(f"{tag.decode('latin-1')} {said}\r\n".encode())
            await self._writer.drain()
            if word == "LOGOUT":
                return

    def _send(self, data: bytes) -> None:
        self._writer.write(data)

    async def _command(self) -> list[bytes] | None:
        """One command: its text, and after each even piece a literal."""
        pieces: list[bytes] = []
        while True:
            line = await self._reader.readline()
            if not line:
                return None
            pieces.append(line.rstrip(b"\r\n"))
            literal = _LITERAL.search(pieces[-1])
            if literal is None:
                return pieces
            size = int(literal[1])
            if size > MAX_LITERAL:
                return None
            pieces[-1] = pieces[-1][: literal.start()]
            if not literal[2]:
                self._send(b"+ go on\r\n")
            pieces.append(await self._reader.readexactly(size))

    async def _run(self, name: str, line: list[bytes]) -> str:
        if name == "CAPABILITY":
            self._send(f"* CAPABILITY {CAPABILITIES}\r\n".encode())
        elif name == "AUTHENTICATE":
            await self._authenticate(line[0].decode("latin-1").split())
        elif name == "LOGIN":
            user, secret = [_as_text(item) for item in tokens(line)[:2]]
            self._account = self._log_in(user, secret)
        elif name == "LOGOUT":
            self._send(b"* BYE see you\r\n")
        elif name == "ID":
            self._send(b'* ID ("name" "hermes sandbox")\r\n')
        elif name != "NOOP":
            return self._in_mailbox(name, line)
        return f"OK {name} done"

    async def _authenticate(self, words: list[str]) -> None:
        mechanism = words[0].upper()
        if len(words) > 1:
            given = words[1]
        else:
            self._send(b"+ \r\n")
            given = (await self._reader.readline()).decode("latin-1").strip()
        said = base64.b64decode(given).decode()
        if mechanism == "PLAIN":
            _, user, secret = said.split("\0")
        elif mechanism == "XOAUTH2":
            user, secret = said.split("\1")[0].removeprefix("user="), said.partition("auth=Bearer ")[2].strip("\1")
        else:
            raise Refused("[CANNOT] no such mechanism")
        self._account = self._log_in(user, secret)

    def _in_mailbox(self, name: str, line: list[bytes]) -> str:
        if self._account is None:
            raise ValueError("not logged in")
        if name == "UID":
            sub, _, rest = line[0].partition(b" ")
            line[0] = rest
            return self._with_uids(sub.decode("latin-1").upper(), line)
        given = tokens(line)
        if name == "LIST":
            self._list()
        elif name == "STATUS":
            folder = self._find(_as_text(given[0]))
            unseen = sum("\\seen" not in mail.flags for mail in folder.mails)
            self._send(f'* STATUS "{folder.name}" (MESSAGES {len(folder.mails)} UNSEEN {unseen})\r\n'.encode())
        elif name in ("SELECT", "EXAMINE"):
            return self._select(name, _as_text(given[0]))
        elif name == "GETQUOTAROOT":
            used = sum(len(mail.content) for folder in self._account.folders.values() for mail in folder.mails)
            self._send(b'* QUOTAROOT "INBOX" ""\r\n* QUOTA "" (STORAGE %d 1048576)\r\n' % (used // 1024))
        elif name == "APPEND":
            return self._append(given)
        else:
            raise ValueError("unknown command")
        return f"OK {name} done"

    def _find(self, name: str) -> MailFolder:
        folder = self._account.folder(name) if self._account is not None else None
        if folder is None:
            raise Refused("[NONEXISTENT] no such folder")
        return folder

    def _list(self) -> None:
        for name in self._account.folders if self._account is not None else ():
            flags = f"\\HasNoChildren {SPECIAL.get(name, '')}".strip()
            self._send(f'* LIST ({flags}) "/" "{name}"\r\n'.encode())

    def _select(self, name: str, folder_name: str) -> str:
        self._folder = None
        self._folder = folder = self._find(folder_name)
        self._writable = name == "SELECT"
        self._send(
            f"* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)\r\n* {len(folder.mails)} EXISTS\r\n* 0 RECENT\r\n"
            f"* OK [UIDVALIDITY {folder.validity}] valid\r\n* OK [UIDNEXT {folder.next_uid}] next\r\n".encode()
        )
        return f"OK [{'READ-WRITE' if self._writable else 'READ-ONLY'}] {name} done"

    def _append(self, given: list[object]) -> str:
        folder = self._find(_as_text(given[0]))
        flags = {_as_text(flag).lower() for item in given[1:-1] if isinstance(item, list) for flag in item}
        content = given[-1]
        if not isinstance(content, bytes):
            raise ValueError("no literal")  # noqa: TRY004  (as every other fault in a command: BAD)
        mail = folder.add(content, self._now(), flags)
        if self._account is not None:
            self._kept(self._account, folder, mail)
        return f"OK [APPENDUID {folder.validity} {mail.uid}] APPEND done"

    def _with_uids(self, name: str, line: list[bytes]) -> str:
        folder = self._folder
        if folder is None:
            raise ValueError("no folder selected")
        if name == "SEARCH":
            keys = tokens(line)
            keys = keys[2:] if keys and _as_text(keys[0]).upper() == "CHARSET" else keys
            found = " ".join(str(uid) for uid in matching(folder, keys))
            self._send(f"* SEARCH {found}".rstrip().encode() + b"\r\n")
        elif name == "FETCH":
            wanted, _, items = line[0].decode("latin-1").partition(" ")
            names = _ITEM.findall(items.strip()[1:-1] if items.strip().startswith("(") else items)
            for number, mail in enumerate(folder.mails, 1):
                if in_set(mail.uid, wanted, folder):
                    self._send(b"* %d FETCH (UID %d %s)\r\n" % (number, mail.uid, self._fetched(mail, names)))
        elif name == "STORE":
            wanted, change, flags = line[0].decode("latin-1").split(" ", 2)
            if not self._writable:
                raise Refused("[CANNOT] the folder is open for reading")
            given = {flag.lower() for flag in flags.strip("()").split()}
            for mail in folder.mails:
                if in_set(mail.uid, wanted, folder):
                    mail.flags = mail.flags | given if change.startswith("+") else mail.flags - given
        else:
            raise ValueError("unknown command")
        return f"OK {name} done"

    def _fetched(self, mail: Mail, names: list[str]) -> bytes:
        found = []
        for name in names:
            body = _BODY.fullmatch(name)
            if body is not None:
                found.append(_section(mail, body))
                if ".PEEK" not in name.upper() and self._writable:
                    mail.flags.add("\\seen")
            elif name.upper() == "FLAGS":
                found.append(f"FLAGS ({' '.join(sorted(mail.flags))})".encode())
            elif name.upper() == "INTERNALDATE":
                found.append(f'INTERNALDATE "{mail.internal_date()}"'.encode())
            elif name.upper() == "RFC822.SIZE":
                found.append(b"RFC822.SIZE %d" % len(mail.content))
            elif name.upper() == "BODYSTRUCTURE":
                found.append(b"BODYSTRUCTURE " + structure(mail.parsed))
            elif name.upper() != "UID":
                raise ValueError("unknown item")
        return b" ".join(found)


def _section(mail: Mail, asked: re.Match[str]) -> bytes:
    content = section(mail, asked[1])
    start = f"<{asked[2]}>" if asked[2] else ""
    name = f"BODY[{asked[1]}]{start}".encode()
    if content is None:
        return name + b" NIL"
    if asked[2]:
        content = content[int(asked[2]) : int(asked[2]) + int(asked[3])]
    return name + b" {%d}\r\n%s" % (len(content), content)


def tokens(line: list[bytes]) -> list[object]:
    """A command's arguments: atoms as text, strings and literals as bytes, lists as lists."""
    stack: list[list[object]] = [[]]
    for at, piece in enumerate(line):
        if at % 2:
            stack[-1].append(piece)
            continue
        place = 0
        while place < len(piece):
            place = _token(piece, place, stack)
    if len(stack) != 1:
        raise ValueError("open list")
    return stack[0]


def _token(piece: bytes, place: int, stack: list[list[object]]) -> int:
    byte = piece[place : place + 1]
    if byte == b"(":
        stack.append([])
    elif byte == b")":
        closed = stack.pop()
        stack[-1].append(closed)
    elif byte == b'"':
        end = re.compile(rb'"((?:[^"\\]|\\.)*)"').match(piece, place)
        if end is None:
            raise ValueError("open string")
        stack[-1].append(re.sub(rb"\\(.)", rb"\1", end[1]))
        return end.end()
    elif not byte.isspace():
        atom = _ATOM.match(piece, place)
        if atom is None:
            raise ValueError("no atom")
        stack[-1].append(atom[0].decode("latin-1"))
        return atom.end()
    return place + 1


def _as_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
