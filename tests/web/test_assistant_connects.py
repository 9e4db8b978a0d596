"""From a call without an account to the message sent: an official client, a person in a browser, and a retry."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client
from playwright.async_api import expect

from web.conftest import TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="session")

MESSAGE = {"chat_id": 42, "text": "Sent once I was connected"}


async def test_the_person_connects_and_the_retry_sends(site: Any, look: Any) -> None:
    someone = await site.someone()
    page = await look.page(someone)
    key = (await site.house.api_keys.create(someone.id, "assistant", ["telegram:write"])).secret

    async def open_page(_context: Any, params: Any) -> types.ElicitResult:
        assert params.mode == "url"
        await page.goto(params.url)
        await page.get_by_label("Bot token").fill(TOKEN)
        await page.get_by_role("button", name="Connect").click()
        await expect(page.get_by_role("status")).to_contain_text("Go back to your assistant")
        return types.ElicitResult(action="accept")

    async with httpx2.AsyncClient(headers={"x-api-key": key}, timeout=60) as http:
        transport = streamable_http_client(f"{site.origin}/mcp", http_client=http)
        async with Client(transport, mode="2026-07-28", elicitation_callback=open_page) as client:
            result = await client.call_tool("telegram_send_message", MESSAGE)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    assert result.structured_content["text"] == MESSAGE["text"]


async def test_another_person_who_opens_the_link_connects_nothing(site: Any, look: Any) -> None:
    owner, stranger = await site.someone(name="owner"), await site.someone(name="stranger")
    page = await look.page(stranger)
    key = (await site.house.api_keys.create(owner.id, "assistant", ["telegram:write"])).secret
    seen: list[int] = []

    async def open_page(_context: Any, params: Any) -> types.ElicitResult:
        answer = await page.goto(params.url)
        assert answer is not None
        seen.append(answer.status)
        return types.ElicitResult(action="decline")

    async with httpx2.AsyncClient(headers={"x-api-key": key}, timeout=60) as http:
        transport = streamable_http_client(f"{site.origin}/mcp", http_client=http)
        async with Client(transport, mode="2026-07-28", elicitation_callback=open_page) as client:
            result = await client.call_tool("telegram_send_message", MESSAGE)
    assert (result.is_error, seen) == (True, [403])
    for person in (owner, stranger):
        assert await site.house.connections.accounts(person.id) == {}
