"""A store that stands still: every door says that it is away for the moment, and when to come back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest

LEGACY = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
DOORS = [("POST", "/mcp"), ("GET", "/sse"), ("POST", "/messages?sessionId=" + "0" * 32), ("GET", "/api/me")]


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.timeout(120)
async def test_a_store_that_does_not_answer_is_no_fault_of_the_request(
    new_hermes: Any, api: Any, http: aiohttp.ClientSession
) -> None:
    hermes = new_hermes().start()
    # One customer for each door, none of whom the process has seen: whoever is known needs no store to be let in.
    customers = [await api(hermes).new_customer(f"stopped-{number}") for number in range(len(DOORS))]

    async def refused(method: str, path: str, customer: Any) -> None:
        headers = {"x-api-key": customer.key, **LEGACY}
        body = PING if method == "POST" else None
        async with http.request(method, hermes.url + path, json=body, headers=headers) as answer:
            said = await answer.json(content_type=None)
            assert (answer.status, said["code"]) == (503, "internal"), (path, said)
            assert int(answer.headers["retry-after"]) >= 1

    with standing_still(hermes.valkey_pid):
        await asyncio.gather(*(refused(*door, customer) for door, customer in zip(DOORS, customers, strict=True)))
    async with http.post(hermes.url + "/mcp", json=PING, headers={"x-api-key": customers[0].key, **LEGACY}) as answer:
        assert answer.status == 200
