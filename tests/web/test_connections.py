"""The list of a person's connections, and what they do there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect
from sqlalchemy import update

from hermes.connections.models import ConnectionRow
from hermes.sandbox.failures import Failure
from web.conftest import TOKEN, Someone

pytestmark = pytest.mark.asyncio(loop_scope="session")

OTHER = "220201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
THIRD = "330201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"


async def with_two(site: Any) -> Someone:
    someone = await site.someone()
    await site.house.connections.connect(someone.caller, "telegram", {"bot_token": TOKEN})
    await site.house.connections.connect(someone.caller, "telegram", {"bot_token": OTHER}, "work")
    return someone


def account(page: Page, label: str) -> Locator:
    return page.locator(".account", has_text=f"Label: {label}")


async def test_the_account_that_is_used_by_default_is_chosen(site: Any, look: Any) -> None:
    someone = await with_two(site)
    page = await look.page(someone)
    await page.goto(f"{site.origin}/account")
    await page.get_by_role("link", name="The accounts that your assistants can use").click()
    await expect(account(page, "default")).to_contain_text("Default")
    await page.get_by_role("button", name="Make default the Telegram account work").click()
    await expect(page.get_by_role("status")).to_contain_text("from now on")
    await expect(account(page, "work").locator(".state-none")).to_have_text("Default")
    assert (await site.house.connections.accounts(someone.id))["telegram"] == ["work", "default"]


async def test_another_account_is_added_beside_the_first(site: Any, look: Any) -> None:
    someone = await site.someone()
    await site.house.connections.connect(someone.caller, "telegram", {"bot_token": TOKEN})
    page = await look.page(someone)
    await page.goto(f"{site.origin}/connect")
    await page.get_by_role("link", name="Add another Telegram account").click()
    await page.get_by_label("Bot token").fill(OTHER)
    await page.get_by_role("button", name="Connect Telegram").click()
    await expect(page.get_by_role("status")).to_be_visible()
    assert (await site.house.connections.accounts(someone.id))["telegram"] == ["default", "account-2"]


async def test_one_account_is_disconnected_after_a_second_look(site: Any, look: Any) -> None:
    someone = await with_two(site)
    page = await look.page(someone)
    await page.goto(f"{site.origin}/connect")
    button = page.get_by_role("button", name="Yes, disconnect the Telegram account work")
    await expect(button).to_be_hidden()
    await account(page, "work").locator("summary").click()
    await button.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Telegram is disconnected")
    await expect(page.get_by_text("What is left for you to do")).to_be_visible()
    await expect(page.get_by_text("use the account “default” from now on")).to_be_visible()
    assert (await site.house.connections.accounts(someone.id))["telegram"] == ["default"]


async def test_an_account_is_checked(site: Any, look: Any) -> None:
    someone = await site.someone()
    await site.house.connections.connect(someone.caller, "telegram", {"bot_token": THIRD})
    page = await look.page(someone)
    await page.goto(f"{site.origin}/connect")
    await page.get_by_role("button", name="Check now").click()
    await expect(page.get_by_role("status")).to_contain_text("That account works")
    await site.house.stores.redis.delete(f"platform_health:{someone.id}:telegram")
    site.sandbox.failures.add(Failure(kind="server_error", platform="telegram", match="getMe", times=None))
    try:
        await page.get_by_role("button", name="Check now").click()
        await expect(page.locator(".alert-warning")).to_contain_text("It could not be found out")
        await expect(page.locator(".account")).to_contain_text("Last problem: Telegram")
        await expect(page.locator(".account")).to_contain_text("Connected")
    finally:
        site.sandbox.failures.remove()


async def test_what_is_wrong_is_said_in_plain_words_with_the_way_out(site: Any, look: Any) -> None:
    someone = await with_two(site)
    await site.house.connections.mark_needs_reconnect(someone.id, "telegram", "work", "It was withdrawn.")
    mine = (ConnectionRow.customer_id == someone.id, ConnectionRow.label == "default")
    ends = datetime.now(UTC) + timedelta(days=3)
    async with site.house.stores.database.session() as session:
        await session.execute(update(ConnectionRow).where(*mine).values(expires_at=ends))
    page = await look.page(someone)
    await page.goto(f"{site.origin}/connect")
    await expect(account(page, "work")).to_contain_text("Needs reconnecting")
    await expect(account(page, "work")).to_contain_text("It was withdrawn.")
    await expect(account(page, "default")).to_contain_text(f"Access ends on {ends:%-d %B %Y}")
    await page.get_by_role("link", name="Reconnect the Telegram account work").click()
    await page.get_by_label("Bot token").fill(OTHER)
    await page.get_by_role("button", name="Replace the connection").click()
    await expect(page.get_by_role("status")).to_be_visible()
    assert {item.label: item.status for item in await site.house.connections.list(someone.id)} == {
        "default": "expiring",
        "work": "connected",
    }


async def test_a_label_is_picked_before_signing_in(site: Any, look: Any) -> None:
    someone = await site.someone()
    page = await look.page(someone)
    await page.goto(f"{site.origin}/connect/twitter")
    await page.get_by_text("Several X accounts?").click()
    await page.get_by_label("Label for the account that you sign in to").fill("work")
    await page.get_by_role("button", name="Use this label").click()
    link = page.get_by_role("link", name="Continue with X as “work”")
    assert "account=work" in str(await link.get_attribute("href"))
    await page.goto(f"{site.origin}/connect/twitter?account=Send+us+your+password")
    assert "password" not in (await page.locator("main").inner_text()).lower()


async def test_nobody_changes_what_is_anothers(site: Any, look: Any) -> None:
    owner, stranger = await with_two(site), await site.someone()
    page = await look.page(stranger)
    await site.house.connections.connect(stranger.caller, "telegram", {"bot_token": TOKEN})
    await page.goto(f"{site.origin}/connect")
    form = page.locator("form[action='/connect/telegram/disconnect']")
    token = await form.locator("[name=csrf_token]").get_attribute("value")
    for action in ("default", "check", "disconnect"):
        answer = await page.request.post(
            f"{site.origin}/connect/telegram/{action}",
            form={"csrf_token": str(token), "account": "work"},
            headers={"origin": site.origin},
        )
        assert answer.status == 404
        assert "Label: work" not in await answer.text()
    assert (await site.house.connections.accounts(owner.id))["telegram"] == ["default", "work"]


@pytest.mark.parametrize("action", ["default", "check", "disconnect"])
@pytest.mark.parametrize("forged", ["origin", "token"])
async def test_a_form_of_another_site_does_nothing(site: Any, look: Any, action: str, forged: str) -> None:
    someone = await with_two(site)
    page = await look.page(someone)
    await page.goto(f"{site.origin}/connect")
    token = await page.locator("[name=csrf_token]").last.get_attribute("value")
    answer = await page.request.post(
        f"{site.origin}/connect/telegram/{action}",
        form={"csrf_token": "forged" if forged == "token" else str(token), "account": "work"},
        headers={"origin": "https://evil.example" if forged == "origin" else site.origin},
    )
    assert answer.status == 403
    assert (await site.house.connections.accounts(someone.id))["telegram"] == ["default", "work"]
