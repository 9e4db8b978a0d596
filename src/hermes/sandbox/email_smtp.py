"""An SMTP submission server in memory (RFC 6409): TLS from the first byte or by STARTTLS, then AUTH, then mail."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import Callable

MAX_MESSAGE = 35 * 1024 * 1024
MAX_RECIPIENTS = 100
_PATH = re.compile(r"(?:FROM|TO):\s*<([^<>]*)>(.*)", re.IGNORECASE)


class SmtpRefused(Exception):
    """A reply of 4xx or 5xx: code and words."""


Check = Callable[[str, str], str]
"""User and secret → the address of the account. Raises `SmtpRefused`."""
Accept = Callable[[str, list[str], bytes], bool]
"""Takes the account's message for its recipients. False: it was taken, but the connection is to be cut."""


class SmtpSession:
    """One connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        starttls: ssl.SSLContext | None,
        check: Check,
        accept: Accept,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._starttls = starttls
        self._check = check
        self._accept = accept
        self._account: str | None = None
        self._sender: str | None = None
        self._recipients: list[str] = []

    async def serve(self) -> None:
        """Talk until the client leaves."""
        self._say("220 sandbox ESMTP")
        while line := await self._reader.readline():
            name, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            try:
                if not await self._run(name.upper(), rest):
                    return
            except SmtpRefused as refused:
                self._say(str(refused))
            except (ValueError, IndexError):
                self._say("501 5.5.4 arguments")
            await self._writer.drain()

    def _say(self, *lines: str) -> None:
        for at, line in enumerate(lines, 1):
            code, _, text = line.partition(" ")
            self._writer.write(f"{code}{' ' if at == len(lines) else '-'}{text}\r\n".encode())

    async def _run(self, name: str, rest: str) -> bool:
        """Do one command; False ends the connection."""
        if name == "QUIT":
            self._say("221 2.0.0 bye")
            return False
        if name in ("EHLO", "HELO"):
            secure = ["250 STARTTLS"] if self._starttls is not None else ["250 AUTH PLAIN LOGIN XOAUTH2"]
            self._say("250 sandbox", f"250 SIZE {MAX_MESSAGE}", "250 8BITMIME", "250 SMTPUTF8", *secure)
        elif name == "STARTTLS" and self._starttls is not None:
            self._say("220 2.0.0 go on")
            await self._writer.drain()
            await self._writer.start_tls(self._starttls)
            self._starttls = None
        elif name in ("NOOP", "RSET"):
            self._sender, self._recipients = None, []
            self._say("250 2.0.0 OK")
        elif self._starttls is not None:
            self._say("530 5.7.0 Must issue a STARTTLS command first")
        elif name == "AUTH":
            await self._authenticate(rest.split())
        elif self._account is None:
            self._say("530 5.7.0 Authentication required")
        else:
            return await self._mail(name, rest)
        return True

    async def _authenticate(self, words: list[str]) -> None:
        mechanism = words[0].upper()
        if mechanism == "LOGIN":
            user, secret = await self._asked("VXNlcm5hbWU6"), await self._asked("UGFzc3dvcmQ6")
        else:
            said = base64.b64decode(words[1]).decode() if len(words) > 1 else await self._asked("")
            if mechanism == "PLAIN":
                _, user, secret = said.split("\0")
            elif mechanism == "XOAUTH2":
                user, secret = said.split("\1")[0].removeprefix("user="), said.partition("auth=Bearer ")[2].strip("\1")
            else:
                raise SmtpRefused("504 5.5.4 no such mechanism")
        self._account = self._check(user, secret)
        self._say("235 2.7.0 Accepted")

    async def _asked(self, prompt: str) -> str:
        self._say(f"334 {prompt}")
        await self._writer.drain()
        return base64.b64decode((await self._reader.readline()).strip()).decode()

    async def _mail(self, name: str, rest: str) -> bool:
        if name == "MAIL":
            self._from(rest)
        elif name == "RCPT":
            self._to(rest)
        elif name == "DATA":
            return await self._data()
        else:
            self._say("502 5.5.1 no such command")
        return True

    def _from(self, rest: str) -> None:
        found = _PATH.fullmatch(rest)
        if found is None:
            raise SmtpRefused("501 5.1.7 sender")
        size = re.search(r"SIZE=([0-9]+)", found[2], re.IGNORECASE)
        if size is not None and int(size[1]) > MAX_MESSAGE:
            raise SmtpRefused("552 5.3.4 message too large")
        if found[1].lower() != (self._account or "").lower():
            raise SmtpRefused("550 5.7.60 not permitted to send as this sender")
        self._sender, self._recipients = found[1], []
        self._say("250 2.1.0 OK")

    def _to(self, rest: str) -> None:
        found = _PATH.fullmatch(rest)
        if self._sender is None or found is None or "@" not in found[1]:
            raise SmtpRefused("501 5.1.3 recipient")
        local = found[1].partition("@")[0].lower()
        if local == "nobody":
            raise SmtpRefused("550 5.1.1 no such user here")
        if local == "full":
            raise SmtpRefused("452 4.2.2 mailbox full")
        if len(self._recipients) >= MAX_RECIPIENTS:
            raise SmtpRefused("452 4.5.3 too many recipients")
        self._recipients.append(found[1])
        self._say("250 2.1.5 OK")

    async def _data(self) -> bool:
        if self._sender is None or not self._recipients:
            raise SmtpRefused("503 5.5.1 no recipients")
        self._say("354 go on")
        await self._writer.drain()
        content = bytearray()
        while (line := await self._reader.readline()) != b".\r\n":
            if not line:
                return False
            content += line[1:] if line.startswith(b".") else line
            if len(content) > MAX_MESSAGE:
                raise SmtpRefused("552 5.3.4 message too large")
        taken = self._accept(self._sender, self._recipients, bytes(content))
        self._sender, self._recipients = None, []
        if taken:
            self._say("250 2.0.0 queued")
        return taken
