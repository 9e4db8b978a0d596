"""Signing up, choosing a new password and confirming a new address, by the links that are mailed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from hermes.identity.models import MailedToken
from web.people.conftest import PASSWORD, Town, link_in

pytestmark = pytest.mark.storage

NEW = "another good password"


async def test_signing_up(town: Town) -> None:
    browser = await town.browser()
    await browser.open("/signup")
    sent = await browser.send("/signup", email="Ada@example.com")
    assert (sent.status_code, "Look into your mailbox" in sent.text) == (200, True)
    link = await town.link()
    async with town.database.reading() as session:
        kept = (await session.scalars(select(MailedToken))).one()
    assert link.split("token=")[1] not in repr(vars(kept))
    elsewhere = await town.browser("192.0.2.5")  # the mail is read on another device
    assert "Ada@example.com" in (await elsewhere.open(link)).text
    assert (await elsewhere.open(link)).status_code == 200  # looking changes nothing
    short = await elsewhere.send("/signup", password="short")
    assert (short.status_code, "12 to 256 characters" in short.text) == (400, True)
    done = await elsewhere.send("/signup", password=PASSWORD)
    assert (done.status_code, done.headers["location"]) == (303, "/account")
    me = (await elsewhere.http.get("/api/me")).json()
    assert (me["email"], me["plan"], me["role"]) == ("Ada@example.com", "free", "customer")
    assert (await elsewhere.open(link)).status_code == 404
    assert (await (await town.browser()).sign_in("ada@example.com")).status_code == 303
    assert ("customer.sign_up", "success") in await town.trail(me["customer_id"])


async def test_an_address_with_an_account_gets_the_same_answer_and_another_mail(town: Town) -> None:
    await town.customer()
    answers = []
    for address in ("ADA@example.com", "new@example.com"):
        browser = await town.browser()
        await browser.open("/signup")
        answer = await browser.send("/signup", email=address)
        answers.append((answer.status_code, answer.text.replace(address, "…").split("csrf_token")[0]))
    assert answers[0] == answers[1]
    known, new = await town.mails()
    assert (known["to"], new["to"]) == ("ada@example.com", "new@example.com")
    assert "It has an" in known.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert link_in(known).startswith("/reset-password/new")


@pytest.mark.parametrize("environ", [{"SIGNUP": "closed"}, {"SIGNUP": "invite"}])
async def test_signing_up_where_it_is_not_open(town: Town) -> None:
    browser = await town.browser()
    assert "by invitation only" in (await browser.open("/signup")).text
    await browser.open("/reset-password")
    browser.page.__dict__["_content"] = browser.page.content.replace(b"reset-password", b"signup")  # type: ignore[union-attr]
    assert (await browser.send("/signup", email="ada@example.com")).status_code == 403
    assert await town.mails() == []


async def test_a_link_works_once_also_for_two_at_the_same_moment(town: Town) -> None:
    browser = await town.browser()
    await browser.open("/signup")
    await browser.send("/signup", email="ada@example.com")
    link = await town.link()
    _, other_app = town.replica()
    racers = [await town.browser(), await town.browser("192.0.2.6", app=other_app)]
    for racer in racers:
        await racer.open(link)
    done = await asyncio.gather(*(racer.send("/signup", password=PASSWORD) for racer in racers))
    assert sorted(answer.status_code for answer in done) in ([303, 404], [303, 409])


async def test_links_end(town: Town) -> None:
    await town.customer()
    browser = await town.browser()
    await browser.open("/reset-password")
    await browser.send("/reset-password", email="ada@example.com")
    link = await town.link()
    await browser.open(link)
    async with town.database.session() as session:
        await session.execute(update(MailedToken).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert (await browser.send("/reset-password/new", password=NEW)).status_code == 404
    assert (await browser.open(link)).status_code == 404
    assert (await browser.open("/reset-password/new")).status_code == 404
    assert (await browser.open(link.replace("/reset-password/new", "/signup"))).status_code == 404


async def test_a_new_password_ends_everything_and_voids_other_links(town: Town) -> None:
    customer_id = await town.customer()
    signed_in = await town.browser("198.51.100.1")
    await signed_in.sign_in("ada@example.com")
    browser = await town.browser()
    links = []
    for _ in range(2):
        await browser.open("/reset-password")
        await browser.send("/reset-password", email="ada@example.com")
        links.append(await town.link())
    await browser.open(links[0])
    told = await browser.send("/reset-password/new", password=NEW)
    assert (told.status_code, "Your password is changed" in told.text) == (200, True)
    assert not browser.signed_in
    assert await town.house.sessions.list(customer_id) == []
    _, other_app = town.replica()
    signed_in.http._transport = (await town.browser(app=other_app)).http._transport
    assert (await signed_in.http.get("/api/me")).status_code == 401
    assert (await browser.open(links[1])).status_code == 404
    (notice,) = await town.mails()
    assert notice["subject"] == "Your password was changed"
    assert (await browser.sign_in("ada@example.com", PASSWORD)).status_code == 403
    assert (await browser.sign_in("ada@example.com", NEW)).status_code == 303
    assert ("password.reset", "success") in await town.trail(customer_id)


async def test_an_unknown_address_gets_the_same_answer_and_a_mail_that_says_so(town: Town) -> None:
    await town.customer()
    answers = []
    for address in ("ada@example.com", "nobody@example.com"):
        browser = await town.browser()
        await browser.open("/reset-password")
        answer = await browser.send("/reset-password", email=address)
        answers.append((answer.status_code, answer.text.replace(address, "…").split("csrf_token")[0]))
    assert answers[0] == answers[1]
    reset, none = await town.mails()
    assert (reset["to"], none["to"]) == ("ada@example.com", "nobody@example.com")
    assert "token" not in none.as_string()


async def test_nobody_is_flooded_with_mails(town: Town) -> None:
    await town.customer()
    for n in range(5):
        browser = await town.browser(f"192.0.2.{n}")
        await browser.open("/reset-password")
        assert (await browser.send("/reset-password", email="ADA@example.com")).status_code == 200
    assert len(await town.mails()) == 3
    statuses = []
    browser = await town.browser("192.0.2.200")
    for n in range(21):
        await browser.open("/reset-password")
        statuses.append((await browser.send("/reset-password", email=f"nobody{n}@example.com")).status_code)
    assert statuses == [200] * 20 + [429]


@pytest.mark.parametrize("address", ["", "ada", "ada@", "a\r\nbcc: eve@example.com", "ada@example.com\nx"])
async def test_what_is_no_address_is_said_beside_the_field(town: Town, address: str) -> None:
    browser = await town.browser()
    await browser.open("/reset-password")
    answer = await browser.send("/reset-password", email=address)
    assert (answer.status_code, "is no e-mail address" in answer.text) == (400, True)
    assert await town.mails() == []


async def test_a_new_address_counts_once_it_is_confirmed_and_both_are_told(town: Town) -> None:
    customer_id = await town.customer()
    browser = await town.browser()
    await browser.sign_in("ada@example.com")
    await browser.open("/account/email")
    wrong = await browser.send("/account/email", email="ada@new.example", password="not the password")
    assert (wrong.status_code, "is not your present password" in wrong.text) == (400, True)
    assert 'value="ada@new.example"' in wrong.text
    sent = await browser.send("/account/email", email="ada@new.example", password=PASSWORD)
    assert (sent.status_code, sent.headers["location"]) == (303, "/account?done=email")
    new, old = sorted(await town.mails(), key=lambda mail: mail["to"] == "ada@example.com")
    assert (new["to"], old["to"]) == ("ada@new.example", "ada@example.com")
    assert "ada@new.example" in old.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert (await town.house.customers.get(customer_id)).email == "ada@example.com"
    elsewhere = await town.browser("192.0.2.9")
    assert "ada@new.example" in (await elsewhere.open(link_in(new))).text
    assert (await elsewhere.send("/verify-email")).status_code == 200
    assert (await town.house.customers.get(customer_id)).email == "ada@new.example"
    (told,) = await town.mails()
    assert (told["to"], told["subject"]) == ("ada@example.com", "Your address was changed")
    assert (await elsewhere.open(link_in(new))).status_code == 404
    assert (await elsewhere.sign_in("ada@new.example")).status_code == 303
    assert (await (await town.browser()).sign_in("ada@example.com")).status_code == 403
    actions = [action for action, _ in await town.trail(customer_id)]
    assert [a for a in actions if a.startswith("email.")] == ["email.ask_change", "email.change"]


async def test_an_address_that_another_took_meanwhile_stays_theirs(town: Town) -> None:
    customer_id = await town.customer()
    browser = await town.browser()
    await browser.sign_in("ada@example.com")
    await browser.open("/account/email")
    await browser.send("/account/email", email="eve@example.com", password=PASSWORD)
    link = next(link_in(mail) for mail in await town.mails() if mail["to"] == "eve@example.com")
    await town.customer("Eve@example.com", "the password of eve")
    await browser.open(link)
    assert (await browser.send("/verify-email")).status_code == 409
    assert (await town.house.customers.get(customer_id)).email == "ada@example.com"
    assert (await browser.open("/account")).status_code == 200
