"""Sending over SMTP submission (RFC 6409), at most once.

Until the server has said "go on" to DATA it can deliver nothing, so a failure before that sent nothing. From the first
byte of the message on, only the server's answer says what happened; without one the outcome is unknown.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from aiosmtplib import SMTP, SMTPException, SMTPResponseException
from aiosmtplib.protocol import SMTPProtocol

from hermes.errors import HermesError, OutcomeUnknown, PayloadTooLarge, PlatformRejected
from hermes.platforms.email.addresses import Mailbox
from hermes.platforms.email.compose import wrong
from hermes.platforms.email.credentials import EmailCredentials
from hermes.platforms.email.network import SUBMISSIONS, Endpoint, Network
from hermes.platforms.email.refusals import smtp_refusal, unavailable

_COMMAND_SECONDS: Final = 20.0
_EHLO: Final = "[127.0.0.1]"
"""What mail programs say (RFC 5321, 4.1.3): the machine's own name is nobody's business."""
_DOTS: Final = re.compile(rb"(?m)^\.")
_OK: Final = 250
_GO_ON: Final = 354


@dataclass(frozen=True, slots=True)
class RefusedRecipient:
    address: str
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """Who will get it."""

    accepted: list[str]
    refused: list[RefusedRecipient] = field(default_factory=list)


class Submission:
    """One account's way out."""

    def __init__(self, network: Network, server: Endpoint, credentials: EmailCredentials, username: str) -> None:
        self._network = network
        self._server = server
        self._credentials = credentials
        self._username = username

    async def check(self) -> None:
        """Log in and leave.

        Raises:
            HermesError: it does not work.
        """
        async with self._connected():
            pass

    async def send(
        self, sender: Mailbox, recipients: Sequence[Mailbox], content: bytes, *, message_id: str, deadline: float
    ) -> Receipt:
        """Hand a message over. Recipients that are refused do not keep the others from getting it.

        Args:
            sender: the envelope's sender.
            content: the message, its lines ending in CRLF.
            message_id: by which a sent message is found again.
            deadline: in the event loop's time.

        Raises:
            HermesError: nothing was sent (`nothing_sent`).
            OutcomeUnknown: the message was on its way, and no answer came.
        """
        begun = False
        try:
            async with asyncio.timeout_at(deadline), self._connected() as smtp:
                receipt = await self._envelope(smtp, sender, recipients, len(content))
                stuffed = await asyncio.to_thread(_stuffed, content)
                protocol = await self._data(smtp)
                begun = True
                protocol.write(stuffed)
                reply = await protocol.read_response()
                if reply.code != _OK:
                    begun = not 400 <= reply.code < 600
                    raise smtp_refusal(reply.code, reply.message)
                return receipt
        except HermesError as error:
            if not begun:
                raise
            reason = error.code
        except (TimeoutError, OSError, SMTPException) as error:
            reason = type(error).__name__
        if not begun:
            raise unavailable(reason, nothing_sent=True)
        raise OutcomeUnknown(
            "The message was handed to the mail server, but its answer never came: it may or may not be delivered. It "
            "is not sent again by itself. Look for its Message-ID in the Sent folder (email_search_messages with "
            "thread_id), or ask a recipient, before repeating it.",
            detail=reason,
            message_id=message_id,
        )

    async def _envelope(self, smtp: SMTP, sender: Mailbox, recipients: Sequence[Mailbox], size: int) -> Receipt:
        extensions = smtp.esmtp_extensions
        odd = [one for one in (sender, *recipients) if not one.is_ascii]
        if odd and "smtputf8" not in extensions:
            raise wrong("to", "the mail server takes addresses in ASCII only (it has no SMTPUTF8)")
        limit = extensions.get("size", "")
        if limit.isdigit() and 0 < int(limit) < size:
            raise PayloadTooLarge(
                f"The message has {size:,} bytes with its attachments encoded; the mail server takes {int(limit):,}. "
                "Send fewer or smaller attachments.",
                limit_bytes=int(limit),
                nothing_sent=True,
            )
        options = [f"SIZE={size}"] if "size" in extensions else []
        options += ["SMTPUTF8"] if odd else []
        encoding = "utf-8" if odd else "ascii"
        try:
            await smtp.mail(sender.address, options=options, encoding=encoding, timeout=_COMMAND_SECONDS)
        except SMTPResponseException as error:
            refused = smtp_refusal(error.code, error.message)
        else:
            return await self._recipients(smtp, recipients, encoding)
        raise refused

    async def _recipients(self, smtp: SMTP, recipients: Sequence[Mailbox], encoding: str) -> Receipt:
        receipt = Receipt([])
        for one in recipients:
            try:
                await smtp.rcpt(one.address, encoding=encoding, timeout=_COMMAND_SECONDS)
            except SMTPResponseException as error:
                if not 400 <= error.code < 600:
                    raise
                receipt.refused.append(RefusedRecipient(one.address, error.code, _shown(error.message)))
            else:
                receipt.accepted.append(one.address)
        if not receipt.accepted:
            first = receipt.refused[0]
            refusal = smtp_refusal(first.code, first.reason)
            refusal.data["refused"] = [
                {"address": one.address, "code": one.code, "reason": one.reason} for one in receipt.refused
            ]
            raise refusal
        return receipt

    async def _data(self, smtp: SMTP) -> SMTPProtocol:
        reply = await smtp.execute_command(b"DATA", timeout=_COMMAND_SECONDS)
        if reply.code != _GO_ON:
            raise smtp_refusal(reply.code, reply.message)
        if smtp.protocol is None:
            raise unavailable("connection lost", nothing_sent=True)
        return smtp.protocol

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[SMTP]:
        """A logged-in connection over TLS, closed at the end."""
        connected = await self._network.dial(self._server, field="smtp_host")
        secure = self._server.port == SUBMISSIONS
        smtp = SMTP(
            hostname=self._server.host,
            sock=connected,
            use_tls=secure,
            start_tls=not secure,
            tls_context=self._network.tls,
            local_hostname=_EHLO,
            timeout=_COMMAND_SECONDS,
        )
        try:
            await self._log_in(smtp)
            yield smtp
            if smtp.protocol is not None:
                # The goodbye is sent and not waited for: what had to be known is known.
                with suppress(SMTPException):
                    smtp.protocol.write(b"QUIT\r\n")
        finally:
            smtp.close()

    async def _log_in(self, smtp: SMTP) -> None:
        secret, login = self._credentials.secret, False
        try:
            await smtp.connect()
            await smtp.ehlo()
            methods = smtp.server_auth_methods
            login = True
            if self._credentials.access_token is not None:
                await smtp.auth_xoauth2(self._username, secret)
            elif "plain" in methods:
                await smtp.auth_plain(self._username, secret)
            elif "login" in methods:
                await smtp.auth_login(self._username, secret)
            else:
                raise PlatformRejected("The mail server offers no way to log in with a password.", nothing_sent=True)
        except SMTPResponseException as error:
            refused: HermesError = smtp_refusal(error.code, error.message, login=login, secret=secret)
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            refused = unavailable(type(error).__name__, nothing_sent=True)
        else:
            return
        raise refused


def _stuffed(content: bytes) -> bytes:
    """The message as DATA wants it: a line that begins with a dot gets another, and a lone dot is the end."""
    end = b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n"
    return _DOTS.sub(b"..", content) + end


def _shown(said: str) -> str:
    return "".join(character if character.isprintable() else " " for character in said)[:300]
