"""Mail servers: IMAP and SMTP on loopback, over TLS with a certificate of their own; any address is a mailbox.

`GET /email/servers` starts them and tells their ports and the certificate. Mail to an address that has logged in here
lies in its inbox at once; mail to others goes nowhere. The failure switches concern HTTP and do not reach these
servers: magic passwords and recipients do.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from itertools import count
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hermes.sandbox.base import Action, ActionError, Field, Magic, Service, Stage, StandIn
from hermes.sandbox.email_imap import ImapSession, Refused
from hermes.sandbox.email_smtp import SmtpRefused, SmtpSession
from hermes.sandbox.email_store import Mail, MailAccount, MailFolder
from hermes.sandbox.http import Answer, Incoming, json_answer
from hermes.sandbox.oauth_vendors import GMAIL, OUTLOOK

HOST = "mail.sandbox.example"
_LINE = 2**20
_WELCOME = "This mailbox lies in the sandbox. Ask your assistant to read it, to answer it, or to write a draft."
_BAD = {"expired": "[AUTHENTICATIONFAILED] expired", "revoked": "[AUTHENTICATIONFAILED] revoked"}
_BAD |= {"limited": "[LIMIT] too many connections", "broken": "[UNAVAILABLE] try later"}
_BAD_SMTP = {"expired": "535 5.7.8 bad credentials", "revoked": "535 5.7.8 bad credentials"}
_BAD_SMTP |= {"limited": "454 4.7.0 too many logins", "broken": "421 4.3.2 try later"}


class EmailService(Service):
    """All mailboxes of the sandbox."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._accounts: dict[str, MailAccount] = {}
        self._secrets: dict[str, str] = {}
        self._servers: list[asyncio.Server] = []
        self._told: dict[str, Any] = {}
        self._starting = asyncio.Lock()
        self._numbers = count(1)
        self.actions = (
            Action(
                "message",
                "A person sends mail",
                (
                    Field("token", "Mailbox's address", "demo@sandbox.example"),
                    Field("text", "Text", "Hello!"),
                    Field("subject", "Subject", "Hello", required=False),
                    Field("sender", "From", "Ada <ada@example.com>", required=False),
                ),
                self._person_writes,
            ),
        )

    def token_of(self, incoming: Incoming) -> str | None:
        del incoming
        return None

    async def answer(self, incoming: Incoming) -> Answer:
        if incoming.path != "/servers" or incoming.method != "GET":
            return json_answer({"error": "mail is read over IMAP and sent over SMTP; see /email/servers"}, 404)
        async with self._starting:
            if not self._servers:
                await self._start()
        return json_answer(self._told)

    def rate_limited(self, retry_after: int | None) -> Answer:
        return json_answer(
            {"error": "too fast"}, 429, () if retry_after is None else (("Retry-After", str(retry_after)),)
        )

    def error(self, code: int, message: str | None) -> Answer:
        return json_answer({"error": message or "error"}, code if 400 <= code < 600 else 400)

    def account(self, token: str) -> dict[str, Any]:
        if "@" not in token:
            raise ActionError("token: a mailbox's address, such as demo@sandbox.example")
        return {"address": token.lower()}

    def reset(self) -> None:
        self._accounts.clear()
        self._secrets.clear()

    async def close(self) -> None:
        """Stop listening, and cut what is connected."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def _start(self) -> None:
        context, certificate = await asyncio.to_thread(_certificate)
        imap = await self._listen(self._imap, context)
        secure = await self._listen(self._smtp(None), context)
        upgraded = await self._listen(self._smtp(context), None)
        self._told = {"993": imap, "465": secure, "587": upgraded, "certificate": certificate}

    async def _listen(
        self,
        talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        context: ssl.SSLContext | None,
    ) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await talk(reader, writer)
            except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # the client went away, or the sandbox ends
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, limit=_LINE)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _imap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ImapSession(reader, writer, self._log_in, self._stage.clock.now, self._kept).serve()

    def _smtp(
        self, context: ssl.SSLContext | None
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await SmtpSession(reader, writer, starttls=context, check=self._check, accept=self._take).serve()

        return talk

    def _log_in(self, user: str, secret: str) -> MailAccount:
        secret = self._signed_in(user, secret)
        said = next((said for word, said in _BAD.items() if word in secret), None)
        if said is not None or "@" not in user:
            raise Refused(said or "[AUTHENTICATIONFAILED] the user is an address")
        self._secrets[user.lower()] = secret
        return self._mailbox(user)

    def _signed_in(self, user: str, token: str) -> str:
        """The secret: of a token that was issued for signing in, whose it is and whether it is still in force."""
        account = self.presented(token)
        return account if account == token or account.startswith(user.lower()) else "revoked"

    def _check(self, user: str, secret: str) -> str:
        secret = self._signed_in(user, secret)
        said = next((said for word, said in _BAD_SMTP.items() if word in secret), None)
        if said is not None or "@" not in user:
            raise SmtpRefused(said or "535 5.7.8 the user is an address")
        self._secrets[user.lower()] = secret
        return user

    def _mailbox(self, address: str) -> MailAccount:
        found = self._accounts.get(address.lower())
        if found is None:
            found = self._accounts[address.lower()] = MailAccount.make(address, int(self._stage.clock.now()))
            self._put(found, "Sandbox <welcome@sandbox.example>", "Welcome", _WELCOME)
        return found

    def _put(self, account: MailAccount, sender: str, subject: str, text: str) -> str:
        message = EmailMessage()
        message["From"] = sender
        message["To"] = account.address
        message["Subject"] = subject
        message["Date"] = format_datetime(datetime.fromtimestamp(self._stage.clock.now(), UTC))
        message["Message-ID"] = make_msgid(domain="sandbox.example")
        message.set_content(text)
        content = message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        account.folders["INBOX"].add(content, self._stage.clock.now(), set())
        return str(message["Message-ID"])

    def _take(self, sender: str, recipients: list[str], content: bytes) -> bool:
        now = self._stage.clock.now()
        token = self._secrets.get(sender.lower(), sender)
        subject = Mail(0, content, datetime.fromtimestamp(now, UTC)).field_text("Subject")
        for recipient in recipients:
            number = f"mail-{next(self._numbers)}"
            self._stage.note("email", token, "out", sender, recipient, "mail", subject, number, "sent")
            if recipient.lower() in self._accounts:
                self._accounts[recipient.lower()].folders["INBOX"].add(content, now, set())
        return not any(recipient.lower().startswith("lost@") for recipient in recipients)

    def _kept(self, account: MailAccount, folder: MailFolder, mail: Mail) -> None:
        if folder.name != "Drafts":
            return  # the copy of what was sent, which is shown already
        token = self._secrets.get(account.address, account.address)
        number = f"draft-{folder.validity}-{mail.uid}"
        subject, to = mail.field_text("Subject"), mail.field_text("To")
        self._stage.note("email", token, "out", account.address, to, "draft", subject, number, "kept")

    async def _person_writes(self, given: Mapping[str, str]) -> dict[str, Any]:
        address = self.account(given["token"])["address"]
        sender = given.get("sender") or "Ada Lovelace <ada@example.com>"
        try:
            sent = self._put(self._mailbox(address), sender, given.get("subject") or "Hello", given["text"])
        except ValueError:
            raise ActionError("sender and subject: one line each") from None
        return {"message_id": sent}


def _certificate() -> tuple[ssl.SSLContext, str]:
    """A new certificate that only who asks the sandbox knows, ready to be served."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="hermes-sandbox.") as folder:
        path = Path(folder) / "chain.pem"
        path.touch(mode=0o600)
        path.write_bytes(secret + pem)
        context.load_cert_chain(path)
    return context, pem.decode("ascii")


stand_in = StandIn(
    "email",
    title="Email",
    create=EmailService,
    oauth=(GMAIL, OUTLOOK),
    magic=(
        Magic("password with expired or revoked in it", "refuses the login"),
        Magic("password with limited in it", "too many connections"),
        Magic("password with broken in it", "the server is not available"),
        Magic("nobody@…", "this recipient is refused: no such user"),
        Magic("full@…", "this recipient is refused for now: mailbox full"),
        Magic("lost@…", "the mail is taken, and the connection cut before the answer"),
    ),
    demo={
        "address": "demo@sandbox.example",
        "password": "sandbox-app-password",
        "imap_host": HOST,
        "smtp_host": HOST,
    },
)
