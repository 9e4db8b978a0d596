"""Real mail servers for the tests: Dovecot and aiosmtpd on loopback, with a CA of their own and a given resolver."""

from __future__ import annotations

import asyncio
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
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hermes.errors import HermesError
from hermes.net.upstream import Upstream
from hermes.platforms.base import ApiContext, Effect, ToolContext
from hermes.platforms.email import email
from hermes.platforms.email.api import EmailApi, Opener
from hermes.platforms.email.credentials import EmailCredentials
from hermes.platforms.email.discovery import Discovery
from hermes.platforms.email.network import Network, tcp_connect
from hermes.platforms.ports import Ports
from hermes.settings import Settings

IMAP_HOST = "imap.mail.example"
SMTP_HOST = "smtp.mail.example"
PASSWORD = "correct-horse-battery"
JWT_KEY = b"a key that only the tests know"
DOVECOT = shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@dataclass
class Authority:
    """A certificate authority that nobody trusts but these tests."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tests' CA")])
        return cls(key, _sign(name, name, key.public_key(), key, ca=True))

    def issue(self, folder: Path, *hosts: str) -> tuple[Path, Path]:
        """Certificate and key for hosts, as files."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
        made = _sign(name, self.certificate.subject, key.public_key(), self.key, hosts=hosts)
        pem, secret = folder / f"{hosts[0]}.pem", folder / f"{hosts[0]}.key"
        pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pem, secret

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(
            cadata=self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
        )


def _sign(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    key: ec.EllipticCurvePrivateKey,
    *,
    ca: bool = False,
    hosts: Sequence[str] = (),
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if hosts:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False
        )
    return builder.sign(key, hashes.SHA256())


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.make()


@pytest.fixture(scope="session")
def certificates(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return authority.issue(tmp_path_factory.mktemp("certificates"), IMAP_HOST, SMTP_HOST)


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


@pytest.fixture(scope="session")
def dovecot(certificates: tuple[Path, Path]) -> Iterator[Dovecot]:
    if DOVECOT is None:
        pytest.skip("dovecot is not installed (Debian: dovecot-imapd)")
    folder = Path(tempfile.mkdtemp(prefix="hermes-dovecot."))
    folder.chmod(0o755)
    server = Dovecot(_free_port(), folder, _owner())
    (folder / "mail").mkdir()
    os.chown(folder / "mail", *server.owner)
    keys = folder / "keys" / "default" / "HS256"
    keys.mkdir(parents=True)
    (keys / "default").write_bytes(base64.b64encode(JWT_KEY))
    (folder / "oauth2.conf").write_text(
        f"introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={folder}/keys/\n"
        "username_attribute = sub\n"
    )
    (folder / "dovecot.conf").write_text(_dovecot_config(server, *certificates))
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen([DOVECOT, "-F", "-c", folder / "dovecot.conf"], stdout=output, stderr=output)
    try:
        _await_port(server.port, process, folder)
        yield server
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _owner() -> tuple[int, int]:
    """Dovecot serves no mail as root."""
    return (65534, 65534) if os.geteuid() == 0 else (os.getuid(), os.getgid())


def _dovecot_config(server: Dovecot, certificate: Path, key: Path) -> str:
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
}}
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


def _me() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def _my_group() -> str:
    return grp.getgrgid(os.getgid()).gr_name


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _await_port(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
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


class _Controller(Controller):
    def __init__(self, handler: Any, *, starttls: ssl.SSLContext | None, **given: Any) -> None:
        super().__init__(handler, hostname="127.0.0.1", port=_free_port(), **given)
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


@pytest.fixture
def smtp_server(certificates: tuple[Path, Path]) -> Iterator[SmtpServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates)
    server = SmtpServer()
    secure = _Controller(server, starttls=None, ssl_context=context)
    upgraded = _Controller(server, starttls=context)
    secure.start()
    upgraded.start()
    server.tls_port, server.starttls_port = secure.port, upgraded.port
    yield server
    secure.stop()
    upgraded.stop()


@dataclass
class MailBench:
    """The tools over real servers, which are reached by names and ports as in the world."""

    authority: Authority
    ports: dict[tuple[str, int], int]
    addresses: dict[str, list[str]]
    media: Any
    upstream: Upstream
    opener: Opener = field(init=False)
    customer: str = "cus_1"
    dialled: list[tuple[str, int]] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    descriptions: dict[str, bytes] = field(default_factory=dict)
    exchangers_of: dict[str, list[str]] = field(default_factory=dict)
    services_of: dict[str, list[tuple[str, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        network = Network(resolve=self.resolve, connect=self.connect, tls=self.authority.trusting())
        self.opener = Opener(network, Discovery(network, fetch=self.fetch, dns=self))

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        try:
            return self.addresses[host]
        except KeyError:
            raise OSError("no such host") from None

    async def connect(self, address: str, port: int) -> socket.socket:
        self.dialled.append((address, port))
        target = self.ports.get((address, port))
        if target is None:
            raise ConnectionRefusedError
        return await tcp_connect("127.0.0.1", target)

    async def fetch(self, url: str) -> bytes | None:
        self.fetched.append(url)
        return self.descriptions.get(url)

    async def exchangers(self, domain: str) -> Sequence[str]:
        return self.exchangers_of.get(domain, [])

    async def services(self, name: str) -> Sequence[tuple[str, int]]:
        return self.services_of.get(name, [])

    def open(
        self, credentials: dict[str, Any], *, seconds: float = 20, write: bool = True, customer: str | None = None
    ) -> EmailApi:
        http = self.upstream.bind("Email", write, asyncio.get_running_loop().time() + seconds)
        return self.opener(
            ApiContext(
                customer_id=customer or self.customer,
                account="default",
                http=http,
                base_url="",
                settings=Settings(),
                ports=Ports(None, None, self.media),  # type: ignore[arg-type]  # email uses media only
            ),
            EmailCredentials.model_validate(credentials),
        )

    async def run(
        self,
        credentials: dict[str, Any],
        name: str,
        /,
        *,
        seconds: float = 20,
        customer: str | None = None,
        **given: Any,
    ) -> Any:
        tool = email.tools[name]
        api = self.open(credentials, seconds=seconds, write=tool.effect is not Effect.READ, customer=customer)
        checked = tool.validate(given)
        jsonschema.Draft202012Validator(tool.input_schema).validate(given)
        result = await tool.run(api, checked, ToolContext("call_1", None))
        jsonschema.Draft202012Validator(tool.output_schema).validate(result)
        return result

    async def refused(self, credentials: dict[str, Any], name: str, /, **given: Any) -> HermesError:
        with pytest.raises(HermesError) as caught:
            await self.run(credentials, name, **given)
        for secret in ("password", "access_token"):
            if secret in credentials:
                assert credentials[secret] not in repr(caught.value) + str(caught.value.as_dict()) + str(
                    caught.value.detail
                )
        assert caught.value.__cause__ is None
        return caught.value


def account(user: str, **changes: Any) -> dict[str, Any]:
    """The credentials of one of the tests' mailboxes."""
    given = {
        "address": f"{user}@mail.example",
        "username": user,
        "password": PASSWORD,
        "imap_host": IMAP_HOST,
        "smtp_host": SMTP_HOST,
    }
    return {name: value for name, value in (given | changes).items() if value is not None}


@pytest.fixture
def make_account() -> Any:
    return account


@pytest.fixture
def make_bearer() -> Any:
    return bearer


@pytest.fixture
async def wired(authority: Authority, smtp_server: SmtpServer, fake_media: Any) -> AsyncIterator[MailBench]:
    """A bench with an SMTP server and no IMAP server yet."""
    upstream = Upstream()
    bench = MailBench(
        authority,
        {
            ("8.8.4.4", 465): smtp_server.tls_port,
            ("8.8.4.4", 587): smtp_server.starttls_port,
        },
        {IMAP_HOST: ["8.8.8.8"], SMTP_HOST: ["8.8.4.4"]},
        fake_media,
        upstream,
    )
    yield bench
    await bench.opener.pool.close()
    await upstream.close()


@pytest.fixture
def mail(wired: MailBench, dovecot: Dovecot) -> MailBench:
    wired.ports["8.8.8.8", 993] = dovecot.port
    return wired


def letter(subject: str = "Hello", text: str = "Good morning", **headers: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = headers.pop("sender", "Ada Lovelace <ada@example.com>")
    message["To"] = headers.pop("to", "me@mail.example")
    message["Subject"] = subject
    message["Date"] = headers.pop("date", "Fri, 20 Nov 2026 10:00:00 +0100")
    message["Message-ID"] = headers.pop("message_id", f"<{abs(hash(subject))}@example.com>")
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message


@pytest.fixture
def make_letter() -> Any:
    return letter


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """A mailbox of its own for each test."""
    return "u" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
