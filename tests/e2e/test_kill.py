"""Killed at any moment under load: no acknowledged write is lost, and nothing is done, audited or counted twice.

HERMES_KILLS says how often (3 by default, 20 in `make soak`).
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest

KILLS = int(os.environ.get("HERMES_KILLS", "3"))
IN_FLIGHT = 16
PLANS = ["enterprise"] * 5 + ["growth"]
VAULT, NOTE = "notes", "Log.md"
NOTHING_SENT = {"internal", "rate_limited", "quota_exceeded"}
"""Errors that promise that nothing was done."""


@dataclass
class Attempt:
    """One thing that a client wanted done once, and what it was answered each time it asked for it."""

    customer: Any
    text: str
    tool: str
    rest: bool
    key: str | None
    answers: list[Any] = field(default_factory=list)
    """None where the connection broke without an answer."""

    async def run(self) -> None:
        try:
            if self.tool == "telegram_send_message":
                answer = await self.customer.send(self.text, self.key, rest=self.rest)
            else:
                arguments = {"path": NOTE, "content": self.text + "\n", "create": True}
                answer = await self.customer.over_mcp(self.tool, arguments, self.key)
        except (aiohttp.ClientError, TimeoutError):
            answer = None
        self.answers.append(answer)

    @property
    def codes(self) -> set[str | None]:
        return {answer.code if answer is not None else None for answer in self.answers}

    @property
    def acknowledged(self) -> bool:
        return "success" in self.codes


class Load:
    """Clients of several customers that go on calling whatever happens to the server."""

    def __init__(self, operator: Any, sandbox: Any, seed: int) -> None:
        self.operator = operator
        self.customers: list[Any] = []
        self.attempts: list[Attempt] = []
        self.made: list[Any] = []
        self.seen: Counter[str] = Counter()
        """Text → how often the platform was sent it."""
        self.up = asyncio.Event()
        self._sandbox = sandbox
        self._messages: set[tuple[str, str, str]] = set()
        self._random = random.Random(seed)  # noqa: S311  (which call comes next is no secret)
        self._stop = False

    async def furnish(self) -> None:
        """Make the customers and link their accounts."""
        for number, plan in enumerate(PLANS):
            customer = await self.operator.new_customer(f"load-{number}", plan)
            await customer.connect("telegram", bot_token=f"{1000 + number}:{'L' * 30}")
            await customer.connect("obsidian", vault=VAULT)
            self.customers.append(customer)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Call until the block ends; then every call that is under way gets its answer."""
        self.up.set()
        tasks = [asyncio.create_task(self._call()) for _ in range(IN_FLIGHT)]
        tasks.append(asyncio.create_task(self._make_customers()))
        try:
            yield
        finally:
            self._stop = True
            self.up.set()
            await asyncio.gather(*tasks)

    async def until_called(self, calls: int, until: Any) -> None:
        """Wait until this many more calls have succeeded."""
        done = sum(attempt.acknowledged for attempt in self.attempts) + calls
        await until(lambda: sum(a.acknowledged for a in self.attempts) >= done, 40, f"{calls} more calls succeed")

    async def look(self) -> None:
        """Take what the platform was sent since the last look."""
        for message in await self._sandbox.sent(self.operator.http):
            identity = (message["account"], message["peer"], message["id"])
            if identity not in self._messages:
                self._messages.add(identity)
                self.seen[message["text"]] += 1

    async def _call(self) -> None:
        while not self._stop:
            await self.up.wait()
            await self._choose().run()

    def _choose(self) -> Attempt:
        chance = self._random.random()
        if chance < 0.15 and self.attempts:
            again = self._random.choice(self.attempts[-200:])
            if again.key is not None:
                return again
        number = len(self.attempts)
        attempt = Attempt(
            customer=self._random.choice(self.customers),
            text=f"text {number} {self._random.getrandbits(64):x}",
            tool="obsidian_append_to_note" if chance > 0.85 else "telegram_send_message",
            rest=self._random.random() < 0.5,
            key=f"key-{number}" if self._random.random() < 0.4 else None,
        )
        self.attempts.append(attempt)
        return attempt

    async def _make_customers(self) -> None:
        number = 0
        while not self._stop:
            await self.up.wait()
            number += 1
            try:
                customer = await self.operator.new_customer(f"made-{number}")
                await customer.connect("telegram", bot_token=f"{9000 + number}:{'M' * 30}")
            except (aiohttp.ClientError, TimeoutError, AssertionError):
                continue
            self.made.append(customer)
            await asyncio.sleep(0)


class Books:
    """What is on record once everything has come to rest."""

    def __init__(self, load: Load, data_dir: Path) -> None:
        self._load = load
        self._data_dir = data_dir
        self.lines: dict[str, dict[str, Any]] = {}
        """Call id → its audit line, of all customers."""
        self.texts: dict[str, list[dict[str, Any]]] = {}
        """SHA-256 of the text → the lines of the calls that had it."""

    async def check(self) -> None:
        await self._load.look()
        for customer in self._load.customers:
            await self._read(customer)
        for customer in self._load.customers:
            await self._check_usage(customer)
        self._check_rows()
        for attempt in self._load.attempts:
            self._check_attempt(attempt, self._times_done(attempt))
        for customer in self._load.made:
            assert (await customer.get("/api/connections"))["connections"]["telegram"] is True

    async def _read(self, customer: Any) -> None:
        for line in await customer.trail():
            assert line["id"] not in self.lines, f"two lines of one call: {line}"
            self.lines[line["id"]] = line | {"customer": customer.customer_id}
            text = line["arguments"].get("text") or line["arguments"].get("content")
            if text is not None:
                self.texts.setdefault(text["sha256"], []).append(line)

    async def _check_usage(self, customer: Any) -> None:
        succeeded = sum(line["customer"] == customer.customer_id and _charged(line) for line in self.lines.values())
        usage = await customer.get("/api/usage")
        assert usage["used"] == succeeded == sum(usage["by_tool"].values())
        if usage["limit"] is not None:
            assert usage["limit"] - usage["remaining"] == succeeded
        key = f"quota:{customer.customer_id}:{usage['month']}"
        with closing(self._load.operator.hermes.redis()) as redis:
            assert int(redis.get(key) or 0) == succeeded

    def _check_rows(self) -> None:
        with closing(sqlite3.connect(self._data_dir / "hermes.db")) as database:
            rows = Counter(database.execute("SELECT call_id, customer_id FROM usage").fetchall())
        assert set(rows) == {(id_, line["customer"]) for id_, line in self.lines.items() if _charged(line)}
        assert set(rows.values()) <= {1}

    def _times_done(self, attempt: Attempt) -> int:
        if attempt.tool == "telegram_send_message":
            return self._load.seen[attempt.text]
        note = self._data_dir / "vaults" / attempt.customer.customer_id / VAULT / NOTE
        return Counter(note.read_text().splitlines())[attempt.text] if note.exists() else 0

    def _check_attempt(self, attempt: Attempt, done: int) -> None:
        content = attempt.text + ("\n" if attempt.tool == "obsidian_append_to_note" else "")
        lines = self.texts.get(sha256(content.encode()).hexdigest(), [])
        outcomes = Counter(line["outcome"] for line in lines)
        assert done <= 1, f"done {done} times: {attempt}"
        assert outcomes["success"] <= 1
        if attempt.acknowledged:
            assert done == 1, f"acknowledged and lost: {attempt}"
            ids = {answer.call_id for answer in attempt.answers if answer is not None and answer.code == "success"}
            assert len(ids) == 1
            assert self.lines[ids.pop()]["outcome"] == "success"
        if done:
            assert outcomes["success"] + outcomes["outcome_unknown"] >= 1, f"done and not on record: {attempt}"
        if attempt.codes <= NOTHING_SENT:
            assert done == 0, f"said not to be sent: {attempt}"
        for answer in attempt.answers:
            if answer is not None and answer.code == "outcome_unknown" and answer.call_id in self.lines:
                assert self.lines[answer.call_id]["outcome"] in ("outcome_unknown", "denied")


def _charged(line: dict[str, Any]) -> bool:
    return line["outcome"] == "success" and "." not in line["tool"]


def _pending(hermes: Any) -> list[str]:
    with closing(hermes.redis()) as redis:
        return list(redis.scan_iter("pending:*"))


@pytest.fixture
def seed() -> int:
    """Another one in each run; a failure shows it."""
    return random.SystemRandom().getrandbits(32)


def _figures(load: Load, books: Books) -> str:
    answers = Counter(answer.code if answer else "none" for attempt in load.attempts for answer in attempt.answers)
    outcomes = Counter(line["outcome"] for line in books.lines.values())
    return (
        f"{KILLS} kills, {len(load.attempts)} different calls, {load.seen.total()} messages sent; "
        f"answers: {dict(answers)}; on record: {dict(outcomes)}"
    )


@pytest.mark.timeout(120 + 30 * KILLS)
async def test_kill_hermes_under_load(
    new_hermes: Any, sandbox: Any, api: Any, until: Any, lives: Any, seed: int, record_testsuite_property: Any
) -> None:
    hermes = new_hermes("--live", env=sandbox.env).start()
    load = Load(api(hermes), sandbox, seed)
    await load.furnish()
    # Half of one customer's calls take a while, so that some are at the platform whenever the kill comes.
    await sandbox.fail(load.operator.http, kind="slow", delay=0.05, token=f"1000:{'L' * 30}", times=None)
    moments = random.Random(seed)  # noqa: S311  (nor is when the kill comes)
    async with load.running():
        for _ in range(KILLS):
            await load.until_called(moments.randint(20, 200), until)
            valkey = hermes.valkey_pid
            assert lives(valkey)
            load.up.clear()
            await asyncio.to_thread(hermes.kill)
            await until(lambda valkey=valkey: not lives(valkey), 15, "Valkey ends with hermes")
            await load.look()
            await asyncio.to_thread(hermes.start)
            load.up.set()
        await load.until_called(20, until)
        load.up.clear()
        await asyncio.to_thread(hermes.kill)
    await asyncio.to_thread(hermes.start)
    assert _pending(hermes) == []
    books = Books(load, hermes.data_dir)
    await books.check()
    record_testsuite_property("hermes killed", _figures(load, books))


@pytest.mark.timeout(180 + 30 * KILLS)
async def test_kill_valkey_under_load(
    new_hermes: Any, sandbox: Any, api: Any, until: Any, seed: int, record_testsuite_property: Any
) -> None:
    hermes = new_hermes("--live", env=sandbox.env).start()
    load = Load(api(hermes), sandbox, seed)
    await load.furnish()
    moments = random.Random(seed)  # noqa: S311  (nor is when the kill comes)
    async with load.running():
        for _ in range(KILLS):
            await load.until_called(moments.randint(20, 200), until)
            killed = hermes.valkey_pid
            assert killed
            os.kill(killed, signal.SIGKILL)
            await until(lambda killed=killed: hermes.valkey_pid not in (0, killed), 30, "Valkey is started again")
            await load.look()
        await load.until_called(20, until)
    await until(lambda: _pending(hermes) == [], 90, "every call is closed")
    books = Books(load, hermes.data_dir)
    await books.check()
    record_testsuite_property("Valkey killed", _figures(load, books))


async def test_kill_between_calls_leaves_usage_for_later(new_hermes: Any, sandbox: Any, api: Any, until: Any) -> None:
    hermes = new_hermes("--live", "--no-jobs", env=sandbox.env).start()
    customer = await api(hermes).new_customer("later")
    await customer.connect("telegram", bot_token="2000:" + "K" * 30)
    answers = [await customer.send(f"later {number}") for number in range(5)]
    assert {answer.code for answer in answers} == {"success"}
    assert _rows(hermes) == []
    await asyncio.to_thread(hermes.kill)
    await asyncio.to_thread(hermes.start)
    await until(lambda: len(_rows(hermes)) == 5, 15, "usage is moved")
    assert set(_rows(hermes)) == {answer.call_id for answer in answers}
    assert (await customer.get("/api/usage"))["used"] == 5


def _rows(hermes: Any) -> list[str]:
    with closing(sqlite3.connect(hermes.data_dir / "hermes.db")) as database:
        return [row[0] for row in database.execute("SELECT call_id FROM usage")]
