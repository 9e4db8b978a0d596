"""Every tool called by every door while the platforms fail at random: nothing is done twice, and every end is known.

HERMES_SOAK_SECONDS says for how long (20 by default, 60 in CI, 600 in `make soak`).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from itertools import count
from typing import Any

import aiohttp
import pytest

from e2e.soak_client import Answer, Client
from e2e.soak_load import Attempt, Customer, Load
from hermes.platforms.base import Effect
from hermes.platforms.catalog import Catalog, load_catalog
from hermes.platforms.facts import load_facts

SECONDS = float(os.environ.get("HERMES_SOAK_SECONDS") or (60 if os.environ.get("CI") else 20))
IN_FLIGHT = 16
CUSTOMERS = 5
CHANCE = 0.01
STEP = 0.25
AHEAD = 5
"""Seconds of the stand-ins' time in each step: what they process takes less of ours."""
LOOK_EVERY = 8
WINDOW, ALL = 2_000, 10_000
"""Messages that are looked at every so many steps, far more than there can be new ones; and all that are kept."""

FAILURES: tuple[dict[str, Any], ...] = (
    {"kind": "rate_limit"},
    {"kind": "rate_limit", "retry_after": 1},
    {"kind": "server_error"},
    {"kind": "server_error", "status": 503, "acts": True},
    {"kind": "answer", "status": 418, "body": {"tea": "pot"}},
    {"kind": "timeout_before"},
    {"kind": "timeout_after"},
    {"kind": "cut_before"},
    {"kind": "cut_after"},
    {"kind": "cut_body"},
    {"kind": "malformed"},
    {"kind": "giant", "megabytes": 12},
    {"kind": "slow", "delay": 10},
    {"kind": "hostile"},
)

UPLOADS = {"linkedin_upload_video", "twitter_upload_video"}
"""Tools whose stand-ins show an upload by itself, with the hash of what came."""


class Platforms:
    """The stand-ins' side: they fail as told, and show what they were sent."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.sent: dict[tuple[str, ...], dict[str, Any]] = {}
        """Everything that went out, by platform, account and id."""
        self._http = http
        self._url = url
        self._stop = asyncio.Event()

    async def fail(self, catalog: Catalog) -> None:
        for failure in FAILURES:
            await self._post("failures", **failure, probability=CHANCE, times=None)
        for platform in catalog:
            code = load_facts(platform.id).forbidden
            if platform.base_url and isinstance(code, int):
                await self._post(
                    "failures", kind="error", platform=platform.id, code=code, probability=CHANCE, times=None
                )

    async def work_well(self) -> None:
        await self._post("failures/clear")

    async def watch(self) -> None:
        """Let their time run ahead, and take what they were sent before they forget it."""
        for step in count():
            if self._stop.is_set():
                return
            await self._post("advance", seconds=AHEAD)
            if step % LOOK_EVERY == 0:
                await self.look(WINDOW)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), STEP)

    def stop(self) -> None:
        self._stop.set()

    async def look(self, most: int) -> None:
        """Take what went out, at most so many of the newest."""
        async with self._http.get(f"{self._url}/_sandbox/messages", params={"limit": most}) as response:
            for message in (await response.json())["messages"]:
                if message["direction"] == "out":
                    identity = tuple(str(message[name]) for name in ("platform", "account", "peer", "id"))
                    self.sent[identity] = message

    async def requests(self) -> Counter[str]:
        """How the last requests failed."""
        async with self._http.get(f"{self._url}/_sandbox/requests", params={"limit": ALL}) as response:
            return Counter(one["failure"] or "none" for one in (await response.json())["requests"])

    async def _post(self, what: str, **given: Any) -> None:
        async with self._http.post(f"{self._url}/_sandbox/{what}", json=given) as response:
            assert response.status == 200, await response.text()


class Books:
    """What is on record once everything has come to rest."""

    def __init__(self, load: Load, platforms: Platforms, hermes: Any) -> None:
        self._load = load
        self._hermes = hermes
        self._published: Counter[str] = Counter()
        self._uploaded: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.lines: dict[str, dict[str, Any]] = {}
        markers = {attempt.marker for attempt in load.attempts}
        digests = {attempt.digest[:24] for attempt in load.attempts if attempt.digest}
        for message in platforms.sent.values():
            if message["status"] == "begun":
                continue  # a publication that never got its bytes
            for text in {message["text"], message["peer"]} & markers:
                self._published[text] += 1
            words = {word[:24] for word in message["text"].split()} if "sha256" in message["text"] else set()
            self._uploaded.update(words & digests)

    async def check(self, api: Any) -> None:
        for customer in self._load.customers:
            await self._check_trail(api(self._hermes, customer.client.key), customer)
        for attempt in self._load.attempts:
            self._check(attempt)
            for answer in attempt.answers:
                await self._check_status(attempt, answer)

    async def _check_trail(self, customer: Any, owner: Customer) -> None:
        """One line of each call, and one charge of each success."""
        lines = {line["id"]: line for line in await customer.trail() if "." not in line["tool"]}
        made = sum(len(one.answers) for one in self._load.attempts if one.client is owner.client) + owner.calls
        assert len(lines) == made
        self.lines |= lines
        self.outcomes.update(line["outcome"] for line in lines.values())
        charged = {call_id for call_id, line in lines.items() if line["outcome"] == "success"}
        assert (await customer.get("/api/usage"))["used"] == len(charged)
        with closing(sqlite3.connect(self._hermes.data_dir / "hermes.db")) as database:
            rows = database.execute("SELECT call_id FROM usage WHERE customer_id = ?", (owner.id,)).fetchall()
        assert Counter(row[0] for row in rows) == Counter(charged)

    def _check(self, attempt: Attempt) -> None:
        """Done at most once; once if it succeeded, and not at all after a clear error."""
        if attempt.digest:
            uploads = self._uploaded[attempt.digest[:24]]
            assert uploads <= 1, f"uploaded twice: {attempt}"
            assert uploads or "success" not in attempt.codes or attempt.tool.name not in UPLOADS
        if attempt.tool.effect is Effect.READ:
            assert "outcome_unknown" not in attempt.codes
            return
        done = self._done(attempt)
        assert done <= 1, f"done {done} times: {attempt}"
        if "success" in attempt.codes:
            assert done == 1, f"said to be done, and is not: {attempt}"
        elif "outcome_unknown" not in attempt.codes:
            assert done == 0, f"said not to be done, and is: {attempt}"

    def _done(self, attempt: Attempt) -> int:
        if attempt.tool.platform != "obsidian":
            return self._published[attempt.marker]
        owner = next(one for one in self._load.customers if one.client is attempt.client)
        note = self._hermes.data_dir / "vaults" / owner.id / "demo" / attempt.arguments["path"]
        return Counter(note.read_text().splitlines())[attempt.marker] if note.exists() else 0

    async def _check_status(self, attempt: Attempt, answer: Answer) -> None:
        """Whatever a call ended with, asking for it later says the same."""
        assert answer.call_id in self.lines, f"no line of {answer}"
        line = self.lines[answer.call_id]
        if answer.code == "success":
            assert line["outcome"] in ("success", "replayed"), line
        if not answer.unknown:
            return
        status, found, _ = await attempt.client.request("GET", f"/api/calls/{answer.call_id}")
        assert status == 200
        assert found["status"] == line["outcome"]
        assert found["status"] in ("outcome_unknown", "denied", "replayed"), found
        over_mcp = await self._get_call(attempt.client, answer.call_id)
        assert over_mcp == found["status"]

    async def _get_call(self, client: Client, call_id: str | None) -> str:
        params = {"name": "gateway_get_call", "arguments": {"call_id": call_id}}
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        _, said, _ = await client.request("POST", "/mcp", json=message, headers=headers)
        return str(said["result"]["structuredContent"]["status"])


def _pending(hermes: Any) -> list[str]:
    with closing(hermes.redis()) as redis:
        return list(redis.scan_iter("pending:*"))


def _queued(hermes: Any) -> int:
    with closing(hermes.redis()) as redis:
        return int(redis.xlen("usage:stream"))


@pytest.fixture
async def patient() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that waits for uploads."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        yield session


async def _customers(hermes: Any, api: Any, http: aiohttp.ClientSession, catalog: Catalog) -> list[Customer]:
    """The demo customer, and a few more."""
    me = await api(hermes, hermes.api_key).get("/api/me")
    found = [Customer(Client(hermes.url, http, hermes.api_key), me["customer_id"])]
    for number in range(1, CUSTOMERS):
        made = await api(hermes).new_customer(f"soak-{number}")
        found.append(Customer(Client(hermes.url, http, made.key), made.customer_id))
    await asyncio.gather(*(one.furnish(catalog, number or None) for number, one in enumerate(found)))
    return found


@pytest.mark.timeout(SECONDS + 400)
async def test_soak(
    new_hermes: Any, api: Any, until: Any, patient: aiohttp.ClientSession, record_testsuite_property: Any
) -> None:
    seed = random.SystemRandom().getrandbits(32)
    catalog = load_catalog()
    hermes = new_hermes().start()
    platforms = Platforms(patient, hermes.sandbox.rstrip("/"))
    watching = asyncio.create_task(platforms.watch())
    load = Load(await _customers(hermes, api, patient, catalog), catalog, seed)
    await platforms.fail(catalog)
    async with load.running(IN_FLIGHT):
        await asyncio.sleep(SECONDS)
        await platforms.work_well()
    platforms.stop()
    await watching
    await until(lambda: not _pending(hermes), 120, "every call is closed")
    await until(lambda: not _queued(hermes), 60, "usage is moved")
    await platforms.look(ALL)
    slowest = sorted(load.attempts, key=lambda attempt: -attempt.seconds)
    figures = {
        "seed": seed,
        "calls": sum(len(attempt.answers) for attempt in load.attempts),
        "tools": len({attempt.tool.name for attempt in load.attempts}),
        "sent": Counter(message["platform"] for message in platforms.sent.values()),
        "answers": Counter(answer.code for attempt in load.attempts for answer in attempt.answers),
        "refused": Counter(
            f"{one.tool.name}: {answer.data['message'][:150]}"
            for one in load.attempts
            for answer in one.answers
            if answer.code == "invalid_arguments"
        ),
        "requests": await platforms.requests(),
        "slowest": [f"{one.seconds:.1f} s: {one.tool.name} {one.door} {sorted(one.codes)}" for one in slowest[:5]],
    }
    print(json.dumps(figures, indent=1))  # noqa: T201  (what the run was worth)
    books = Books(load, platforms, hermes)
    await books.check(api)
    record_testsuite_property("soak", json.dumps(figures | {"on record": books.outcomes}))
