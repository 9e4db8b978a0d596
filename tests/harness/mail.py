"""What can go wrong with an account that is a mailbox: the counterparts of a vendor's failures over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from harness.arguments import account_on
from harness.bench import Bench, Subject
from harness.cases import case, check_refusal, check_success
from hermes.errors import HermesError, NeedsReconnect, OutcomeUnknown, PlatformUnavailable, RateLimited
from hermes.platforms.base import ApiContext, Effect, Tool
from hermes.platforms.email.api import EmailApi, Opener
from hermes.platforms.email.stand_in import SandboxNetwork
from hermes.sandbox.hostile import HOSTILE_TEXT

UNCLEAR = (PlatformUnavailable, OutcomeUnknown)


def no_mailbox(tool: Tool) -> str | None:
    """Only where accounts are mailboxes."""
    return None if tool.platform == "email" else "its accounts are not mailboxes"


async def _word(bench: Bench, tool: Tool, word: str, *kinds: type[HermesError]) -> Subject:
    """Run the example with a password of which the stand-in makes something special."""
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    await subject.link(word)
    error = await subject.refused(arguments)
    await check_refusal(subject, error, *kinds)
    assert subject.published() == 0
    return subject


@case(no_mailbox)
async def mail_login_expired(bench: Bench, tool: Tool) -> None:
    """The server refuses the login: the account needs to be linked again, and is not tried until then."""
    subject = await _word(bench, tool, "expired", NeedsReconnect)
    again = await subject.refused(await (await bench.subject(tool)).prepare())
    await check_refusal(subject, again, NeedsReconnect)
    assert again.nothing_sent


@case(no_mailbox)
async def mail_login_revoked(bench: Bench, tool: Tool) -> None:
    """The provider has revoked the password."""
    await _word(bench, tool, "revoked", NeedsReconnect)


@case(no_mailbox)
async def mail_too_many_connections(bench: Bench, tool: Tool) -> None:
    """The server takes no more connections from this account."""
    await _word(bench, tool, "limited", RateLimited, PlatformUnavailable)


@case(no_mailbox)
async def mail_server_unavailable(bench: Bench, tool: Tool) -> None:
    """The server answers that it is not available: nothing was done."""
    await _word(bench, tool, "broken", PlatformUnavailable)


class _FaultyNetwork(SandboxNetwork):
    """Every connection goes to one port of this machine, whatever server is meant."""

    def __init__(self, origin: str, port: int) -> None:
        super().__init__(origin)
        self._ports = dict.fromkeys(("993", "465", "587"), port)

    async def _ask(self) -> None:
        """There is nothing to ask for: the port stays what it is."""


class _Openers:
    """The usual way to open a mailbox, and another one for customers whose servers are something else."""

    def __init__(self, usual: Any) -> None:
        self._usual = usual
        self.faulty: dict[str, int] = {}

    def __call__(self, context: ApiContext, credentials: Any) -> EmailApi:
        port = self.faulty.get(context.customer_id)
        if port is None:
            opened: EmailApi = self._usual(context, credentials)
            return opened
        return Opener(_FaultyNetwork(context.settings.environ["SANDBOX_ORIGIN"], port))(context, credentials)


async def _faulty(bench: Bench, tool: Tool, port: int, *kinds: type[HermesError]) -> None:
    """Run the example of an account whose servers are something else at this port."""
    subject = await bench.subject(tool)
    arguments = await subject.prepare()
    platform = bench.catalog.platforms["email"]
    if not isinstance(platform.open, _Openers):
        platform.open = _Openers(platform.open)
    platform.open.faulty[subject.caller.customer_id] = port
    error = await subject.refused(arguments)
    await check_refusal(subject, error, *kinds)
    assert tool.effect is not Effect.READ or isinstance(error, PlatformUnavailable)
    assert subject.published() == 0


@asynccontextmanager
async def _server(talk: Any) -> AsyncIterator[int]:
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


@case(no_mailbox)
async def mail_unreachable(bench: Bench, tool: Tool) -> None:
    """Nothing listens where the servers were: nothing was sent."""
    async with _server(_silence) as port:
        pass
    await _faulty(bench, tool, port, PlatformUnavailable)


@case(no_mailbox)
async def mail_cut(bench: Bench, tool: Tool) -> None:
    """The servers close every connection."""

    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with _server(close) as port:
        await _faulty(bench, tool, port, *UNCLEAR)


@case(no_mailbox)
async def mail_malformed(bench: Bench, tool: Tool) -> None:
    """The servers say what no mail server says."""

    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n\xff\x00" * 200)
        await writer.drain()
        writer.close()

    async with _server(babble) as port:
        await _faulty(bench, tool, port, *UNCLEAR)


async def _silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@case(no_mailbox)
async def mail_silent(bench: Bench, tool: Tool) -> None:
    """The servers take connections and never say a word."""
    async with _server(_silence) as port:
        await _faulty(bench, tool, port, *UNCLEAR)


@case(no_mailbox)
async def mail_hostile(bench: Bench, tool: Tool) -> None:
    """A stranger's mail tries to mislead whoever reads it: nothing hidden comes through."""
    subject = await bench.subject(tool)
    await subject.prepare()
    credentials, _ = account_on(bench.catalog.platforms["email"], subject.number)
    service = bench.sandbox.services["email"]
    write = next(action for action in service.actions if action.id == "message")
    one_line = "".join(letter for letter in HOSTILE_TEXT if letter >= " " and letter != '"')
    await write.run(
        {
            "token": credentials["address"],
            "text": HOSTILE_TEXT,
            "subject": f"Welcome {one_line}",
            "sender": "Mallory <m@example.com>",
        }
    )
    await check_success(subject, await subject.call(await subject.prepare()))
