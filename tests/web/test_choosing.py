"""Choosing a company page after signing in at LinkedIn: the pages, as a browser without scripts gets them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from web.conftest import Someone
from web.people.conftest import Browser
from web.test_accessibility import at_the_vendor

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def asking(site: Any) -> AsyncIterator[None]:
    """The operator's app may ask for organizations."""
    environ = site.house.settings.environ
    before = dict(environ)
    environ["LINKEDIN_ORGANIZATIONS"] = "true"
    yield
    environ.clear()
    environ.update(before)


def browser_of(site: Any, someone: Someone) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=site.origin, cookies={"session": someone.token}, headers={"accept": "text/html"})


async def come_back(browser: Browser, site: Any, query: str = "") -> httpx2.Response:
    """Sign in at the vendor, up to the page that the person sees then."""
    start = await browser.open(f"/api/connect/linkedin/start{query}")
    answer = await at_the_vendor(start.headers["location"], "alex")
    back = await browser.http.get("/api/connect/linkedin/callback", params=answer)
    return await browser.open(back.headers["location"])


@pytest.mark.usefixtures("asking")
async def test_a_person_and_their_company_are_linked_and_post_as_themselves(site: Any) -> None:
    someone = await site.someone()
    key = (await site.house.api_keys.create(someone.id, "assistant", ["linkedin:read", "linkedin:write"])).secret
    async with browser_of(site, someone) as http:
        browser = Browser(http)
        page = await come_back(browser, site)
        assert page.url.path == "/connect/linkedin/choose"
        assert all(name in page.text for name in ("(yourself)", "Sandbox Company 1337", "Sandbox Company 2414183"))
        assert "Sandbox Company 5005" not in page.text
        waiting = (await http.get("/api/connections")).json()
        assert waiting["connections"]["linkedin"] is False
        assert [one["status"] for one in waiting["details"]] == ["incomplete"]
        assert [item["kind"] for item in waiting["details"][0]["missing"]] == ["choice"]

        linked = await browser.send("/connect/linkedin/choose", origin=site.origin, follow=True, choice="1337")
        assert "Sandbox Company 1337" in linked.text
        await come_back(browser, site, "?account=me")
        await browser.send("/connect/linkedin/choose", origin=site.origin, follow=True, choice="member")
        details = (await http.get("/api/connections")).json()["details"]
    named = {one["account"]: (one["external_id"][:20], one["display_name"].rstrip("0123456789 ")) for one in details}
    assert named["default"] == ("urn:li:organization:", "Sandbox Company")
    assert named["me"][1] == "Sandbox Member"

    async with httpx2.AsyncClient(base_url=site.origin, headers={"x-api-key": key}) as assistant:
        for account, author in (("default", "urn:li:organization:1337"), ("me", "urn:li:person:")):
            made = await assistant.post("/api/linkedin/post", json={"text": f"From {account}", "account": account})
            assert made.status_code == 200, made.text
            post_id = made.json()["post_id"]
            (message,) = [one for one in site.sandbox.recorder.messages() if one.id == post_id]
            assert message.account.startswith(author)


@pytest.mark.usefixtures("asking")
async def test_what_is_none_of_ones_pages_cannot_be_chosen(site: Any) -> None:
    someone = await site.someone()
    async with browser_of(site, someone) as http:
        browser = Browser(http)
        await come_back(browser, site)
        refused = await browser.send("/connect/linkedin/choose", origin=site.origin, choice="5005")
    assert refused.status_code == 400
    assert "none of the accounts that you may use" in refused.text
    assert await site.house.connections.accounts(someone.id) == {}
