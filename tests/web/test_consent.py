"""Agreeing to an assistant in a browser."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from playwright.async_api import Page, expect
from pydantic import SecretStr

from web.conftest import TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="session")


def box(page: Page, platform: str, what: str) -> Any:
    return page.get_by_role("group", name=platform, exact=True).get_by_label(what)


async def agreed(site: Any, someone: Any, url: str) -> list[str]:
    """What was agreed to, of what the address asks for."""
    query = parse_qs(urlsplit(url).query)
    request = await site.house.oauth.authorizations.begin(
        [(name, value) for name, values in query.items() for value in values], address="127.0.0.1"
    )
    return (await site.house.oauth.authorizations.agreed(someone.id, request)).words()


async def answer_at_the_assistant(page: Page, site: Any) -> dict[str, str]:
    await expect(page.locator("body")).to_have_text("The assistant got it.")
    return dict(site.answers[-1])


async def test_agreeing_to_everything_carries_a_code_to_the_assistant(site: Any, look: Any) -> None:
    someone = await site.someone()
    url = site.authorize(await site.client())
    page = await look.page(someone)
    await page.goto(url)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Chat wants to use your accounts")
    assert await page.get_by_role("checkbox").count() == await page.get_by_role("checkbox", checked=True).count() == 22
    await page.get_by_role("button", name="Agree").click()
    answer = await answer_at_the_assistant(page, site)
    assert answer["code"].startswith("sq_ac_")
    assert (answer["state"], answer["iss"]) == ("s-1", site.origin)
    assert await agreed(site, someone, url) == ["*:read", "*:write"]


async def test_what_is_unticked_is_not_given(site: Any, look: Any) -> None:
    someone = await site.someone()
    url = site.authorize(await site.client())
    page = await look.page(someone)
    await page.goto(url)
    await box(page, "Telegram", "Act").uncheck()
    await page.get_by_role("button", name="Agree").click()
    await answer_at_the_assistant(page, site)
    words = await agreed(site, someone, url)
    assert "telegram:write" not in words
    assert {"*:read", "discord:write"} <= set(words)


async def test_refusing_says_so_to_the_assistant(site: Any, look: Any) -> None:
    someone = await site.someone()
    url = site.authorize(await site.client())
    page = await look.page(someone)
    await page.goto(url)
    await page.get_by_role("button", name="Refuse").click()
    answer = await answer_at_the_assistant(page, site)
    assert answer == {"error": "access_denied", "state": "s-1", "iss": site.origin}
    assert await agreed(site, someone, url) == []


async def test_agreeing_to_nothing_is_asked_back(site: Any, look: Any) -> None:
    someone = await site.someone()
    page = await look.page(someone)
    await page.goto(site.authorize(await site.client(), "telegram:read"))
    await box(page, "Telegram", "Read").uncheck()
    await page.get_by_role("button", name="Agree").click()
    await expect(page.get_by_role("alert")).to_contain_text("Tick at least one thing")
    await box(page, "Telegram", "Read").check()
    await page.get_by_role("button", name="Agree").click()
    assert "code" in await answer_at_the_assistant(page, site)


async def test_only_what_is_asked_and_in_the_plan_can_be_ticked(site: Any, look: Any) -> None:
    page = await look.page(await site.someone(plan="free"))
    await page.goto(site.authorize(await site.client(), "telegram:read whatsapp:read discord:write"))
    values = await page.get_by_role("checkbox").evaluate_all("boxes => boxes.map(box => box.value)")
    assert sorted(values) == ["discord:write", "telegram:read"]
    await expect(page.get_by_role("listitem").filter(has_text="what you untick")).to_contain_text("Email, Obsidian")


async def test_a_plan_that_has_nothing_of_it_leaves_only_the_way_back(site: Any, look: Any) -> None:
    page = await look.page(await site.someone(plan="free"))
    await page.goto(site.authorize(await site.client(), "whatsapp:read"))
    assert await page.get_by_role("button", name="Agree").count() == 0
    await page.get_by_role("button", name="Back to Chat").click()
    assert (await answer_at_the_assistant(page, site))["error"] == "access_denied"


async def test_ticks_that_were_not_offered_count_for_nothing(site: Any, look: Any) -> None:
    someone = await site.someone()
    url = site.authorize(await site.client(), "telegram:read discord:read")
    page = await look.page(someone, scripts=True)
    await page.goto(url)
    await box(page, "Discord", "Read").evaluate("box => { box.value = 'telegram:write' }")
    await page.get_by_role("button", name="Agree").click()
    await answer_at_the_assistant(page, site)
    assert await agreed(site, someone, url) == ["telegram:read"]


async def test_more_than_before_is_asked_again_with_what_is_new_marked(site: Any, look: Any) -> None:
    someone, client = await site.someone(), await site.client()
    page = await look.page(someone)
    await page.goto(site.authorize(client, "telegram:read discord:read"))
    await box(page, "Discord", "Read").uncheck()
    await page.get_by_role("button", name="Agree").click()
    await answer_at_the_assistant(page, site)
    await page.goto(site.authorize(client, "telegram:read telegram:write"))
    await expect(box(page, "Telegram", "Read")).to_be_checked()
    group = page.get_by_role("group", name="Telegram", exact=True)
    assert await group.locator(".state").count() == 1
    await expect(group.locator("label").filter(has_text="Act")).to_contain_text("New")
    await expect(box(page, "Telegram", "Act")).to_be_checked()


async def test_an_umbrella_does_not_tick_again_what_was_left_out(site: Any, look: Any) -> None:
    someone, url = await site.someone(), site.authorize(await site.client(), "all:read")
    page = await look.page(someone)
    await page.goto(url)
    await box(page, "Discord", "Read").uncheck()
    await page.get_by_role("button", name="Agree").click()
    await answer_at_the_assistant(page, site)
    await page.goto(url)
    await expect(box(page, "Discord", "Read")).not_to_be_checked()
    await expect(box(page, "Telegram", "Read")).to_be_checked()


async def test_who_asks_is_said_and_whether_that_was_checked(site: Any, look: Any) -> None:
    page = await look.page(await site.someone())
    document = await site.documented("Claude")
    await page.goto(site.authorize(document))
    facts = page.locator(".facts")
    await expect(facts).to_contain_text(urlsplit(document).netloc)
    await expect(facts).to_contain_text("Verified")
    assert await page.locator(".alert-warning").count() == 0
    await page.goto(site.authorize(await site.client("Claude", "https://claude.example.net/cb")))
    await expect(facts).to_contain_text("Not verified")
    await expect(page.locator(".alert-warning")).to_contain_text("Do you know claude.example.net?")


@pytest.mark.parametrize(
    ("redirect", "target", "said"),
    [
        ("http://127.0.0.1:1/cb", "http://127.0.0.1:1", "A program on this computer (127.0.0.1:1)"),
        ("http://localhost:2/cb", "http://localhost:2", "A program on this computer (localhost:2)"),
        ("http://[::1]:3/cb", "http:", "A program on this computer ([::1]:3)"),
        ("https://chat.example/cb", "https:", "chat.example"),
        ("cursor://anysphere/cb", "cursor:", "An app on this device (the one that opens cursor: links)"),
    ],
)
async def test_where_the_answer_goes_is_said_and_let_through(
    site: Any, look: Any, redirect: str, target: str, said: str
) -> None:
    page = await look.page(await site.someone())
    shown = await page.goto(site.authorize(await site.client("Chat", redirect)))
    assert f"form-action 'self' {target};" in shown.headers["content-security-policy"]
    assert shown.headers["x-frame-options"] == "DENY"
    await expect(page.locator(".facts")).to_contain_text(said)
    warned = await page.get_by_text("Did you just start this yourself?").count()
    assert warned == (0 if redirect.startswith("https:") else 1)


async def test_what_was_agreed_to_is_not_asked_twice(site: Any, look: Any) -> None:
    someone, client = await site.someone(), await site.client("Chat", "https://chat.example/cb")
    page = await look.page(someone)
    await page.goto(site.authorize(client, "telegram:read"))
    async with page.expect_request("https://chat.example/cb?code=*"):
        await page.get_by_role("button", name="Agree").click()
    async with httpx2.AsyncClient(cookies={"session": someone.token}) as http:
        silent = await http.get(site.authorize(client, "telegram:read"))
        asked = await http.get(site.authorize(client, "telegram:read", prompt="consent"))
    assert silent.status_code == 303
    assert silent.headers["location"].startswith("https://chat.example/cb?code=sq_ac_")
    assert "wants to use your accounts" in asked.text


async def test_a_program_on_the_persons_machine_is_asked_about_every_time(site: Any, look: Any) -> None:
    someone, url = await site.someone(), site.authorize(await site.client(), "telegram:read")
    page = await look.page(someone)
    for _ in range(2):
        await page.goto(url)
        await page.get_by_role("button", name="Agree").click()
        await answer_at_the_assistant(page, site)


async def test_what_is_connected_is_said_with_a_way_to_connect_the_rest(site: Any, look: Any) -> None:
    someone = await site.someone()
    await site.house.connections.connect(someone.caller, "telegram", {"bot_token": TOKEN})
    page = await look.page(someone)
    await page.goto(site.authorize(await site.client()))
    assert await page.get_by_role("link", name="Connect Telegram").count() == 0
    async with page.expect_popup() as opened:
        await page.get_by_role("link", name="Connect Discord").click()
    await expect((await opened.value).get_by_role("heading", level=1)).to_have_text("Connect Discord")


async def test_without_a_session_the_login_page_comes_first(site: Any, look: Any) -> None:
    url = site.authorize(await site.client())
    page = await look.page()
    await page.goto(url)
    reached = urlsplit(page.url)
    assert reached.path == "/login"
    assert parse_qs(reached.query)["return_to"] == [url.removeprefix(site.origin)]


@pytest.mark.parametrize(("prompt", "error"), [("none", "login_required")])
async def test_a_request_that_must_not_be_seen_is_answered_without_a_page(
    site: Any, prompt: str, error: str, look: Any
) -> None:
    client = await site.client()
    async with httpx2.AsyncClient() as http:
        nobody = await http.get(site.authorize(client, prompt=prompt))
        someone = await site.someone()
        http.cookies.set("session", someone.token)
        asked = await http.get(site.authorize(client, prompt=prompt))
    assert parse_qs(urlsplit(nobody.headers["location"]).query)["error"] == [error]
    assert parse_qs(urlsplit(asked.headers["location"]).query)["error"] == ["consent_required"]


async def test_an_assistant_may_want_the_person_to_sign_in_anew(site: Any, look: Any) -> None:
    await site.house.customers.create("anew@example.com", password=SecretStr("a long enough passphrase"))
    page = await look.page(await site.someone())
    await page.goto(site.authorize(await site.client(), prompt="login"))
    await page.get_by_label("E-mail address").fill("anew@example.com")
    await page.get_by_label("Password").fill("a long enough passphrase")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("button", name="Agree").click()
    assert "code" in await answer_at_the_assistant(page, site)


async def test_an_answer_to_another_request_or_from_another_session_is_refused(site: Any, look: Any) -> None:
    someone, other, client = await site.someone(), await site.someone(), await site.client()
    page = await look.page(someone)
    await page.goto(site.authorize(client, "telegram:read"))
    csrf = await page.locator("form[action^='/oauth'] [name=csrf_token]").get_attribute("value")
    cookies = {cookie["name"]: cookie["value"] for cookie in await page.context.cookies()}
    form = {"csrf_token": csrf, "answer": "agree", "grant": "telegram:read"}

    async def send(scope: str, cookies: dict[str, str], origin: str) -> int:
        async with httpx2.AsyncClient(cookies=cookies) as http:
            url = site.authorize(client, scope)
            return (await http.post(url, data=form, headers={"origin": origin})).status_code

    assert await send("telegram:read telegram:write", cookies, site.origin) == 403
    assert await send("telegram:read", cookies | {"session": other.token}, site.origin) == 403
    assert await send("telegram:read", {"session": someone.token}, site.origin) == 403
    assert await send("telegram:read", cookies, "https://evil.example") == 403
    assert await send("telegram:read", cookies, site.origin) == 303


async def test_an_untrustworthy_request_is_shown_and_goes_nowhere(site: Any, look: Any) -> None:
    page = await look.page(await site.someone())
    client = await site.client()
    for url in (site.authorize("nobody"), site.authorize(client, redirect_uri="https://evil.example/")):
        answer = await page.goto(url)
        assert answer.status == 400
        await expect(page.get_by_role("heading", level=1)).to_have_text("This assistant can’t be connected")
        assert page.url.startswith(site.origin)


async def test_other_mistakes_are_told_to_the_assistant(site: Any, look: Any) -> None:
    page = await look.page(await site.someone())
    await page.goto(site.authorize(await site.client(), code_challenge_method="plain"))
    assert (await answer_at_the_assistant(page, site))["error"] == "invalid_request"


async def test_the_page_is_answered_with_the_keyboard_alone(site: Any, look: Any) -> None:
    someone, url = await site.someone(), site.authorize(await site.client(), "telegram:read telegram:write")
    page = await look.page(someone)
    await page.goto(url)
    order = []
    for _ in range(20):
        await page.keyboard.press("Tab")
        focused = page.locator(":focus")
        name = await focused.get_attribute("value") or (await focused.inner_text()).strip()
        order.append(name)
        if name == "telegram:write":
            await page.keyboard.press("Space")
        if name == "agree":
            await page.keyboard.press("Enter")
            break
    await answer_at_the_assistant(page, site)
    assert order.index("telegram:read") < order.index("telegram:write") < order.index("refuse") < order.index("agree")
    assert await agreed(site, someone, url) == ["telegram:read"]
