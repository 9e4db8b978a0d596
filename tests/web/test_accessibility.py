"""Pages that everybody can use: axe and Lighthouse look at them, at both widths, light and dark."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import pytest_asyncio
from pydantic import SecretStr

from harness.person import CHROMIUM, FLAGS
from hermes.errors import ApprovalRequired
from hermes.gateway.results import CallOptions
from web.conftest import DESK, PHONE, TOKEN, Someone

pytestmark = pytest.mark.asyncio(loop_scope="session")

NODE = Path(__file__).parents[2] / ".tools/node/node_modules"
AXE = NODE / "axe-core/axe.min.js"
SERIOUS = ("serious", "critical")
OTHER = "220201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
WIDTHS = {"phone": PHONE, "desk": DESK}

Opening = Callable[[Any], Awaitable[tuple[str, Someone | None]]]


async def consent(site: Any) -> tuple[str, Someone]:
    someone = await site.someone()
    await site.house.connections.connect(someone.caller, "telegram", {"bot_token": TOKEN})
    return site.authorize(await site.documented("Chat")), someone


async def consent_of_a_program(site: Any) -> tuple[str, Someone]:
    return site.authorize(await site.client("Chat"), "telegram:read telegram:write"), await site.someone()


async def login(site: Any) -> tuple[str, None]:
    return f"{site.origin}/login", None


async def connect(site: Any) -> tuple[str, Someone]:
    someone = await site.someone()
    await site.house.connections.connect(someone.caller, "telegram", {"bot_token": TOKEN})
    return f"{site.origin}/connect/telegram", someone


async def connect_email(site: Any) -> tuple[str, Someone]:
    return f"{site.origin}/connect/email", await site.someone()


async def steps(site: Any) -> tuple[str, Someone]:
    someone = await site.someone()
    credentials = {
        "phoneNumberId": "1065403510666",
        "accessToken": "EAAsandbox-1065403510666-1022901281666-x",
        "businessAccountId": "1022901281666",
    }
    if "whatsapp" not in await site.house.connections.accounts(someone.id):
        await site.house.connections.connect(someone.caller, "whatsapp", credentials)
    return f"{site.origin}/connect/whatsapp?connected=default", someone


async def choose(site: Any) -> tuple[str, Someone]:
    """A sign-in that reaches several accounts."""
    someone = await site.someone()
    query = await at_the_vendor(await site.house.sign_ins.begin(someone.caller, "facebook"), "manypages")
    await site.house.sign_ins.finish(someone.caller, "facebook", query)
    return f"{site.origin}/connect/facebook/choose", someone


async def at_the_vendor(location: str, person: str) -> dict[str, str]:
    """What the browser comes back with, once the person allowed it."""
    async with httpx2.AsyncClient() as browser:
        back = await browser.post(location, data={"person": person, "decision": "allow"})
    return dict(parse_qsl(urlsplit(back.headers["location"]).query))


async def overview(site: Any) -> tuple[str, Someone]:
    someone = (await connect(site))[1]
    connections = site.house.connections
    await connections.connect(someone.caller, "telegram", {"bot_token": OTHER}, "work")
    await connections.mark_needs_reconnect(someone.id, "telegram", "work", "Telegram no longer takes this token.")
    return f"{site.origin}/connect?done=default", someone


async def connect_x(site: Any) -> tuple[str, Someone]:
    return f"{site.origin}/connect/twitter?account=work", await site.someone()


async def stranger(site: Any) -> tuple[str, Someone]:
    return site.house.connect_links.url((await site.someone()).id, "telegram"), await site.someone()


async def nowhere(site: Any) -> tuple[str, None]:
    return f"{site.origin}/nowhere", None


async def account(site: Any) -> tuple[str, Someone]:
    return f"{site.origin}/account", await site.someone()


async def small_form(site: Any) -> tuple[str, Someone]:
    return f"{site.origin}/account/password", await site.someone()


async def second_factor(site: Any) -> tuple[str, Someone]:
    someone = await site.someone()
    await site.house.people.factors.start(someone.id, "ada@example.com")
    return f"{site.origin}/account/second-factor/confirm", someone


async def asked(site: Any) -> tuple[Someone, str]:
    """Somebody who is asked about a call, and the call's approval."""
    someone = await site.someone()
    await site.house.connections.connect(someone.caller, "telegram", {"bot_token": TOKEN})
    await site.house.rules.set(someone.id, "telegram", "ask", by=someone.caller)
    await site.house.rules.set(someone.id, "telegram_send_photo", "never", by=someone.caller)
    caller = await site.house.callers.refresh(someone.caller)
    text = "Dear all,\n\nthe trip begins on Friday. " + "Bring what you need. " * 30
    for arguments in ({"chat_id": "987654321", "text": text}, {"chat_id": "987654321", "text": "Hi\u202e"}):
        with pytest.raises(ApprovalRequired) as required:
            await site.house.gateway.call(
                caller, "telegram_send_message", arguments, CallOptions("mcp", "request", client="Chat")
            )
    return someone, required.value.data["approval_id"]


async def approvals(site: Any) -> tuple[str, Someone]:
    someone, approval = await asked(site)
    await site.house.approvals.decide(someone.caller, approval, yes=True, request_id="request")
    return f"{site.origin}/approvals", someone


async def approval(site: Any) -> tuple[str, Someone]:
    someone, approval = await asked(site)
    return f"{site.origin}/approvals/{approval}", someone


async def approval_done(site: Any) -> tuple[str, Someone]:
    someone, approval = await asked(site)
    await site.house.approvals.decide(someone.caller, approval, yes=True, request_id="request")
    return f"{site.origin}/approvals/{approval}", someone


async def approval_of_another(site: Any) -> tuple[str, Someone]:
    return (await approval(site))[0], await site.someone()


async def reset(site: Any) -> tuple[str, None]:
    return f"{site.origin}/reset-password", None


PAGES = (
    consent,
    consent_of_a_program,
    login,
    reset,
    account,
    small_form,
    second_factor,
    connect,
    connect_email,
    steps,
    choose,
    connect_x,
    overview,
    stranger,
    approvals,
    approval,
    approval_done,
    approval_of_another,
    nowhere,
)
SCORED = (consent, login, connect)


def named(page: Opening) -> str:
    return page.__name__


def needs(path: Path) -> None:
    if not path.exists():
        pytest.skip("this needs the Node programs of the tests: make setup-node")


@pytest.mark.parametrize("page_of", PAGES, ids=named)
async def test_axe_finds_nothing_serious(site: Any, look: Any, shots: Path, page_of: Opening) -> None:
    needs(AXE)
    url, who = await page_of(site)
    page = await look.page(who, scripts=True)
    for width, size in WIDTHS.items():
        await page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            await page.goto(url)
            await page.screenshot(path=shots / f"{named(page_of)}-{width}-{scheme}.png", full_page=True)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
            for summary in await page.locator("summary").all():
                await summary.click()
            await page.evaluate(AXE.read_text())
            # Of what is not a violation one example is enough, which is all that is left out.
            found = await page.evaluate("axe.run({resultTypes: ['violations']})")
            assert found["passes"], "axe looked at nothing"
            serious = [(one["id"], one["nodes"][0]["html"]) for one in found["violations"] if one["impact"] in SERIOUS]
            assert serious == [], f"{width}, {scheme}"


class Lighthouse:
    """The program beside this file, told where to look line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def __call__(self, url: str, who: Someone | None, width: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        cookie = f"session={who.token}" if who else None
        asked = {"url": url, **WIDTHS[width], "mobile": width == "phone", "cookie": cookie}
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        found = json.loads(await self._process.stdout.readline())
        assert isinstance(found, dict)
        return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lighthouse() -> AsyncIterator[Lighthouse]:
    needs(NODE / "lighthouse")
    if CHROMIUM is None:
        pytest.skip("looking at pages needs Chromium")
    process = await asyncio.create_subprocess_exec(
        NODE / ".bin/node", Path(__file__).with_name("lighthouse.mjs"), CHROMIUM, NODE, *FLAGS,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    yield Lighthouse(process)
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page_of", SCORED, ids=named)
async def test_lighthouse_scores_at_least_95(site: Any, lighthouse: Lighthouse, page_of: Opening, width: str) -> None:
    url, who = await page_of(site)
    found = await lighthouse(url, who, width)
    assert "error" not in found, found
    assert found["shown"] == url
    assert found["passed"], "Lighthouse looked at nothing"
    assert found["score"] >= 0.95, found["wrong"]


async def test_a_person_signs_in_agrees_and_is_sent_back(site: Any, look: Any, shots: Path) -> None:
    made = await site.house.customers.create(
        "whole-way@example.com", plan="free", password=SecretStr("a long enough passphrase")
    )
    url = site.authorize(await site.client())
    page = await look.page()
    await page.goto(url)
    await page.screenshot(path=shots / "login-on-the-way.png", full_page=True)
    await page.get_by_label("E-mail address").fill("whole-way@example.com")
    await page.get_by_label("Password").fill("a long enough passphrase")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("button", name="Agree").click()
    await page.wait_for_url(f"{site.callback}?*")
    assert site.answers[-1]["code"].startswith("sq_ac_")
    assert made.row.email == "whole-way@example.com"
