"""A bench for the mail tools: real servers, found by names of their own, and mailboxes in them."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.tls import Authority
from hermes.errors import HermesError
from hermes.net.upstream import Upstream
from hermes.platforms.base import ApiContext, Effect
from hermes.platforms.context import ToolContext
from hermes.platforms.email import email
from hermes.platforms.email.api import EmailApi, Opener
from hermes.platforms.email.credentials import EmailCredentials
from hermes.platforms.email.discovery import Discovery
from hermes.platforms.email.network import Network, tcp_connect
from hermes.platforms.ports import Ports
from hermes.settings import Settings
from platforms.email.servers import (
    DOVECOT,
    IMAP_HOST,
    PASSWORD,
    SMTP_HOST,
    Dovecot,
    SmtpController,
    SmtpServer,
    bearer,
    running_dovecot,
)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.make()


@pytest.fixture(scope="session")
def certificates(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return authority.issue(tmp_path_factory.mktemp("certificates"), IMAP_HOST, SMTP_HOST)


@pytest.fixture(scope="session")
def dovecot(certificates: tuple[Path, Path]) -> Iterator[Dovecot]:
    if DOVECOT is None:
        pytest.skip("dovecot is not installed (Debian: dovecot-imapd)")
    with running_dovecot(*certificates) as server:
        yield server


@pytest.fixture
def smtp_server(certificates: tuple[Path, Path]) -> Iterator[SmtpServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates)
    server = SmtpServer()
    secure = SmtpController(server, starttls=None, ssl_context=context)
    upgraded = SmtpController(server, starttls=context)
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
