"""The product's own mail, against a real SMTP server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from sqlalchemy import select

from harness.tls import Authority
from hermes.crypto import Keyring
from hermes.errors import Conflict
from hermes.events.letters import Letter, compose
from hermes.events.mail import SEND_JOB, Mail
from hermes.events.models import MailRow, MailState
from hermes.events.post import FolderPost, SmtpPost, post_of
from hermes.settings import SettingsError, load_settings
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

LETTER = Letter(
    "reset", "ada@example.com", "Choose a new password", ("Hello <b>Ada</b> & all,",), "https://h.example/reset?token=s3cret",
    "Choose", "Bye.",
)  # fmt: skip


@dataclass
class Mailbox:
    """What the server got, and what it says to the next mails."""

    replies: list[str] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802  (aiosmtpd's)
        reply = self.replies.pop(0) if self.replies else "250 OK"
        if reply.startswith("250"):
            self.envelopes.append(envelope)
        return reply


@dataclass
class Queue:
    """Remembers what was queued."""

    queued: list[tuple[str, str]] = field(default_factory=list)

    async def enqueue(self, name: str, *ids: str | int, delay: float = 0) -> bool:
        self.queued.append((name, str(ids[0])))
        return True


@dataclass
class Clock:
    now: datetime = datetime(2026, 11, 28, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
async def smtp(mailbox: Mailbox) -> AsyncIterator[int]:
    async with serving(mailbox) as port:
        yield port


@asynccontextmanager
async def serving(mailbox: Mailbox, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[int]:
    """An SMTP server on this machine; gives its port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(mailbox, loop=loop, **options), "127.0.0.1", 0, ssl=tls)
    yield server.sockets[0].getsockname()[1]
    server.close()


def settings(port: int, **more: str) -> Any:
    given = {
        "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(port), "SMTP_SECURITY": "none",
        "SMTP_FROM": "SquareMCP <hello@example.org>",
    }  # fmt: skip
    return load_settings(given | more, env_file=None)


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(b"k" * 32)


@pytest.fixture
async def outbox(database: Database, smtp: int, keyring: Keyring) -> Mail:
    return Mail(database, keyring, Queue(), SmtpPost(settings(smtp), "127.0.0.1"), now=Clock())


async def put(database: Database, mail: Mail) -> str:
    async with database.session() as session:
        return mail.write(session, LETTER)


async def row(database: Database, mail_id: str) -> MailRow:
    async with database.reading() as session:
        return (await session.scalars(select(MailRow).where(MailRow.id == mail_id))).one()


async def test_a_mail_as_it_arrives(database: Database, outbox: Mail, mailbox: Mailbox) -> None:
    mail_id = await put(database, outbox)
    waiting = await row(database, mail_id)
    assert "s3cret" not in waiting.sealed
    assert "ada@example.com" not in repr(vars(waiting))
    await outbox.send(mail_id)
    (envelope,) = mailbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("hello@example.org", ["ada@example.com"])
    message = message_from_bytes(envelope.content or b"", policy=policy.default)  # type: ignore[arg-type]
    assert message["subject"] == "Choose a new password"
    assert message["from"] == "SquareMCP <hello@example.org>"
    assert message["message-id"] == f"<{mail_id}@example.org>"
    assert message["auto-submitted"] == "auto-generated"
    text, page = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))  # type: ignore[attr-defined]
    assert "Hello <b>Ada</b> & all," in text
    assert "https://h.example/reset?token=s3cret" in text.split()
    assert "Hello &lt;b&gt;Ada&lt;/b&gt; &amp; all," in page
    assert 'href="https://h.example/reset?token=s3cret"' in page
    sent = await row(database, mail_id)
    assert (sent.state, sent.sealed) == (MailState.SENT, "")


async def test_what_is_rolled_back_is_not_sent(database: Database, outbox: Mail) -> None:
    async def cause() -> None:
        async with database.session() as session:
            outbox.write(session, LETTER)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await cause()
    async with database.reading() as session:
        assert list(await session.scalars(select(MailRow))) == []


async def test_two_who_send_at_once_send_one(database: Database, outbox: Mail, mailbox: Mailbox) -> None:
    mail_id = await put(database, outbox)
    await asyncio.gather(*(outbox.send(mail_id) for _ in range(5)))
    await outbox.send(mail_id)
    assert len(mailbox.envelopes) == 1


async def test_a_lost_job_is_found(database: Database, outbox: Mail) -> None:
    mail_id = await put(database, outbox)
    await outbox.sweep()
    assert outbox._jobs.queued == [(SEND_JOB, mail_id)]  # type: ignore[attr-defined]
    await outbox.send(mail_id)
    await outbox.sweep()
    assert len(outbox._jobs.queued) == 1  # type: ignore[attr-defined]


async def test_tries_come_later_and_later_and_end_after_a_day(
    database: Database, outbox: Mail, mailbox: Mailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    mail_id = await put(database, outbox)
    clock: Any = outbox._now
    mailbox.replies = ["451 come back later"] * 100
    pauses = []
    while (waiting := await row(database, mail_id)).state == MailState.WAITING:
        clock.now = waiting.next_try_at
        await outbox.send(mail_id)
        after = await row(database, mail_id)
        pauses.append((after.next_try_at - clock.now).total_seconds())
    assert pauses[:5] == [30, 60, 120, 240, 480]
    assert max(pauses[:-1]) == 7200
    given_up = await row(database, mail_id)
    assert (given_up.state, given_up.sealed, mailbox.envelopes) == (MailState.GIVEN_UP, "", [])
    assert timedelta(days=1) <= clock.now - given_up.created_at < timedelta(days=1, hours=2)
    logged = capsys.readouterr().out
    assert "mail_given_up" in logged
    assert "s3cret" not in logged
    assert "ada@example.com" not in logged


async def test_a_mail_that_is_refused_for_good_is_given_up_at_once(
    database: Database, outbox: Mail, mailbox: Mailbox
) -> None:
    mailbox.replies = ["554 no"]
    mail_id = await put(database, outbox)
    await outbox.send(mail_id)
    assert (await row(database, mail_id)).state == MailState.GIVEN_UP


async def test_a_process_that_died_while_sending_leaves_the_mail_to_another(
    database: Database, outbox: Mail, mailbox: Mailbox
) -> None:
    mail_id = await put(database, outbox)
    assert await outbox._claim(mail_id) is not None  # and then it was killed
    await outbox.send(mail_id)
    assert mailbox.envelopes == []
    clock: Any = outbox._now
    clock.now += timedelta(minutes=5)
    await outbox.send(mail_id)
    assert len(mailbox.envelopes) == 1


async def test_old_rows_are_deleted(database: Database, outbox: Mail) -> None:
    sent, waiting = await put(database, outbox), await put(database, outbox)
    await outbox.send(sent)
    clock: Any = outbox._now
    clock.now += timedelta(days=31)
    await outbox.purge()
    async with database.reading() as session:
        assert list(await session.scalars(select(MailRow.id))) == [waiting]


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # aiosmtpd means STARTTLS
@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_over_tls_with_a_password(mailbox: Mailbox, tmp_path: Path, security: str) -> None:
    authority = Authority.make()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), authority.trusting()
    server.load_cert_chain(*authority.issue(tmp_path, "localhost"))
    given: list[tuple[bytes, bytes]] = []

    def log_in(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        given.append((data.login, data.password))
        return AuthResult(success=True)

    options: dict[str, Any] = {"authenticator": log_in, "auth_required": True}
    if security == "starttls":
        options |= {"tls_context": server, "require_starttls": True}
    else:
        options |= {"tls": server, "auth_require_tls": False}
    async with serving(mailbox, **options) as port:
        wanted = settings(port, SMTP_SECURITY=security, SMTP_USERNAME="hermes", SMTP_PASSWORD="pass word")
        message = compose(LETTER, sender=wanted.smtp_from, mail_id="m", written_at=datetime.now(UTC))
        await SmtpPost(wanted, "localhost", client).send("m", message)
        assert given == [(b"hermes", b"pass word")]
        with pytest.raises(Exception, match=r"(?i)certificate"):
            await SmtpPost(wanted, "localhost").send("m", message)  # nobody vouches for this server
    assert len(mailbox.envelopes) == 1


async def test_without_a_server_the_embedded_default_writes_files(
    database: Database, keyring: Keyring, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    post = post_of(load_settings({"DATA_DIR": str(tmp_path / "data")}, env_file=None))
    assert isinstance(post, FolderPost)
    outbox = Mail(database, keyring, Queue(), post)
    mail_id = await put(database, outbox)
    await outbox.send(mail_id)
    file = tmp_path / "data" / "mail" / f"{mail_id}.eml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "s3cret" in file.read_text()
    assert str(file) in capsys.readouterr().out


async def test_with_servers_of_its_own_and_no_mail_server_it_says_so(database: Database, keyring: Keyring) -> None:
    given = {"DATABASE_URL": "mysql+asyncmy://u:p@db/h", "REDIS_URL": "redis://redis"}
    outbox = Mail(database, keyring, Queue(), post_of(load_settings(given, env_file=None)))
    assert not outbox.is_set_up
    with pytest.raises(Conflict, match="Mail is not set up"):
        outbox.require()
    await outbox.send(await put(database, outbox))
    async with database.reading() as session:
        assert list(await session.scalars(select(MailRow))) == []


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"SMTP_FROM": "a@example.com", "SMTP_HOST": "smtp.example.com", "SMTP_SECURITY": "none"}, "SMTP_SECURITY"),
        ({"SMTP_HOST": "smtp.example.com"}, "SMTP_FROM"),
        ({"SMTP_HOST": "smtp.example.com", "SMTP_FROM": "nobody"}, "SMTP_FROM"),
        ({"OIDC_ISSUER": "http://example.com", "OIDC_CLIENT_ID": "x"}, "OIDC_ISSUER"),
        ({"OIDC_ISSUER": "https://example.com"}, "OIDC_CLIENT_ID"),
    ],
)
def test_settings_that_do_not_fit_stop_the_start(given: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load_settings(given, env_file=None)
