"""The account page: password, second factor, sessions."""

from __future__ import annotations

import re
import time
from typing import Any

import pyotp
import pytest
from sqlalchemy import select

from hermes.identity.models import RecoveryCode, SecondFactor
from web.people.conftest import PASSWORD, Browser, Town

pytestmark = pytest.mark.storage

NEW = "another good password"
FORMS = ("/account", "/account/password", "/account/email", "/account/second-factor", "/account/recovery-codes")


@pytest.fixture
async def ada(town: Town) -> str:
    return await town.customer()


@pytest.fixture
async def browser(town: Town, ada: str) -> Browser:
    browser = await town.browser()
    await browser.sign_in("ada@example.com")
    return browser


async def add_app(browser: Browser) -> tuple[pyotp.TOTP, list[str]]:
    await browser.open("/account/second-factor")
    page = await browser.send("/account/second-factor", follow=True, password=PASSWORD)
    assert 'src="data:image/svg+xml' in page.text
    found = re.search(r"Key: <code>([A-Z2-7]+)</code>", page.text)
    assert found is not None
    totp = pyotp.TOTP(found[1])
    codes = await browser.send("/account/second-factor/confirm", code=totp.now())
    assert codes.status_code == 200
    return totp, re.findall(r"<li><code>([^<]+)</code>", codes.text)


async def test_who_is_not_signed_in_is_sent_to_sign_in(town: Town) -> None:
    browser = await town.browser()
    for path in FORMS:
        answer = await browser.open(path)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?return_to={path}")


async def test_a_new_password_ends_the_other_browsers_only(town: Town, browser: Browser, ada: str) -> None:
    other = await town.browser("192.0.2.1")
    await other.sign_in("ada@example.com")
    await browser.open("/account/password")
    wrong = await browser.send("/account/password", password="not the password", new_password=NEW)
    assert (wrong.status_code, "is not your present password" in wrong.text) == (400, True)
    short = await browser.send("/account/password", password=PASSWORD, new_password="short")
    assert short.status_code == 400
    assert PASSWORD not in short.text
    done = await browser.send("/account/password", follow=True, password=PASSWORD, new_password=NEW)
    assert "Your password is changed" in done.text
    assert [row.client for row in await town.house.sessions.list(ada)] == ["Firefox/145 (Linux) at 203.0.113.7"]
    (mail,) = await town.mails()
    assert mail["subject"] == "Your password was changed"
    assert (await other.sign_in("ada@example.com", PASSWORD)).status_code in (303, 403)
    fresh = await town.browser("192.0.2.2")
    assert (await fresh.sign_in("ada@example.com", PASSWORD)).status_code == 403
    assert (await fresh.sign_in("ada@example.com", NEW)).status_code == 303
    assert ("password.change", "success") in await town.trail(ada)


async def test_a_code_is_asked_for_and_counts_once(town: Town, browser: Browser, ada: str) -> None:
    totp, codes = await add_app(browser)
    assert len(set(codes)) == 10
    fresh = await town.browser("192.0.2.3")
    page = await fresh.sign_in("ada@example.com")
    assert (page.status_code, "Enter your code" in page.text, fresh.signed_in) == (200, True, False)
    assert (await fresh.send("/login/code", code="000000")).status_code == 403
    code = totp.at(int(time.time()), counter_offset=1)  # later than the one by which the app was added
    assert (await fresh.send("/login/code", code=code)).status_code == 303
    assert fresh.signed_in
    again = await town.browser("192.0.2.4")
    await again.sign_in("ada@example.com")
    answer = await again.send("/login/code", code=code)
    assert (answer.status_code, again.signed_in) == (403, False)
    trail = await town.trail(ada)
    assert ("second_factor.add", "success") in trail
    assert trail.count(("session.begin", "denied")) == 2
    assert [mail["subject"] for mail in await town.mails()] == ["An authenticator app was added"]
    async with town.database.reading() as session:
        factor = (await session.scalars(select(SecondFactor))).one()
        kept = list(await session.scalars(select(RecoveryCode.digest)))
    assert totp.secret not in factor.sealed_secret
    assert not set(kept) & set(codes)


async def test_a_recovery_code_counts_once(town: Town, browser: Browser) -> None:
    _, codes = await add_app(browser)
    for n, expected in ((0, 303), (0, 403), (1, 303)):
        fresh = await town.browser(f"192.0.2.{10 + n}")
        await fresh.sign_in("ada@example.com")
        answer = await fresh.send("/login/code", code=codes[n].upper().replace("-", " "))
        assert answer.status_code == expected
    assert "8 recovery codes are left" in (await browser.open("/account")).text


@pytest.mark.attack("login")
async def test_the_first_step_belongs_to_its_browser_and_ends(
    town: Town, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, codes = await add_app(browser)
    first, other = await town.browser("192.0.2.20"), await town.browser("192.0.2.21")
    await first.sign_in("ada@example.com")
    await other.sign_in("ada@example.com")
    stolen = re.search(r'name="step" value="([^"]+)"', first.page.text)  # type: ignore[union-attr]
    assert stolen is not None
    answer = await other.send("/login/code", step=stolen[1], code=codes[0])
    assert (answer.status_code, other.signed_in) == (409, False)
    for step in ("", "x", stolen[1][:-2]):
        await first.sign_in("ada@example.com")
        assert (await first.send("/login/code", step=step, code=codes[0])).status_code == 409
    await first.sign_in("ada@example.com")
    later = time.time() + 601
    monkeypatch.setattr(town.house.people.sign_in, "_now", lambda: later)
    assert (await first.send("/login/code", code=codes[0])).status_code == 409
    assert not first.signed_in


@pytest.mark.attack("login")
async def test_codes_cannot_be_guessed(town: Town, browser: Browser) -> None:
    await add_app(browser)
    guesser = await town.browser("192.0.2.30")
    await guesser.sign_in("ada@example.com")
    statuses = []
    for n in range(11):
        step_page = guesser.page
        statuses.append((await guesser.send("/login/code", code=f"{n:06}")).status_code)
        guesser.page = step_page
    assert statuses == [403] * 10 + [429]


async def test_the_app_is_removed_with_password_and_code(town: Town, browser: Browser, ada: str) -> None:
    _, codes = await add_app(browser)
    await browser.open("/account/second-factor/remove")
    for password, code in ((PASSWORD, "000000"), ("not the password", codes[0])):
        assert (await browser.send("/account/second-factor/remove", password=password, code=code)).status_code == 400
    done = await browser.send("/account/second-factor/remove", password=PASSWORD, code=codes[1])
    assert done.status_code == 303
    fresh = await town.browser("192.0.2.40")
    assert (await fresh.sign_in("ada@example.com")).status_code == 303
    trail = await town.trail(ada)
    assert ("second_factor.remove", "denied") in trail
    assert ("second_factor.remove", "success") in trail


async def test_new_recovery_codes_replace_the_old(town: Town, browser: Browser) -> None:
    _, codes = await add_app(browser)
    await browser.open("/account/recovery-codes")
    page = await browser.send("/account/recovery-codes", password=PASSWORD)
    new = re.findall(r"<li><code>([^<]+)</code>", page.text)
    assert len(new) == 10
    fresh = await town.browser("192.0.2.50")
    await fresh.sign_in("ada@example.com")
    assert (await fresh.send("/login/code", code=codes[0])).status_code == 403
    assert (await fresh.send("/login/code", code=new[0])).status_code == 303


async def test_an_unconfirmed_app_is_not_asked_for(town: Town, browser: Browser) -> None:
    await browser.open("/account/second-factor")
    await browser.send("/account/second-factor", follow=True, password=PASSWORD)
    assert (await browser.send("/account/second-factor/confirm", code="000000")).status_code == 400
    fresh = await town.browser("192.0.2.60")
    assert (await fresh.sign_in("ada@example.com")).status_code == 303


async def test_signing_out_another_browser_and_everywhere(town: Town, browser: Browser, ada: str) -> None:
    other = await town.browser("192.0.2.70")
    await other.sign_in("ada@example.com")
    page = await browser.open("/account")
    assert page.text.count("<b>Firefox on Linux</b>") == 2
    assert (await browser.send("/account/sessions")).status_code == 303
    assert [row.client for row in await town.house.sessions.list(ada)] == ["Firefox/145 (Linux) at 203.0.113.7"]
    await browser.open("/account")
    done = await browser.send("/account/sessions/all")
    assert (done.headers["location"], browser.signed_in) == ("/login", False)
    assert await town.house.sessions.list(ada) == []


@pytest.mark.attack("login")
async def test_what_comes_from_another_site_changes_nothing(town: Town, browser: Browser, ada: str) -> None:
    await browser.open("/account")
    answer = await browser.send("/account/sessions/all", origin="https://evil.example")
    assert answer.status_code == 403
    await browser.open("/account/email")
    answer = await browser.send("/account/email", csrf_token="0" * 64, email="eve@evil.example", password=PASSWORD)
    assert answer.status_code == 403
    assert len(await town.house.sessions.list(ada)) == 1
    assert await town.mails() == []


async def test_a_name_of_a_browser_is_shown_as_text(town: Town, ada: str) -> None:
    browser = await town.browser()
    browser.http.headers["user-agent"] = "<script>alert(1)</script>"
    await browser.sign_in("ada@example.com")
    page: Any = await browser.open("/account")
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text
