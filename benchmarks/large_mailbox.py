"""What searching a large mailbox and reading a large mail cost: `python -m benchmarks.large_mailbox [--mails 20000]`.

The email tools run as in a call, over TLS, against a real Dovecot (Debian: dovecot-imapd), which the tests start in the
same way. Attachments are kept by the real media store, encrypted. The server's own time is shown apart: the processor
time of this process is what hermes adds, and the wall's time holds both.

Exit status 1: a search took this process more than a second, or the large mail more than 100 MB of memory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from harness.tls import Authority
from hermes.crypto import Keyring
from hermes.media.places import FolderPlace
from hermes.media.store import MediaStore
from hermes.net.guarded import GuardedClient
from hermes.net.upstream import Upstream
from hermes.platforms.base import ApiContext
from hermes.platforms.context import ToolContext
from hermes.platforms.email import email
from hermes.platforms.email.api import Opener
from hermes.platforms.email.credentials import EmailCredentials
from hermes.platforms.email.discovery import Discovery
from hermes.platforms.email.network import Network, tcp_connect
from hermes.platforms.ports import Ports
from hermes.settings import Settings
from hermes.storage.migrate import migrate
from hermes.storage.sql import Database
from platforms.email.servers import IMAP_HOST, PASSWORD, SMTP_HOST, Dovecot, running_dovecot

MEGABYTE = 1024 * 1024
LARGE = 20 * MEGABYTE
MOST_SECONDS = 1.0
MOST_MEMORY = 100 * 1000 * 1000
USER = "bench"
SEARCHES: dict[str, dict[str, Any]] = {
    "everything, newest 50": {},
    "subject, 4 hits": {"subject": "needle"},
    "sender, 1 in 50": {"sender": "s7@example.com"},
    "text of the mail": {"query": "Body 1234"},
    "since a date, unread": {"since": "2026-01-01", "unread": True},
    "not ASCII": {"subject": "Übersicht"},
}


@dataclass
class Tools:
    """The email tools on one mailbox of the bench's server."""

    port: int
    authority: Authority
    media: MediaStore
    upstream: Upstream = field(default_factory=Upstream)
    opener: Opener = field(init=False)

    def __post_init__(self) -> None:
        network = Network(resolve=self._resolve, connect=self._connect, tls=self.authority.trusting())
        self.opener = Opener(network, Discovery(network))

    async def _resolve(self, _host: str, _port: int) -> list[str]:
        return ["8.8.8.8"]

    async def _connect(self, _address: str, _port: int) -> Any:
        return await tcp_connect("127.0.0.1", self.port)

    async def run(self, name: str, **given: Any) -> Any:
        tool = email.tools[name]
        context = ApiContext(
            customer_id="cus_1",
            account="default",
            http=self.upstream.bind("Email", write=False, deadline=asyncio.get_running_loop().time() + 300),
            base_url="",
            settings=Settings(),
            ports=Ports(None, None, self.media),  # type: ignore[arg-type]  # email uses media only
        )
        account = {
            "address": f"{USER}@mail.example", "username": USER, "password": PASSWORD,
            "imap_host": IMAP_HOST, "smtp_host": SMTP_HOST,
        }  # fmt: skip
        api = self.opener(context, EmailCredentials.model_validate(account))
        return await tool.run(api, tool.validate(given), ToolContext("call_1", None))

    async def close(self) -> None:
        await self.opener.pool.close()
        await self.upstream.close()
        self.media.close()


@asynccontextmanager
async def tools(server: Dovecot, authority: Authority, folder: Path) -> AsyncIterator[Tools]:
    database = Database(f"sqlite+aiosqlite:///{folder / 'hermes.db'}")
    await migrate(database)
    media = MediaStore(database, Keyring(b"k" * 32), GuardedClient(), FolderPlace(folder / "media"))
    opened = Tools(server.port, authority, media)
    yield opened
    await opened.close()
    await database.close()


def small_mail(at: int) -> bytes:
    subject = "Rare needle" if at % 5000 == 7 else "=?utf-8?q?=C3=9Cbersicht?=" if at % 500 == 3 else f"Number {at}"
    return (
        f"From: Sender {at % 50} <s{at % 50}@example.com>\r\nTo: me@mail.example\r\nSubject: {subject}\r\n"
        f"Date: Fri, 20 Nov 2026 10:00:00 +0100\r\nMessage-ID: <{at}@example.com>\r\n\r\nBody {at}\r\n"
    ).encode()


def large_mails() -> tuple[bytes, bytes]:
    """Two mails of a little more than 20 MB: one attachment, and one text."""
    attached = EmailMessage()
    attached["From"], attached["To"], attached["Subject"] = "Ada <ada@example.com>", "me@mail.example", "Attached"
    attached.set_content("small text")
    attached.add_attachment(os.urandom(LARGE * 3 // 4), maintype="application", subtype="zip", filename="a.zip")
    text = small_mail(1).replace(b"Number 1", b"Long") + (b"0123456789" * 7 + b"\r\n") * (LARGE // 72 + 1)
    return attached.as_bytes(), text


async def measure_memory(opened: Tools) -> int:
    """Print what each large mail takes; returns the most, in bytes."""
    found = {one["subject"]: one for one in (await opened.run("search_messages"))["messages"]}
    await opened.run("read_message", id=found["Number 5"]["id"])
    await opened.media.take("cus_1", one_piece(b"x" * MEGABYTE), filename="a", content_type="")
    most = 0
    print(f"\n{'reading a mail with':28}{'MB':>8}{'ms':>8}{'extra MB':>10}")
    for subject, what in (("Attached", "an attachment, fetched"), ("Long", "a text")):
        before, began = peak(), time.perf_counter()
        given: dict[str, Any] = {"attachments": ["2"]} if subject == "Attached" else {}
        await opened.run("read_message", id=found[subject]["id"], **given)
        extra, wall = peak() - before, (time.perf_counter() - began) * 1000
        most = max(most, extra)
        print(f"{what:28}{found[subject]['size'] / 1e6:8.1f}{wall:8.0f}{extra / 1e6:10.1f}")
    return most


async def measure_searches(opened: Tools, rounds: int) -> float:
    """Print what each search takes; returns the most that one took of this process, in seconds."""
    most = 0.0
    print(f"\n{'search':28}{'hits':>8}{'wall ms':>9}{'own ms':>9}{'own most':>10}")
    for what, given in SEARCHES.items():
        walls, own, total = [], [], 0
        for _ in range(rounds):
            began, used = time.perf_counter(), time.process_time()
            total = (await opened.run("search_messages", limit=50, **given))["total"]
            own.append((time.process_time() - used) * 1000)
            walls.append((time.perf_counter() - began) * 1000)
        most = max(most, *own)
        print(f"{what:28}{total:8}{statistics.median(walls):9.0f}{statistics.median(own):9.0f}{max(own):10.0f}")
    return most / 1000


async def one_piece(content: bytes) -> AsyncIterator[bytes]:
    yield content


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def deliver(server: Dovecot) -> None:
    server.put(USER, *(small_mail(at) for at in range(10)), *large_mails())


async def measure(server: Dovecot, authority: Authority, folder: Path, options: argparse.Namespace) -> bool:
    # In a process of its own: what making them takes is not to be counted.
    with ProcessPoolExecutor(1) as other:
        other.submit(deliver, server).result()
    async with tools(server, authority, folder) as opened:
        memory = await measure_memory(opened)
        server.put(USER, *(small_mail(at) for at in range(10, options.mails)))
        began = time.perf_counter()
        await opened.run("search_messages", subject="Number", limit=1)
        print(f"\nthe server reads {options.mails:,} new mails in {time.perf_counter() - began:.1f} s, once")
        seconds = await measure_searches(opened, options.rounds)
    print(f"\nat most {seconds * 1000:.0f} ms of this process for a search, {memory / 1e6:.1f} MB for a large mail")
    return seconds < MOST_SECONDS and memory < MOST_MEMORY


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mails", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=10, help="of each search")
    options = parser.parse_args()
    authority = Authority.make()

    with tempfile.TemporaryDirectory(prefix="hermes-bench-") as name:
        folder = Path(name)
        with running_dovecot(*authority.issue(folder, IMAP_HOST, SMTP_HOST)) as server:
            return 0 if asyncio.run(measure(server, authority, folder, options)) else 1


if __name__ == "__main__":
    sys.exit(main())
