"""Real mail servers for the tests: Dovecot and aiosmtpd on loopback, with a CA of their own."""

from __future__ import annotations

import base64
import grp
import hashlib
import hmac
import json
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from ephemeral_port_reserve import reserve

IMAP_HOST = "imap.mail.example"
SMTP_HOST = "smtp.mail.example"
PASSWORD = "correct-horse-battery"
JWT_KEY = b"a key that only the tests know"
DOVECOT = shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def bearer(user: str, *, seconds: int = 3600) -> str:
    """An OAuth token that the tests' Dovecot accepts for a user."""

    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    now = int(time.time())
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': user, 'iat': now - 60, 'exp': now + seconds})}"
    signature = base64.urlsafe_b64encode(hmac.digest(JWT_KEY, signed.encode(), hashlib.sha256)).rstrip(b"=")
    return f"{signed}.{signature.decode()}"


@dataclass
class Dovecot:
    """A running server. Any user can log in with PASSWORD; a user's mail is a Maildir."""

    port: int
    folder: Path
    owner: tuple[int, int]

    def maildir(self, user: str, folder: str = "INBOX") -> Path:
        home = self.folder / "mail" / user / "Maildir"
        path = home if folder == "INBOX" else home / f".{folder}"
        for name in ("cur", "new", "tmp"):
            (path / name).mkdir(parents=True, exist_ok=True)
        for made in (self.folder / "mail" / user, home, path, *(path / name for name in ("cur", "new", "tmp"))):
            os.chown(made, *self.owner)
        return path

    def put(self, user: str, *messages: bytes, folder: str = "INBOX", flags: str = "") -> None:
        """Put messages into a folder, behind the server's back, as a delivery would; later ones are newer."""
        target = self.maildir(user, folder) / "cur"
        count = len(list(target.iterdir()))
        for at, message in enumerate(messages, count):
            path = target / f"{1_700_000_000 + at}.M{at}P1.test,S={len(message)}:2,{flags}"
            path.write_bytes(message)
            os.chown(path, *self.owner)
            os.utime(path, (1_700_000_000 + at, 1_700_000_000 + at))


def mail_owner() -> tuple[int, int]:
    """Dovecot serves no mail as root."""
    return (65534, 65534) if os.geteuid() == 0 else (os.getuid(), os.getgid())


def dovecot_config(server: Dovecot, certificate: Path, key: Path) -> str:
    folder, (uid, gid) = server.folder, server.owner
    for path in (certificate, key):
        shutil.copy(path, folder / path.name)
    users = "" if os.geteuid() == 0 else f"default_login_user = {_me()}\ndefault_internal_user = {_me()}\n"
    users += "" if os.geteuid() == 0 else f"default_internal_group = {_my_group()}\n"
    return f"""
{users}
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{folder / certificate.name}
ssl_key = <{folder / key.name}
auth_mechanisms = plain login xoauth2
mail_location = maildir:~/Maildir
mail_max_userip_connections = 50
maildir_very_dirty_syncs = yes
first_valid_uid = 1
service imap-login {{
  chroot =
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {server.port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
auth_failure_delay = 0
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = static
  mechanisms = plain login
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  mailbox Drafts {{
    auto = create
    special_use = \\Drafts
  }}
  mailbox Sent {{
    auto = create
    special_use = \\Sent
  }}
  mailbox Trash {{
    auto = create
    special_use = \\Trash
  }}
}}
"""


@contextmanager
def running_dovecot(certificate: Path, key: Path) -> Iterator[Dovecot]:
    """A Dovecot with empty mailboxes, for as long as the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="hermes-dovecot."))
    folder.chmod(0o755)
    server = Dovecot(reserve(), folder, mail_owner())
    (folder / "mail").mkdir()
    os.chown(folder / "mail", *server.owner)
    tokens = folder / "keys" / "default" / "HS256"
    tokens.mkdir(parents=True)
    (tokens / "default").write_bytes(base64.b64encode(JWT_KEY))
    (folder / "oauth2.conf").write_text(
        f"introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={folder}/keys/\n"
        "username_attribute = sub\n"
    )
    (folder / "dovecot.conf").write_text(dovecot_config(server, certificate, key))
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen([str(DOVECOT), "-F", "-c", folder / "dovecot.conf"], stdout=output, stderr=output)
    try:
        await_port(server.port, process, folder)
        yield server
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _me() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def _my_group() -> str:
    return grp.getgrgid(os.getgid()).gr_name


def await_port(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    said = "".join(path.read_text() for path in (folder / "output", folder / "log") if path.exists())
    pytest.fail(f"Dovecot did not start: {said}")


@dataclass
class Received:
    sender: str
    recipients: list[str]
    content: bytes
    options: list[str]


@dataclass
class SmtpServer:
    """aiosmtpd on two ports, with switches for what a server can do to a client."""

    tls_port: int = 0
    starttls_port: int = 0
    received: list[Received] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """Recipient → reply."""
    on_mail: str | None = None
    on_data: str | None = None
    cut_after_data: bool = False
    cut_before_data: bool = False
    cut: list[Any] = field(default_factory=list)

    async def handle_MAIL(  # noqa: N802  (aiosmtpd's name)
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.on_mail or "250 OK"

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        if self.cut_before_data:
            server.transport.abort()
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802  (as above)
        if self.on_data is not None:
            return self.on_data
        content = envelope.content
        assert isinstance(content, bytes)
        self.received.append(
            Received(envelope.mail_from or "", list(envelope.rcpt_tos), content, list(envelope.mail_options))
        )
        if self.cut_after_data:
            server.transport.abort()
        return "250 2.0.0 queued"


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
    return AuthResult(success=good, handled=False)


class _WithOAuth(SMTP):
    async def auth_XOAUTH2(self, _: SMTP, args: list[str]) -> AuthResult:  # noqa: N802  (aiosmtpd's name)
        said = base64.b64decode(args[1]).decode() if len(args) > 1 else ""
        if "auth=Bearer " in said and said.split("Bearer ")[1].count(".") == 2:
            return AuthResult(success=True)
        await self.push("334 " + base64.b64encode(b'{"status":"400"}').decode())
        await self._reader.readline()
        return AuthResult(success=False, handled=False)


class SmtpController(Controller):
    def __init__(self, handler: Any, *, starttls: ssl.SSLContext | None, **given: Any) -> None:
        super().__init__(handler, hostname="127.0.0.1", port=reserve(), **given)
        self._starttls = starttls

    def factory(self) -> SMTP:
        # One of the ports is TLS from its first byte, which this server does not know of.
        warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS", UserWarning)
        return _WithOAuth(
            self.handler,
            hostname=SMTP_HOST,
            data_size_limit=2_000_000,
            enable_SMTPUTF8=True,
            auth_required=True,
            auth_require_tls=self._starttls is not None,
            authenticator=_authenticate,
            tls_context=self._starttls,
            require_starttls=self._starttls is not None,
        )
