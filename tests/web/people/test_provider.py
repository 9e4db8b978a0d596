"""Signing in through a provider of OpenID Connect."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pyotp
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from sqlalchemy import update

from hermes.identity.models import Customer
from web.people.conftest import PASSWORD, Browser, Town
from web.people.provider import CLIENT_ID, CLIENT_SECRET, Provider, running
from web.people.test_account import add_app

pytestmark = pytest.mark.storage


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running(Provider()) as provider:
        yield provider


@pytest.fixture
def environ(provider: Provider, request: pytest.FixtureRequest) -> dict[str, str]:
    return {
        "SIGNUP": getattr(request, "param", "open"),
        "OIDC_ISSUER": provider.issuer,
        "OIDC_CLIENT_ID": CLIENT_ID,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "OIDC_NAME": "Acme",
    }


async def go(provider: Provider, browser: Browser, **changed: str) -> Any:
    """Sign in at the provider and come back."""
    start = await browser.open("/login/provider?return_to=/account")
    assert start.status_code == 303
    answer = provider.authorize(start.headers["location"]) | changed
    return await browser.open(f"/login/provider/callback?{urlencode(answer)}")


async def link(provider: Provider, browser: Browser, password: str = PASSWORD) -> Any:
    await browser.open("/account/provider")
    page = await browser.send("/account/provider", password=password)
    if page.status_code != 200:
        return page
    url = page.text.split("url=")[1].split('"')[0].replace("&amp;", "&")
    return await browser.open(f"/login/provider/callback?{urlencode(provider.authorize(url))}")


async def test_a_new_person_signs_up(town: Town, provider: Provider) -> None:
    browser = await town.browser()
    assert "Sign in with Acme" in (await browser.open("/login")).text
    back = await go(provider, browser)
    assert (back.status_code, back.headers["location"]) == (303, "/account")
    me = (await browser.http.get("/api/me")).json()
    assert (me["email"], me["via"]) == ("ada@example.com", "session")
    assert ("customer.sign_up", "success") in await town.trail(me["customer_id"])
    again = await town.browser("192.0.2.1")
    provider.email = "changed@example.com"
    await go(provider, again)
    assert (await again.http.get("/api/me")).json()["customer_id"] == me["customer_id"]


@pytest.mark.attack("login")
async def test_an_address_with_an_account_is_never_taken_over(town: Town, provider: Provider) -> None:
    customer_id = await town.customer()
    browser = await town.browser()
    back = await go(provider, browser)
    assert (back.status_code, browser.signed_in) == (409, False)
    assert "then link the provider on your account page" in back.text.replace("\n", " ")
    await browser.sign_in("ada@example.com")
    done = await link(provider, browser)
    assert (done.status_code, done.headers["location"]) == (303, "/account?done=linked")
    assert "Signed in through" in (await browser.open("/account")).text
    assert [mail["subject"] for mail in await town.mails()] == ["Acme can sign you in now"]
    fresh = await town.browser("192.0.2.1")
    await go(provider, fresh)
    assert (await fresh.http.get("/api/me")).json()["customer_id"] == customer_id
    assert ("provider.link", "success") in await town.trail(customer_id)
    await browser.open("/account")
    assert (await browser.send("/account/provider/remove")).status_code == 303
    assert (await go(provider, await town.browser("192.0.2.2"))).status_code == 409


async def test_an_address_that_the_provider_does_not_vouch_for_makes_no_account(town: Town, provider: Provider) -> None:
    for verified in (False, "true", 1, None):
        provider.changed = {"email_verified": verified}
        browser = await town.browser()
        assert ((await go(provider, browser)).status_code, browser.signed_in) == (409, False)


@pytest.mark.parametrize("environ", ["invite", "closed"], indirect=True)
async def test_no_account_is_made_where_signing_up_is_not_open(town: Town, provider: Provider) -> None:
    browser = await town.browser()
    assert ((await go(provider, browser)).status_code, browser.signed_in) == (409, False)


async def test_linking_wants_the_password_and_leaves_others_accounts_alone(town: Town, provider: Provider) -> None:
    await town.customer()
    await town.customer("eve@example.com", "the password of eve")
    ada, eve = await town.browser(), await town.browser("192.0.2.3")
    await ada.sign_in("ada@example.com")
    await eve.sign_in("eve@example.com", "the password of eve")
    assert (await link(provider, ada, "not the password")).status_code == 400
    assert (await link(provider, ada)).status_code == 303
    assert (await link(provider, eve, "the password of eve")).status_code == 409
    await eve.open("/account/provider")
    page = await eve.send("/account/provider", password="the password of eve")
    url = page.text.split("url=")[1].split('"')[0].replace("&amp;", "&")
    provider.subject = "subject-of-eve"
    answer = urlencode(provider.authorize(url))
    eve.http.cookies.delete("session")  # signed out meanwhile
    assert (await eve.open(f"/login/provider/callback?{answer}")).status_code == 409


async def test_a_second_factor_is_asked_for_here_too(town: Town, provider: Provider) -> None:
    await town.customer()
    browser = await town.browser()
    await browser.sign_in("ada@example.com")
    await link(provider, browser)
    totp, _ = await add_app(browser)
    fresh = await town.browser("192.0.2.4")
    page = await go(provider, fresh)
    assert ("Enter your code" in page.text, fresh.signed_in) == (True, False)
    assert isinstance(totp, pyotp.TOTP)
    done = await fresh.send("/login/code", code=totp.at(int(time.time()), counter_offset=1))
    assert done.status_code == 303


async def test_a_suspended_customer_stays_out(town: Town, provider: Provider) -> None:
    browser = await town.browser()
    await go(provider, browser)
    async with town.database.session() as session:
        await session.execute(update(Customer).values(status="suspended"))
    fresh = await town.browser("192.0.2.5")
    assert ((await go(provider, fresh)).status_code, fresh.signed_in) == (403, False)


@pytest.mark.attack("login")
async def test_the_answer_counts_once_and_in_the_browser_that_asked(town: Town, provider: Provider) -> None:
    browser, thief = await town.browser(), await town.browser("192.0.2.6")
    start = await browser.open("/login/provider")
    callback = f"/login/provider/callback?{urlencode(provider.authorize(start.headers['location']))}"
    await thief.open("/login")
    assert ((await thief.open(callback)).status_code, thief.signed_in) == (409, False)
    assert ((await browser.open(callback)).status_code, browser.signed_in) == (409, False)  # it was shown to another
    start = await browser.open("/login/provider")
    callback = f"/login/provider/callback?{urlencode(provider.authorize(start.headers['location']))}"
    _, other_app = town.replica()
    other = await town.browser(app=other_app)
    other.http.cookies.update(browser.http.cookies)
    assert (await other.open(callback)).status_code == 303  # another replica, after a restart of the first
    assert (await browser.open(callback)).status_code == 409


@pytest.mark.attack("login")
@pytest.mark.parametrize(
    "changed",
    [
        {"state": "another"},
        {"state": ""},
        {"code": ""},
        {"code": "another"},
        {"iss": "https://another.example"},
        {"error": "access_denied", "code": ""},
    ],
    ids="-".join,
)
async def test_a_wrong_answer_signs_nobody_in(town: Town, provider: Provider, changed: dict[str, str]) -> None:
    browser = await town.browser()
    answer = await go(provider, browser, **changed)
    assert answer.status_code in (409, 503)
    assert not browser.signed_in


def _none_token(claims: dict[str, Any]) -> str:
    def part(members: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part(claims)}."


WRONG: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://another.example"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "another"},
    "no audience": {"aud": None},
    "another party": {"azp": "another"},
    "several audiences without a party": {"aud": [CLIENT_ID, "another"]},
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "expired": {"exp": int(time.time()) - 3600},
    "no expiry": {"exp": None},
    "from the future": {"iat": int(time.time()) + 3600},
    "no subject": {"sub": None},
    "empty subject": {"sub": ""},
    "a subject that is a number": {"sub": 7},
    "a long subject": {"sub": "x" * 256},
}


@pytest.mark.attack("login")
@pytest.mark.parametrize("changed", WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_claim_signs_nobody_in(town: Town, provider: Provider, changed: dict[str, Any]) -> None:
    provider.changed = changed
    browser = await town.browser()
    assert ((await go(provider, browser)).status_code, browser.signed_in) == (409, False)


FORGED = ("alg none", "another key", "HS256 with the public key", "HS256 with the client secret", "garbage")


@pytest.mark.attack("login")
@pytest.mark.parametrize("kind", FORGED)
async def test_a_forged_token_signs_nobody_in(town: Town, provider: Provider, kind: str) -> None:
    browser = await town.browser()
    start = await browser.open("/login/provider")
    location = start.headers["location"]
    nonce = dict(parse_qsl(urlsplit(location).query))["nonce"]
    right = provider.id_token(nonce)
    claims = jwt.decode(right, provider.key, algorithms=["RS256"]).claims
    other = RSAKey.generate_key(2048, {"kid": "one"})
    modulus = provider.key.as_dict(private=False)["n"]
    public = OctKey.import_key(str(modulus))  # joserfc takes no PEM as a shared secret
    provider.token = {
        "alg none": _none_token(claims),
        "another key": jwt.encode({"alg": "RS256", "kid": "one"}, claims, other, algorithms=["RS256"]),
        "HS256 with the public key": jwt.encode({"alg": "HS256", "kid": "one"}, claims, public, algorithms=["HS256"]),
        "HS256 with the client secret": jwt.encode(
            {"alg": "HS256"}, claims, OctKey.import_key(CLIENT_SECRET), algorithms=["HS256"]
        ),
        "garbage": "a.b.c",
    }[kind]
    callback = f"/login/provider/callback?{urlencode(provider.authorize(location))}"
    assert ((await browser.open(callback)).status_code, browser.signed_in) == (409, False)


async def test_keys_that_change_are_asked_for_anew(town: Town, provider: Provider) -> None:
    await go(provider, await town.browser())
    provider.key, provider.alg = ECKey.generate_key("P-256", {"kid": "two"}), "ES256"
    browser = await town.browser("192.0.2.8")
    assert (await go(provider, browser)).status_code == 303


@pytest.mark.parametrize(
    "document",
    [{"issuer": "https://another.example"}, {"jwks_uri": None}, {"jwks_uri": "http://169.254.169.254/keys"}],
    ids=["issuer", "no-keys", "inside"],
)
async def test_a_provider_that_is_out_of_order(town: Town, provider: Provider, document: dict[str, Any]) -> None:
    provider.document = document
    browser = await town.browser()
    answer = await browser.open("/login/provider")
    assert (answer.status_code, "sign in with your password" in answer.text) == (503, True)
