"""Signing in and out through the pages."""

from __future__ import annotations

from typing import Any

import pytest
from pwdlib.hashers.bcrypt import BcryptHasher
from sqlalchemy import update

from hermes.identity import passwords
from hermes.identity.browsers import Browser as Stranger
from hermes.identity.models import Customer
from web.people.conftest import ORIGIN, PASSWORD, Town

pytestmark = pytest.mark.storage


async def test_in_and_out(town: Town) -> None:
    customer_id = await town.customer()
    browser = await town.browser()
    page = await browser.open("/login?return_to=/account%3Fa%3D1")
    assert page.status_code == 200
    assert page.headers["strict-transport-security"]
    done = await browser.send("/login", email="Ada@Example.com", password=PASSWORD)
    assert (done.status_code, done.headers["location"]) == (303, "/account?a=1")
    cookie = next(c for c in done.headers.get_list("set-cookie") if c.startswith("session="))
    assert {"HttpOnly", "Secure", "SameSite=lax", "Max-Age=604800", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    me = (await browser.http.get("/api/me")).json()
    assert (me["customer_id"], me["via"]) == (customer_id, "session")
    assert (await browser.open("/login")).headers["location"] == "/account"
    told = await browser.open("/verify-email?token=x")  # any page has the form that signs out
    assert "ada@example.com" in told.text
    out = await browser.send("/logout")
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert not browser.signed_in
    assert await town.house.sessions.list(customer_id) == []
    assert await town.trail(customer_id) == [
        ("customer.create", "success"), ("session.begin", "success"), ("session.end", "success"),
    ]  # fmt: skip


async def test_to_an_authorization_request_it_goes_on_without_a_redirect_of_the_form(town: Town) -> None:
    await town.customer()
    browser = await town.browser()
    await browser.open("/login?return_to=/oauth/authorize%3Fclient_id%3D%2522x")
    done = await browser.send("/login", email="ada@example.com", password=PASSWORD)
    assert done.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/oauth/authorize?client_id=%22x">' in done.text
    assert browser.signed_in


@pytest.mark.attack("login")
@pytest.mark.parametrize("return_to", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x"])
async def test_it_never_leads_elsewhere(town: Town, return_to: str) -> None:
    await town.customer()
    browser = await town.browser()
    await browser.open("/login")
    done = await browser.send("/login", email="ada@example.com", password=PASSWORD, return_to=return_to)
    assert done.headers["location"] == "/account"


@pytest.mark.attack("login")
async def test_a_wrong_password_and_an_unknown_address_look_alike(town: Town) -> None:
    await town.customer()
    await town.house.customers.create("nopassword@example.com")
    pages = []
    for address, password in [
        ("ada@example.com", "not the password"),
        ("nobody@example.com", PASSWORD),
        ("nopassword@example.com", PASSWORD),
        ("ada@example.com", ""),
        ("ada@example.com", "x" * 100_0),
        ("not an address", PASSWORD),
    ]:
        browser = await town.browser()
        answer = await browser.sign_in(address, password)
        pages.append((answer.status_code, answer.text.replace(address, "…").split("csrf_token")[0]))
        assert not browser.signed_in
    assert set(pages) == {pages[0]}
    assert pages[0][0] == 403
    assert "The address or the password is wrong." in pages[0][1]


@pytest.mark.usefixtures("full_cost")
async def test_the_same_work_is_done_for_an_unknown_address(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    real = passwords._hasher().verify_and_update

    def counting(password: str, kept: str) -> Any:
        checked.append(kept[:20])
        return real(password, kept)

    monkeypatch.setattr(passwords._hasher(), "verify_and_update", counting)
    await town.customer()
    for address in ("ada@example.com", "nobody@example.com"):
        await (await town.browser()).sign_in(address, "not the password")
    assert checked[0] == checked[1]  # algorithm and cost
    assert checked[0].startswith("$argon2id$")


@pytest.mark.usefixtures("full_cost")
async def test_a_bcrypt_hash_is_taken_and_replaced(town: Town) -> None:
    customer_id = await town.customer()
    old = BcryptHasher().hash(PASSWORD)
    async with town.database.session() as session:
        await session.execute(update(Customer).where(Customer.id == customer_id).values(password_hash=old))
    browser = await town.browser()
    assert (await browser.sign_in("ada@example.com", "x" * 80)).status_code == 403
    assert (await browser.sign_in("ada@example.com")).status_code == 303
    renewed = (await town.house.customers.get(customer_id)).password_hash or ""
    assert renewed.startswith("$argon2id$")
    assert (await (await town.browser()).sign_in("ada@example.com")).status_code == 303


@pytest.mark.attack("login")
async def test_a_suspended_customer_is_told_only_with_the_right_password(town: Town) -> None:
    customer_id = await town.customer()
    await town.house.customers.suspend(customer_id)
    browser = await town.browser()
    assert "suspended" not in (await browser.sign_in("ada@example.com", "not the password")).text
    answer = await browser.sign_in("ada@example.com")
    assert (answer.status_code, "suspended" in answer.text) == (403, True)
    assert not browser.signed_in


@pytest.mark.attack("login")
async def test_another_site_cannot_sign_anybody_in_or_out(town: Town) -> None:
    await town.customer()
    browser, other = await town.browser(), await town.browser()
    await browser.open("/login")
    for origin in ("https://evil.example", "null", ORIGIN + ".evil.example"):
        answer = await browser.send("/login", origin=origin, email="ada@example.com", password=PASSWORD)
        assert answer.status_code == 403
        await browser.open("/login")
    await other.open("/login")
    browser.page = other.page  # a form that was made for another browser
    assert (await browser.send("/login", email="ada@example.com", password=PASSWORD)).status_code == 403
    assert not browser.signed_in
    await browser.sign_in("ada@example.com")
    await browser.open("/verify-email?token=x")
    assert (await browser.send("/logout", origin="https://evil.example")).status_code == 403
    assert (await browser.http.get("/logout")).status_code == 405
    assert (await browser.http.get("/api/me")).status_code == 200


@pytest.mark.attack("login")
async def test_strangers_guesses_stop_and_the_owner_still_gets_in(town: Town) -> None:
    await town.customer()
    owner = await town.browser("198.51.100.1")
    assert (await owner.sign_in("ada@example.com")).status_code == 303
    owner.http.cookies.delete("session")
    stranger = await town.browser("203.0.113.66")
    answers = [(await stranger.sign_in("ada@example.com", f"guess {n}")).status_code for n in range(12)]
    assert answers == [403] * 10 + [429] * 2
    assert (await stranger.sign_in("ada@example.com")).status_code == 429  # also with the right one
    assert (await stranger.sign_in("nobody@example.com", "x")).status_code == 403  # another account is not refused
    elsewhere = await town.browser("192.0.2.99")
    assert (await elsewhere.sign_in("ada@example.com")).status_code == 303
    same_address = await town.browser("203.0.113.66")
    same_address.http.cookies.update(owner.http.cookies)
    assert (await same_address.sign_in("ada@example.com")).status_code == 303  # a known browser, beside the stranger


@pytest.mark.attack("login")
async def test_guesses_from_everywhere_leave_the_owner_two_ways(town: Town) -> None:
    await town.customer()
    owner = await town.browser("198.51.100.1")
    await owner.sign_in("ada@example.com")
    owner.http.cookies.delete("session")
    throttle = town.house.people.account._throttle
    customer = await town.house.customers.find("ada@example.com")
    for n in range(99):
        await throttle.try_account(customer.email_key, customer.id, Stranger(f"10.0.{n}.1", "x", "b"))
    fresh = await town.browser("192.0.2.1")
    refused = await fresh.sign_in("ada@example.com")
    assert (refused.status_code, "Forgot your password?" in refused.text) == (429, True)
    assert (await owner.sign_in("ada@example.com")).status_code == 303
    await fresh.open("/reset-password")
    await fresh.send("/reset-password", email="ada@example.com")
    await fresh.open(await town.link())
    assert (await fresh.send("/reset-password/new", password="another good password")).status_code == 200
    assert (await fresh.sign_in("ada@example.com", "another good password")).status_code == 303


async def test_without_a_provider_there_is_no_other_way(town: Town) -> None:
    browser = await town.browser()
    assert "/login/provider" not in (await browser.open("/login")).text
    assert (await browser.open("/login/provider")).status_code == 409


async def test_who_is_suspended_while_signed_in_can_sign_in_as_somebody_else(town: Town) -> None:
    customer_id = await town.customer()
    await town.customer("bob@example.com", "the password of bob")
    browser = await town.browser()
    await browser.sign_in("ada@example.com")
    await town.house.customers.suspend(customer_id)
    _, other_app = town.replica()
    browser.http._transport = (await town.browser(app=other_app)).http._transport
    assert (await browser.http.get("/api/me")).status_code == 403
    assert (await browser.open("/account")).headers["location"] == "/login?return_to=/account"
    assert (await browser.sign_in("bob@example.com", "the password of bob")).status_code == 303
    assert (await browser.http.get("/api/me")).json()["email"] == "bob@example.com"
