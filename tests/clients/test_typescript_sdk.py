"""The official TypeScript client through all of OAuth: registers, signs in, refreshes, asks for more, is revoked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytestmark = pytest.mark.timeout(240)

NODE = Path(__file__).parents[2] / ".tools/node/node_modules"
PROGRAM = Path(__file__).with_name("typescript_client.mjs")
MESSAGE = {"chat_id": 987654321, "text": "Hello from the TypeScript client"}


class TypeScriptClient:
    """The program, told what to do line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def __call__(self, do: str, **details: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **details}).encode() + b"\n")
        answer = json.loads(await self._process.stdout.readline())
        assert isinstance(answer, dict)
        return answer


@pytest.fixture
async def client(desk: Any) -> AsyncIterator[TypeScriptClient]:
    if not (NODE / ".bin/node").exists():
        pytest.skip("the TypeScript client is not installed: make setup-node, which needs npm")
    process = await asyncio.create_subprocess_exec(
        str(NODE / ".bin/node"), str(PROGRAM), f"{desk.hermes.url}/mcp", desk.callback, str(NODE),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**20,
    )  # fmt: skip
    yield TypeScriptClient(process)
    process.terminate()
    await process.wait()


async def agree(desk: Any, client: TypeScriptClient, answer: dict[str, Any]) -> str:
    """Have the person agree to what the client asks for; returns the client's id."""
    await desk.agree(answer["open"])
    given = await desk.answers.get()
    return str((await client("finish", code=given["code"]))["client_id"])


async def test_the_whole_way(desk: Any, client: TypeScriptClient) -> None:
    desk.untick = ("telegram:write",)
    client_id = await agree(desk, client, await client("connect"))
    assert {"telegram_get_me", "telegram_send_message"} <= set((await client("connect"))["tools"])
    assert not (await client("call", name="telegram_get_me", arguments={}))["error"]

    # What was left out is refused with its scope, asked for, and then done.
    assert await client("call", name="telegram_send_message", arguments=MESSAGE) == {"refused": 403}
    desk.untick = ()
    asked = await client("ask", scope="telegram:read telegram:write")
    assert "telegram%3Awrite" in asked["open"]
    await agree(desk, client, asked)
    sent = await client("call", name="telegram_send_message", arguments=MESSAGE)
    assert not sent["error"], sent

    # A token that has ended is renewed without anybody being asked.
    before = await client("tokens")
    await client("spoil")
    assert not (await client("call", name="telegram_get_me", arguments={}))["error"]
    after = await client("tokens")
    assert after["access_token"] != before["access_token"]
    assert after["refresh_token"] != before["refresh_token"]
    assert len(desk.asked) == 2

    # Revoked, it has to ask again.
    async with httpx2.AsyncClient(base_url=desk.hermes.url, headers={"x-api-key": desk.hermes.api_key}) as rest:
        connected = (await rest.get("/api/assistants")).json()["assistants"]
        mine = [one["id"] for one in connected if one["client_id"] == client_id]
        assert len(mine) == 1
        assert (await rest.delete(f"/api/assistants/{mine[0]}")).status_code == 204
    await client("spoil")
    assert "open" in await client("call", name="telegram_get_me", arguments={})
