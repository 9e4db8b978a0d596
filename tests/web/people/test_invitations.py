"""Invitations by operators."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hermes.commands import customers
from hermes.identity.caller import OPERATOR
from hermes.identity.sign_up import Invitation
from web.people.conftest import ORIGIN, PASSWORD, Town, link_in

pytestmark = pytest.mark.storage

OPERATORS = {"x-api-key": "operator"}


@pytest.fixture
def environ() -> dict[str, str]:
    return {"SIGNUP": "invite"}


async def test_an_invitation_makes_an_account_with_its_plan(town: Town) -> None:
    browser = await town.browser()
    asked = {"email": "ann@example.com", "plan": "growth"}
    made = await browser.http.post("/api/admin/invitations", json=asked, headers=OPERATORS)
    assert (made.status_code, made.json()["email"], made.json()["mailed"]) == (201, "ann@example.com", True)
    (mail,) = await town.mails()
    assert mail["to"] == "ann@example.com"
    assert made.json()["url"] == ORIGIN + link_in(mail)
    await browser.open(link_in(mail))
    assert (await browser.send("/signup", password=PASSWORD)).status_code == 303
    me = (await browser.http.get("/api/me")).json()
    assert (me["email"], me["plan"]) == ("ann@example.com", "growth")
    again = await browser.http.post("/api/admin/invitations", json=asked, headers=OPERATORS)
    assert again.status_code == 409


async def test_only_operators_invite(town: Town) -> None:
    customer = await town.house.customers.create("ada@example.com")
    browser = await town.browser()
    for headers, status in ((None, 401), ({"x-api-key": customer.key.secret}, 403)):
        answer = await browser.http.post("/api/admin/invitations", json={"email": "x@example.com"}, headers=headers)
        assert answer.status_code == status
    assert await town.mails() == []


@pytest.mark.parametrize("environ", [{"SIGNUP": "closed"}])
async def test_where_signing_up_is_closed_an_invitation_leads_nowhere(town: Town) -> None:
    browser = await town.browser()
    answer = await browser.http.post("/api/admin/invitations", json={"email": "x@example.com"}, headers=OPERATORS)
    assert (answer.status_code, "SIGNUP=invite" in answer.text) == (409, True)


async def test_an_invitation_counts_no_more_once_signing_up_is_closed(town: Town) -> None:
    invitation = await town.house.people.sign_up.invite("ann@example.com", by=OPERATOR)
    town.settings = town.settings.model_copy(update={"signup": "closed"})
    _, closed = town.replica()
    browser = await town.browser(app=closed)
    await browser.open(invitation.url.removeprefix(ORIGIN))
    assert (await browser.send("/signup", password=PASSWORD)).status_code == 403
    assert invitation.url.split("token=")[1] not in repr(invitation)


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    class SignUp:
        async def invite(self, email: str, plan: str, *, by: Any) -> Any:
            assert by is OPERATOR
            return Invitation(email, f"{ORIGIN}/signup?token=t", mailed=False, expires_at=datetime.now(UTC))

    @asynccontextmanager
    async def command_house() -> AsyncIterator[Any]:
        yield type("House", (), {"people": type("People", (), {"sign_up": SignUp()})})

    monkeypatch.setattr(customers, "command_house", command_house)
    app = typer.Typer()
    app.add_typer(customers.app, name="customers")
    shown = CliRunner().invoke(app, ["customers", "invite", "--email", "ann@example.com"])
    assert "pass it on yourself" in shown.stdout
    assert f"{ORIGIN}/signup?token=t" in shown.stdout
    members = CliRunner().invoke(app, ["customers", "invite", "--email", "ann@example.com", "--json"])
    assert json.loads(members.stdout)["email"] == "ann@example.com"
