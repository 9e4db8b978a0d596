"""Large mailboxes and large messages: fast, and in bounded memory."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

Bench = Any

COUNT = 20_000


def plain(at: int) -> bytes:
    subject = "Rare needle" if at % 5000 == 7 else f"Number {at}"
    return (
        f"From: Sender {at % 50} <s{at % 50}@example.com>\r\nTo: me@mail.example\r\nSubject: {subject}\r\n"
        f"Date: Fri, 20 Nov 2026 10:00:00 +0100\r\nMessage-ID: <{at}@example.com>\r\n\r\nBody {at}\r\n"
    ).encode()


@pytest.mark.timeout(600)
async def test_a_mailbox_of_20000_messages(mail: Bench, user: str, make_account: Any, dovecot: Any) -> None:
    dovecot.put(user, *(plain(at) for at in range(COUNT)))
    account = make_account(user)
    # The server reads a new mailbox once; that is its time, not ours.
    await mail.run(account, "search_messages", subject="Number", limit=1, seconds=120)
    for given, total in (({}, COUNT), ({"subject": "needle"}, 4), ({"sender": "s7@example.com"}, COUNT // 50)):
        cpu = time.process_time()
        found = await mail.run(account, "search_messages", limit=50, seconds=100, **given)
        assert found["total"] == total
        assert len(found["messages"]) == min(50, total)
        assert time.process_time() - cpu < 1
    listed = await mail.run(account, "list_folders", counts=True, seconds=100)
    assert next(item for item in listed["folders"] if item["name"] == "INBOX")["messages"] == COUNT
    scanned = await mail.run(account, "search_messages", has_attachment=True, seconds=100)
    assert (scanned["messages"], scanned["partial"]) == ([], True)
    assert "next_cursor" in scanned


class Sink:
    """Media that counts what it gets."""

    size = 0
    largest = 0

    async def keep(self, customer_id: str, content: AsyncIterator[bytes], *, filename: str, content_type: str) -> str:
        async for piece in content:
            self.size += len(piece)
            self.largest = max(self.largest, len(piece))
        return "media_1"


async def test_a_large_message_takes_little_memory(
    mail: Bench, user: str, make_account: Any, make_letter: Any, dovecot: Any
) -> None:
    content = os.urandom(15 * 1024 * 1024)
    message = make_letter("Large", "small text")
    message.add_attachment(content, maintype="application", subtype="zip", filename="a.zip")
    text = make_letter("Long", "0123456789" * 8 + "\n")
    raw = text.as_bytes() + (b"0123456789" * 7 + b"\n") * 290_000
    dovecot.put(user, message.as_bytes(), raw)
    del message
    account = make_account(user)
    mail.media = sink = Sink()
    long, large = (await mail.run(account, "search_messages"))["messages"]
    assert min(long["size"], large["size"]) > 20_000_000
    tracemalloc.start()
    read = await mail.run(account, "read_message", id=large["id"], attachments=["2"])
    cut = await mail.run(account, "read_message", id=long["id"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read["attachments"][0]["media"] == "media_1"
    assert (sink.size, sink.largest < 1024 * 1024) == (len(content), True)
    assert cut["truncated"] is True
    assert peak < 20 * 1024 * 1024
