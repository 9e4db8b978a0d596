"""How a mail leaves: over SMTP, or into a folder where the embedded default has no server to send it."""

from __future__ import annotations

import asyncio
import ssl
from email.message import EmailMessage
from pathlib import Path
from typing import Final, Protocol

import aiosmtplib
import structlog

from hermes.settings import Settings
from hermes.storage.data_folder import write_atomically

_SECONDS: Final = 30.0
_PERMANENT: Final = 500

log = structlog.get_logger(__name__)


class Undeliverable(Exception):
    """The server said for good that it will not take this mail (a 5xx reply, RFC 5321, section 4.2.1)."""


class Post(Protocol):
    """Takes mails away.

    Attributes:
        sender: whom they come from.
    """

    @property
    def sender(self) -> str: ...

    async def send(self, mail_id: str, message: EmailMessage) -> None:
        """Hand the mail over.

        Raises:
            Undeliverable: it will never be taken.
            Exception: it was not taken now.
        """
        ...


class SmtpPost:
    """Hands mails to the server of `SMTP_HOST`."""

    def __init__(self, settings: Settings, host: str, tls: ssl.SSLContext | None = None) -> None:
        """
        Args:
            tls: whose certificates are believed; the system's unless given.
        """
        self.sender = settings.smtp_from or ""
        self._host = host
        self._security = settings.smtp_security
        self._port = settings.smtp_port or {"starttls": 587, "tls": 465, "none": 25}[self._security]
        self._tls = tls if self._security != "none" else None
        self._username = settings.smtp_username
        self._password = settings.smtp_password

    async def send(self, mail_id: str, message: EmailMessage) -> None:  # noqa: ARG002  (the protocol's)
        """See `Post.send`. The server's certificate is checked unless SMTP_SECURITY is `none`."""
        try:
            await aiosmtplib.send(
                message,
                hostname=self._host,
                port=self._port,
                use_tls=self._security == "tls",
                start_tls=self._security == "starttls",
                username=self._username,
                password=self._password.get_secret_value() if self._password else None,
                timeout=_SECONDS,
                tls_context=self._tls,
            )
        except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPDataError, aiosmtplib.SMTPSenderRefused) as error:
            if _is_permanent(error):
                raise Undeliverable(type(error).__name__) from None
            raise


class FolderPost:
    """Writes mails as `.eml` files that only the owner reads, and says where."""

    sender = "SquareMCP <hermes@localhost>"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, mail_id: str, message: EmailMessage) -> None:
        path = self._folder / f"{mail_id}.eml"
        await asyncio.to_thread(self._write, path, message.as_string())
        log.info("mail_written", path=str(path.resolve()), reason="SMTP_HOST is not set")

    def _write(self, path: Path, text: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, text)


def post_of(settings: Settings) -> Post | None:
    """The way out that the settings give; none if there is none."""
    if settings.smtp_host is not None:
        return SmtpPost(settings, settings.smtp_host)
    return FolderPost(settings.data_dir / "mail") if settings.embedded else None


def _is_permanent(error: aiosmtplib.SMTPException) -> bool:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(refused.code >= _PERMANENT for refused in error.recipients)
    return isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= _PERMANENT
