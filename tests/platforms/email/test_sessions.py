"""Kept sessions: reused, bounded, closed, never another customer's; and servers that do not behave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hermes.errors import HermesError, NeedsReconnect, OutcomeUnknown, PlatformUnavailable, RateLimited
from hermes.platforms.email.pool import PER_ACCOUNT, Pool, cut

Bench = Any


async def test_a_session_is_used_again(mail: Bench, user: str, make_account: Any) -> None:
    for _ in range(3):
        await mail.run(make_account(user), "list_folders")
    assert mail.dialled == [("8.8.8.8", 993)]


async def test_no_session_is_shared_between_customers_or_passwords(mail: Bench, user: str, make_account: Any) -> None:
    await mail.run(make_account(user), "list_folders")
    await mail.run(make_account(user), "list_folders", customer="cus_2")
    assert len(mail.dialled) == 2
    assert mail.opener.pool.sessions_of("cus_1") == mail.opener.pool.sessions_of("cus_2") == 1
    assert isinstance(await mail.refused(make_account(user, password="guessed"), "list_folders"), NeedsReconnect)


async def test_sessions_of_an_account_are_bounded(mail: Bench, user: str, make_account: Any) -> None:
    results = await asyncio.gather(*(mail.run(make_account(user), "list_folders") for _ in range(12)))
    assert len(results) == 12
    assert len(mail.dialled) <= PER_ACCOUNT
    assert mail.opener.pool.open_sessions <= PER_ACCOUNT


async def test_sessions_of_a_customer_and_of_all_are_bounded(mail: Bench, user: str, make_account: Any) -> None:
    assert mail.opener.pool.open_sessions == 0
    mail.opener._pool = Pool(per_customer=2, in_all=3)
    for customer in ("cus_1", "cus_2"):
        await asyncio.gather(
            *(mail.run(make_account(f"{user}{at}"), "list_folders", customer=customer) for at in range(5))
        )
        assert mail.opener.pool.sessions_of(customer) <= 2
    assert mail.opener.pool.open_sessions <= 3


async def test_idle_sessions_are_closed(mail: Bench, user: str, make_account: Any) -> None:
    assert mail.opener.pool.open_sessions == 0
    mail.opener._pool = pool = Pool(idle_seconds=0.02)
    await mail.run(make_account(user), "list_folders")
    async with asyncio.timeout(5):
        while pool.open_sessions:  # noqa: ASYNC110  (a pool that tells nobody: nobody but this test waits for it)
            await asyncio.sleep(0.01)


async def test_a_kept_session_that_died_is_replaced(mail: Bench, user: str, make_account: Any) -> None:
    await mail.run(make_account(user), "list_folders")
    for sessions in mail.opener.pool._idle.values():
        for session in sessions:
            cut(session.line)
    await mail.run(make_account(user), "list_folders")
    for sessions in mail.opener.pool._idle.values():
        for session in sessions:
            cut(session.line)
    await mail.run(make_account(user), "create_draft", subject="s", text="t")
    assert len(mail.dialled) == 3


@dataclass
class Script:
    """An IMAP server that says what a test wants. `None`: cut the connection."""

    answers: dict[str, Callable[[str, str], bytes | None]] = field(default_factory=dict)
    capabilities: str = "IMAP4rev1 AUTH=PLAIN"
    commands: list[str] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK ready\r\n")
        try:
            while line := (await reader.readline()).decode():
                tag, _, command = line.rstrip("\r\n").partition(" ")
                while command.endswith("+}"):
                    command = command.rpartition("{")[0] + (await reader.readline()).decode().rstrip("\r\n")
                self.commands.append(command)
                said = await self._answer(tag, command, reader, writer)
                if said is None:
                    break
                writer.write(said)
                await writer.drain()
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()

    async def _answer(
        self, tag: str, command: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        name = " ".join(command.split()[:2]) if command.upper().startswith("UID") else command.partition(" ")[0].upper()
        ready = f"{tag} OK done\r\n".encode()
        if name in self.answers:
            return self.answers[name](tag, command)
        if name == "CAPABILITY":
            return f"* CAPABILITY {self.capabilities}\r\n".encode() + ready
        if name == "AUTHENTICATE":
            writer.write(b"+ \r\n")
            await reader.readline()
            return ready
        if name in ("SELECT", "EXAMINE"):
            return b"* 3 EXISTS\r\n* FLAGS (\\Seen)\r\n* OK [UIDVALIDITY 7] ok\r\n" + ready
        if name == "LIST":
            return b'* LIST (\\Drafts) "/" Drafts\r\n' + ready
        if name == "APPEND":
            size = int(command.rpartition("{")[2].rstrip("}"))
            writer.write(b"+ go on\r\n")
            await reader.readexactly(size + 2)
            return self.answers["after APPEND"](tag, command) if "after APPEND" in self.answers else ready
        return ready


@pytest.fixture
async def script(wired: Bench, certificates: tuple[Path, Path]) -> AsyncIterator[Script]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates)
    script = Script()
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0, ssl=context)
    script.port = server.sockets[0].getsockname()[1]
    wired.ports["8.8.8.8", 993] = script.port
    yield script
    await wired.opener.pool.close()
    server.close()


def says(text: str) -> Callable[[str, str], bytes]:
    return lambda tag, _: text.replace("TAG", tag).encode()


@pytest.mark.parametrize(
    "answer",
    [
        says('* LIST () "/" {999999999}\r\n'),
        says("* BYE going down\r\n"),
        says("nonsense\r\n"),
        says('* LIST (((( "/" x\r\nTAG OK done\r\n'),
        says("* LIST () NIL\r\nTAG OK done\r\n"),
        says("* LIST " + "(" * 20_000 + "\r\nTAG OK done\r\n"),
        lambda *_: b"* LIST " + b"x" * 40_000_000,
        lambda *_: None,
    ],
)
async def test_a_server_that_misbehaves_is_unavailable(
    wired: Bench, script: Script, make_account: Any, answer: Callable[[str, str], bytes | None]
) -> None:
    script.answers["LIST"] = answer
    assert isinstance(await wired.refused(make_account("x"), "list_folders"), PlatformUnavailable)
    assert wired.opener.pool.open_sessions == 0


async def test_a_silent_server_holds_up_nobody_else(wired: Bench, make_account: Any) -> None:
    silent = await asyncio.start_server(lambda *_: asyncio.sleep(60), "127.0.0.1", 0)
    wired.ports["8.8.8.8", 993] = silent.sockets[0].getsockname()[1]
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    began = asyncio.get_running_loop().time()
    with pytest.raises(PlatformUnavailable):
        await wired.run(make_account("x"), "list_folders", seconds=0.5)
    assert asyncio.get_running_loop().time() - began < 2
    assert ticks > 10
    assert wired.opener.pool.open_sessions == 0
    ticking.cancel()
    silent.close()


@pytest.mark.parametrize(
    ("answers", "kind", "sure"),
    [
        ({"APPEND": lambda *_: None}, PlatformUnavailable, True),
        ({"APPEND": says("TAG NO [OVERQUOTA] full\r\n")}, HermesError, True),
        ({"after APPEND": lambda *_: None}, OutcomeUnknown, False),
        ({"after APPEND": says("* BYE sorry\r\n")}, OutcomeUnknown, False),
        ({"after APPEND": says("TAG NO [LIMIT] no\r\n")}, RateLimited, True),
    ],
)
async def test_what_became_of_a_draft(
    wired: Bench, script: Script, make_account: Any, answers: dict[str, Any], kind: type[HermesError], sure: bool
) -> None:
    script.answers |= answers
    error = await wired.refused(make_account("x"), "create_draft", subject="s", text="t")
    assert isinstance(error, kind)
    assert error.nothing_sent is sure


async def test_gmail_is_asked_in_its_own_words(wired: Bench, script: Script, make_account: Any) -> None:
    script.capabilities = "IMAP4rev1 AUTH=PLAIN X-GM-EXT-1"
    script.answers["UID SEARCH"] = says("* SEARCH\r\nTAG OK done\r\n")
    await wired.run(make_account("x"), "search_messages", query='from:ada "older"', has_attachment=True)
    assert script.commands[-1] == 'UID SEARCH X-GM-RAW "from:ada \\"older\\" has:attachment"'
    await wired.run(make_account("x"), "search_messages", thread_id="1234567890")
    assert script.commands[-1] == "UID SEARCH X-GM-THRID 1234567890"


async def test_a_server_without_unicode_is_asked_for_the_rest(wired: Bench, script: Script, make_account: Any) -> None:
    header = "From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\r\nSubject: {}\r\n\r\n"
    fetched = "".join(
        f"* {at} FETCH (UID {at} FLAGS () RFC822.SIZE 9 BODY[HEADER.FIELDS (X)] {{{len(text)}}}\r\n{text})\r\n"
        for at, text in ((1, header.format("one")), (2, header.format("two").replace("J=C3=BC", "G=C3=BC")))
    )

    def search(tag: str, command: str) -> bytes:
        if "CHARSET" in command:
            return f"{tag} NO [BADCHARSET (US-ASCII)] no\r\n".encode()
        return f"* SEARCH 1 2\r\n{tag} OK done\r\n".encode()

    script.capabilities = "IMAP4rev1 AUTH=PLAIN LITERAL+"
    script.answers["UID SEARCH"] = search
    script.answers["UID FETCH"] = lambda tag, _: f"{fetched}{tag} OK done\r\n".encode()
    found = await wired.run(make_account("x"), "search_messages", sender="Jürgen", unread=True)
    assert [item["subject"] for item in found["messages"]] == ["one"]
    assert found["partial"] is True
    assert script.commands[-2] == "UID SEARCH UNSEEN"
