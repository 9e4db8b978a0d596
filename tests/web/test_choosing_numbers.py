"""Choosing one of a business account's phone numbers: the pages, as a browser without scripts gets them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from web.conftest import Someone
from web.people.conftest import hidden_fields

pytestmark = pytest.mark.asyncio(loop_scope="session")

FORM, CHOICE = "/connect/whatsapp", "/connect/whatsapp/choose?account=default"


def pasted(business: str, word: str = "severalnumbers", phone: str = "") -> dict[str, str]:
    """What is filled in; without the number's id."""
    first = phone or f"20{business[2:]}"
    return {"access_token": f"EAAsandbox-{first}-{business}-{word}", "business_account_id": business}


@dataclass
class Tab:
    """A browser without scripts, in which somebody is signed in."""

    who: Someone
    http: httpx2.AsyncClient

    async def send(self, shown: str, action: str, **fields: str) -> httpx2.Response:
        """Fill in and send the form that leads to `action` on the page `shown`."""
        page = await self.http.get(shown)
        return await self.http.post(action, data={**hidden_fields(page.text, action), **fields})

    async def choose(self, choice: str) -> httpx2.Response:
        return await self.send(CHOICE, "/connect/whatsapp/choose", choice=choice)

    async def details(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.http.get("/api/connections")).json()["details"]
        return found


Open = Callable[[], Awaitable[Tab]]


@pytest_asyncio.fixture(loop_scope="session")
async def tab(site: Any) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def open_one() -> Tab:
            someone = await site.someone()
            http = httpx2.AsyncClient(
                base_url=site.origin, cookies={"session": someone.token}, headers={"origin": site.origin}
            )
            return Tab(someone, await stack.enter_async_context(http))

        yield open_one


def offered(page: str) -> list[str]:
    return [part.partition('"')[0] for part in page.split('name="choice" value="')[1:]]


async def test_of_several_numbers_the_person_chooses_one(tab: Open) -> None:
    person, stranger = await tab(), await tab()
    given = pasted("102290129340501")
    sent = await person.send(FORM, FORM, **given)
    assert (sent.status_code, sent.headers["location"]) == (303, CHOICE)
    (waiting,) = await person.details()
    assert (waiting["status"], [lack["kind"] for lack in waiting["missing"]]) == ("incomplete", ["choice"])
    page = (await person.http.get(CHOICE)).text
    numbers = offered(page)
    assert len(numbers) == 3
    assert page.count(", Sandbox business</button>") == 3
    assert given["access_token"] not in page
    assert (await stranger.http.get(CHOICE)).status_code == 400
    done = await person.choose(numbers[1])
    assert (done.status_code, done.headers["location"]) == (303, "/connect/whatsapp?connected=default")
    (linked,) = await person.details()
    assert (linked["status"], linked["external_id"]) == ("connected", numbers[1])
    assert {"subscription", "number"} <= {step["id"] for step in linked["steps"] if step["state"] == "done"}
    assert (await person.http.get(CHOICE)).status_code == 400, "a choice is taken once"


async def test_the_only_number_is_taken_without_asking(tab: Open) -> None:
    person = await tab()
    sent = await person.send(FORM, FORM, **pasted("102290129340502", "x"), phone_number_id="")
    assert sent.headers["location"] == "/connect/whatsapp?connected=default"
    (linked,) = await person.details()
    assert (linked["status"], linked["external_id"]) == ("connected", "202290129340502")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (pasted("102290129340503", "nonumbers"), "business account has no phone number"),
        (pasted("102290129340503", "expired"), "did not accept these credentials"),
        (pasted("102290129340503", "nomanagement"), "did not accept these credentials"),
        (pasted("102290129340503") | {"business_account_id": "102290129340999"}, "It does not exist"),
        (pasted("102290129340503") | {"business_account_id": ""}, "Enter the business account ID."),
    ],
    ids=["none", "expired", "no-permission", "no-such-business", "no-business"],
)
async def test_what_is_wrong_is_said_on_the_form(tab: Open, given: dict[str, str], said: str) -> None:
    person = await tab()
    answer = await person.send(FORM, FORM, **given)
    assert 400 <= answer.status_code < 500
    assert said in answer.text
    assert given["access_token"] not in answer.text
    assert await person.details() == []


async def test_a_program_is_told_the_numbers_and_names_one(site: Any, tab: Open) -> None:
    person = await tab()
    key = (await site.house.api_keys.create(person.who.id, "program")).secret
    given = {"accessToken": pasted("102290129340504")["access_token"], "businessAccountId": "102290129340504"}
    async with httpx2.AsyncClient(base_url=site.origin, headers={"x-api-key": key}) as program:
        refused = await program.post("/api/connect/whatsapp", json=given)
        assert refused.status_code == 400
        problem = refused.json()
        assert [field["field"] for field in problem["fields"]] == ["phoneNumberId"]
        assert all(choice["id"] in problem["detail"] for choice in problem["choices"])
        assert await person.details() == []
        assert offered((await person.http.get(CHOICE)).text) == []
        chosen = problem["choices"][2]["id"]
        linked = await program.post("/api/connect/whatsapp", json={**given, "phoneNumberId": chosen})
        assert (linked.status_code, linked.json()["external_id"]) == (200, chosen)


async def test_a_number_that_another_customer_holds_is_refused_and_another_can_be_chosen(tab: Open) -> None:
    first, second = await tab(), await tab()
    given = pasted("102290129340505")
    for person in (first, second):
        await person.send(FORM, FORM, **given)
    numbers = offered((await first.http.get(CHOICE)).text)
    await first.choose(numbers[0])
    refused = await second.choose(numbers[0])
    assert (refused.status_code, "already linked elsewhere" in refused.text) == (409, True)
    assert offered(refused.text) == numbers
    assert (await second.details())[0]["status"] == "incomplete"
    assert (await second.choose(numbers[1])).status_code == 303
    assert [(await each.details())[0]["external_id"] for each in (first, second)] == numbers[:2]


async def test_disconnecting_ends_the_choice(tab: Open) -> None:
    person = await tab()
    await person.send(FORM, FORM, **pasted("102290129340506"))
    await person.send("/connect", "/connect/whatsapp/disconnect", account="default")
    assert await person.details() == []
    assert (await person.http.get(CHOICE)).status_code == 400


async def test_the_description_says_what_may_be_left_out(site: Any) -> None:
    async with httpx2.AsyncClient(base_url=site.origin) as program:
        described = (await program.get("/openapi.json")).json()
    body = described["paths"]["/api/connect/{platform}"]["post"]["requestBody"]["content"]["application/json"]
    (credentials,) = (one for one in body["schema"]["oneOf"] if one["title"] == "WhatsApp")
    assert set(credentials["properties"]) == {"accessToken", "businessAccountId", "phoneNumberId", "account"}
    assert set(credentials["required"]) == {"accessToken", "businessAccountId"}
