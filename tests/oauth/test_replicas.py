"""Every step of every flow on another replica, or on one that has just been started: all of them still end well."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import cycle
from urllib.parse import urlencode

import httpx2
import pytest
from pydantic import SecretStr

from oauth.conftest import CALLBACK, ISSUER, Gateway, Pkce, Replica, answer_of, asking
from web.people.conftest import hidden_fields

pytestmark = pytest.mark.storage

PASSWORD = "correct horse battery staple"


class Anywhere(httpx2.AsyncBaseTransport):
    """Takes each request to the replica whose turn it is."""

    def __init__(self, turn: Callable[[], Awaitable[Replica]]) -> None:
        self._turn = turn

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await (await self._turn()).http.send(request)


@pytest.fixture(params=["two replicas by turns", "a restart between any two steps"])
async def browser(request: pytest.FixtureRequest, gateway: Gateway) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser, and whatever else speaks HTTP, whose every request is answered by another process."""
    pair = cycle([await gateway.replica(), await gateway.replica()])

    async def by_turns() -> Replica:
        return next(pair)

    turn = by_turns if request.param.startswith("two") else gateway.replica
    async with httpx2.AsyncClient(
        transport=Anywhere(turn), base_url=ISSUER, headers={"accept": "text/html"}, cookies={}
    ) as client:
        yield client


async def submit(browser: httpx2.AsyncClient, page: httpx2.Response, action: str, **fields: str | list[str]) -> str:
    """Send a form of a page; returns where it leads."""
    assert page.status_code == 200, page.text
    data = {**hidden_fields(page.text, action), **fields}
    answer = await browser.post(html.unescape(action), data=data, headers={"origin": ISSUER})
    assert answer.status_code in (200, 303), answer.text
    return answer.headers.get("location", "")


async def sign_in(browser: httpx2.AsyncClient, place: str) -> None:
    await submit(browser, await browser.get(place), "/login", email="ada@example.com", password=PASSWORD)
    assert browser.cookies.get("session")


async def agree(browser: httpx2.AsyncClient, client_id: str, pkce: Pkce, scope: str) -> dict[str, str]:
    """Open the consent page and agree to all that is asked; returns what the browser brings to the assistant."""
    place = f"/oauth/authorize?{urlencode(asking(client_id, pkce, scope=scope))}"
    page = await browser.get(place)
    if page.status_code == 303:
        assert page.headers["location"].startswith("/login?return_to=")
        await sign_in(browser, page.headers["location"])
        page = await browser.get(place)
    action = re.search(r'action="(/oauth/authorize[^"]*)"', page.text)
    assert action is not None, page.text
    location = await submit(browser, page, action[1], answer="agree", grant=scope.split())
    assert location.startswith(f"{CALLBACK}?")
    return answer_of(location)


async def token(browser: httpx2.AsyncClient, client_id: str, **form: str) -> dict[str, str]:
    answer = await browser.post("/oauth/token", data={"client_id": client_id, **form})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def call(browser: httpx2.AsyncClient, access: str) -> httpx2.Response:
    return await browser.post(
        "/api/telegram/message", json={"chat_id": 1, "text": "x"}, headers={"authorization": f"Bearer {access}"}
    )


async def test_signing_an_assistant_in_widening_refreshing_and_revoking(
    browser: httpx2.AsyncClient, one: Replica
) -> None:
    await one.house.customers.create("ada@example.com", "starter", password=SecretStr(PASSWORD))
    client_id = (await one.register())["client_id"]
    pkce = Pkce()
    answer = await agree(browser, client_id, pkce, "telegram:read")
    form = {"grant_type": "authorization_code", "code": answer["code"], "code_verifier": pkce.verifier}
    given = await token(browser, client_id, **form)
    refused = await call(browser, given["access_token"])
    assert refused.status_code == 403
    assert 'scope="telegram:write"' in refused.headers["www-authenticate"]

    pkce = Pkce()
    answer = await agree(browser, client_id, pkce, "telegram:read telegram:write")
    form = {"grant_type": "authorization_code", "code": answer["code"], "code_verifier": pkce.verifier}
    given = await token(browser, client_id, **form)
    given = await token(browser, client_id, grant_type="refresh_token", refresh_token=given["refresh_token"])
    assert (await call(browser, given["access_token"])).json()["code"] == "not_connected"

    ended = await browser.post("/oauth/revoke", data={"client_id": client_id, "token": given["refresh_token"]})
    assert ended.status_code == 200
    late = await one.refresh(client_id, given["refresh_token"])
    assert (late.status_code, late.json()["error"]) == (400, "invalid_grant")
