"""Linking an account in a browser."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Page, expect

from hermes.platforms.base import DEFAULT_ACCOUNT
from hermes.sandbox_mode import demo_credentials
from web.conftest import TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def submit(page: Page) -> None:
    await page.get_by_role("button", name="Connect").or_(page.get_by_role("button", name="Replace")).click()


async def test_a_link_from_an_assistant_ends_in_a_connection(site: Any, look: Any) -> None:
    someone = await site.someone()
    page = await look.page(someone)
    await page.goto(site.house.connect_links.url(someone.id, "telegram"))
    await page.get_by_label("Bot token").fill(TOKEN)
    await submit(page)
    await expect(page.get_by_role("status")).to_contain_text("Go back to your assistant")
    assert (await site.house.connections.accounts(someone.id))["telegram"] == [DEFAULT_ACCOUNT]
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Telegram is connected")


@pytest.mark.parametrize("platform", sorted({"email", *demo_credentials()}))
async def test_every_platforms_form_takes_what_the_platform_wants(site: Any, look: Any, platform: str) -> None:
    someone = await site.someone()
    page = await look.page(someone)
    await page.goto(f"{site.origin}/connect/{platform}")
    await page.get_by_text("More options").click()
    for name, value in demo_credentials()[platform].items():
        await page.locator(f"[name={name}]").fill(str(value))
    await submit(page)
    await expect(page.get_by_role("status")).to_contain_text("Connected as")
    assert platform in await site.house.connections.accounts(someone.id)


async def test_what_is_wrong_is_said_beside_the_field_and_secrets_are_not_repeated(site: Any, look: Any) -> None:
    someone = await site.someone()
    page = await look.page(someone)
    await page.goto(f"{site.origin}/connect/whatsapp")
    await page.get_by_label("Phone number ID").fill("not-a-number")
    await page.get_by_label("Access token").fill("EAA-my-secret-token")
    await page.get_by_label("Business account ID").fill("102290129340398")
    await submit(page)
    wrong = page.get_by_label("Phone number ID")
    await expect(wrong).to_have_value("not-a-number")
    await expect(wrong).to_have_attribute("aria-invalid", "true")
    await expect(page.locator("#wrong-phone_number_id")).to_contain_text("does not look like the phone number ID")
    await expect(page.get_by_role("alert")).to_be_focused()
    await expect(page).to_have_title("Error: Connect WhatsApp · SquareMCP")
    assert "EAA-my-secret-token" not in await page.content()


async def test_a_token_that_the_platform_refuses_is_not_kept(site: Any, look: Any) -> None:
    someone = await site.someone()
    page = await look.page(someone)
    await page.goto(f"{site.origin}/connect/telegram")
    await page.get_by_label("Bot token").fill("110201543:revoked-AAHdqTcvCH1vGWJxfSeofSAs0K5")
    await submit(page)
    await expect(page.locator("#wrong-bot_token")).to_contain_text("Telegram did not accept these credentials")
    assert await site.house.connections.accounts(someone.id) == {}


async def test_a_connection_that_is_there_is_shown_and_can_be_replaced(site: Any, look: Any) -> None:
    someone = await site.someone()
    await site.house.connections.connect(someone.caller, "telegram", {"bot_token": TOKEN})
    page = await look.page(someone)
    await page.goto(f"{site.origin}/connect/telegram")
    await expect(page.get_by_role("heading", name="Already connected")).to_be_visible()
    await page.get_by_label("Bot token").fill("220201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw")
    await page.get_by_role("button", name="Replace the connection").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Telegram is connected")
    (account,) = await site.house.connections.list(someone.id)
    assert account.external_id == "220201543"


async def test_a_second_account_gets_a_label_of_its_own(site: Any, look: Any) -> None:
    someone = await site.someone()
    page = await look.page(someone)
    await page.goto(site.house.connect_links.url(someone.id, "telegram", "work"))
    await page.get_by_label("Bot token").fill(TOKEN)
    await submit(page)
    await expect(page.get_by_role("status")).to_be_visible()
    assert (await site.house.connections.accounts(someone.id))["telegram"] == ["work"]


async def test_a_link_for_somebody_else_is_refused_and_its_owner_is_told(site: Any, look: Any) -> None:
    owner, stranger = await site.someone(name="owner"), await site.someone(name="stranger")
    page = await look.page(stranger)
    answer = await page.goto(site.house.connect_links.url(owner.id, "telegram"))
    assert answer.status == 403
    await expect(page.get_by_role("heading", level=1)).to_have_text("This link is for somebody else")
    assert await page.locator("input[type=password]").count() == 0
    today = datetime.now(UTC).date()
    entries = [entry async for entry in site.house.trail.export(owner.id, today, today)]
    denied = [entry for entry in entries if entry["tool"] == "connection.connect"]
    assert [(entry["outcome"], entry["arguments"]["platform"]) for entry in denied] == [("denied", "telegram")]
    assert stranger.id not in str(denied)
    assert stranger.caller.key_id not in str(denied)


async def test_nobody_connects_without_signing_in(site: Any, look: Any) -> None:
    someone = await site.someone()
    page = await look.page()
    link = site.house.connect_links.url(someone.id, "telegram")
    await page.goto(link)
    reached = urlsplit(page.url)
    assert reached.path == "/login"
    assert parse_qs(reached.query)["return_to"] == [link.removeprefix(site.origin)]


@pytest.mark.parametrize("query", ["?link=", "?link=a1000000000000.00", "?link=%F0%9F%92%A9"])
async def test_a_link_that_is_no_link_says_so(site: Any, look: Any, query: str) -> None:
    page = await look.page(await site.someone())
    answer = await page.goto(f"{site.origin}/connect/telegram{query}")
    assert answer.status == 400
    await page.get_by_role("link", name="Connect Telegram").click()
    await expect(page.get_by_label("Bot token")).to_be_visible()


async def test_a_link_for_another_platform_does_not_count(site: Any, look: Any) -> None:
    someone = await site.someone()
    page = await look.page(someone)
    link = site.house.connect_links.url(someone.id, "telegram").replace("/connect/telegram", "/connect/discord")
    assert (await page.goto(link)).status == 400


async def test_a_platform_outside_the_plan_is_not_offered(site: Any, look: Any) -> None:
    page = await look.page(await site.someone(plan="free"))
    await page.goto(f"{site.origin}/connect/whatsapp")
    await expect(page.get_by_text("Your plan does not include WhatsApp")).to_be_visible()
    assert await page.get_by_label("Access token").count() == 0


async def test_a_numbers_steps_are_shown_with_what_to_do_and_looked_at_again(site: Any, look: Any) -> None:
    someone = await site.someone()
    page = await look.page(someone)
    await page.goto(f"{site.origin}/connect/whatsapp")
    await page.get_by_label("Phone number ID").fill("106540353242922")
    await page.get_by_label("Access token").fill("EAAsandbox-106540353242922-102290129340397-x")
    await page.get_by_label("Business account ID").fill("102290129340397")
    await submit(page)
    webhook = page.get_by_role("listitem").filter(has_text="Messages and statuses arrive here")
    await expect(webhook).to_contain_text("To do")
    await expect(webhook).to_contain_text(f"the callback URL {site.origin}/webhook/whatsapp")
    await expect(page.get_by_role("listitem").filter(has_text="templates")).to_contain_text("Done")
    await page.goto(f"{site.origin}/connect")
    await expect(page.locator(".connection", has_text="WhatsApp")).to_contain_text("1 to do")
    await page.get_by_role("link", name="Steps of the WhatsApp account default").click()
    service = site.sandbox.services["whatsapp"]
    service.webhook_fields, before = [], service.webhook_fields
    try:
        await page.get_by_role("button", name="Look again").click()
        await expect(webhook).to_contain_text("The app has no webhook")
    finally:
        service.webhook_fields = before


async def test_a_choice_left_open_is_shown_taken_up_again_and_changed_later(site: Any, look: Any) -> None:
    someone = await site.someone()
    page = await look.page(someone)

    async def sign_in() -> None:
        await page.goto(f"{site.origin}/connect/facebook")
        await page.get_by_role("link", name="Continue with Facebook").click()
        await page.get_by_label("You are").fill("manypages")
        await page.get_by_role("button", name="Allow").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Which Facebook account?")

    await sign_in()
    names = await page.locator("button[name=choice]").all_inner_texts()
    await page.goto(f"{site.origin}/connect")
    await expect(page.locator(".connection", has_text="Facebook")).to_contain_text("Not finished")
    await page.get_by_role("link", name="Finish the Facebook account default").click()
    chosen = []
    for name in names[1:3]:
        await page.get_by_role("button", name=name).click()
        await expect(page.get_by_role("status")).to_contain_text("Go back to your assistant")
        (account,) = await site.house.connections.list(someone.id)
        chosen.append(account.external_id)
        await sign_in()
    assert len(set(chosen)) == 2
    (account,) = await site.house.connections.list(someone.id)
    assert account.status == "connected", "what works goes on while another choice is open"


async def test_a_choice_that_is_over_says_what_to_do(site: Any, look: Any) -> None:
    page = await look.page(await site.someone())
    answer = await page.goto(f"{site.origin}/connect/facebook/choose")
    assert answer.status == 400
    await expect(page.get_by_text("nothing to choose any more")).to_be_visible()
    await page.get_by_role("link", name="Try again").click()
    await expect(page.get_by_role("link", name="Continue with Facebook")).to_be_visible()


async def test_who_may_use_no_page_is_told_where_to_get_one(site: Any, look: Any) -> None:
    page = await look.page(await site.someone())
    await page.goto(f"{site.origin}/api/connect/facebook/start")
    await page.get_by_label("You are").fill("nopages")
    await page.get_by_role("button", name="Allow").click()
    way_out = page.get_by_role("link", name="https://www.facebook.com/pages/create")
    await expect(way_out).to_be_visible()


async def test_an_unknown_platform_is_not_found(site: Any, look: Any) -> None:
    page = await look.page(await site.someone())
    assert (await page.goto(f"{site.origin}/connect/myspace")).status == 404


async def test_the_overview_says_how_each_platform_stands(site: Any, look: Any) -> None:
    someone = await site.someone(plan="free")
    await site.house.connections.connect(someone.caller, "telegram", {"bot_token": TOKEN})
    page = await look.page(someone)
    await page.goto(f"{site.origin}/connect")
    await expect(page.locator(".connection", has_text="Telegram")).to_contain_text("Connected")
    await expect(page.locator(".connection", has_text="WhatsApp")).to_contain_text("Not in your plan")
    await page.get_by_role("link", name="Connect Discord").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Connect Discord")


async def test_the_form_is_filled_in_with_the_keyboard_alone(site: Any, look: Any, shots: Path) -> None:
    someone = await site.someone()
    page = await look.page(someone)
    await page.goto(f"{site.origin}/connect/telegram")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    field = page.get_by_label("Bot token")
    for _ in range(12):
        if await field.evaluate("e => e === document.activeElement"):
            break
        await page.keyboard.press("Tab")
    await page.keyboard.type(TOKEN)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Telegram is connected")
