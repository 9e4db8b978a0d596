"""What people do on our pages, every request on another process: signing in and up, mailed links, second factors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import cycle
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from web.people.conftest import Town

from . import test_account, test_mailed_links, test_sign_in

pytestmark = pytest.mark.storage


class Anywhere:
    """The application of whichever process has the turn."""

    def __init__(self, turn: Callable[[], Any]) -> None:
        self._turn = turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._turn()(scope, receive, send)


@pytest.fixture(params=["two processes by turns", "a restart before every step"])
def scattered(town: Town, request: pytest.FixtureRequest) -> Town:
    """The town, behind whose address another process answers every request."""
    pair = cycle([town.replica()[1], town.replica()[1]])
    town.app = Anywhere((lambda: next(pair)) if request.param.startswith("two") else lambda: town.replica()[1])
    return town


WITHOUT_SIGN_IN: list[Callable[[Town], Awaitable[None]]] = [
    test_sign_in.test_in_and_out,
    test_mailed_links.test_signing_up,
    test_mailed_links.test_a_new_password_ends_everything_and_voids_other_links,
    test_mailed_links.test_a_new_address_counts_once_it_is_confirmed_and_both_are_told,
]


@pytest.mark.parametrize("flow", WITHOUT_SIGN_IN, ids=lambda flow: flow.__name__)
async def test_flows_of_strangers(scattered: Town, flow: Callable[[Town], Awaitable[None]]) -> None:
    await flow(scattered)


SIGNED_IN: list[Callable[..., Awaitable[None]]] = [
    test_account.test_a_new_password_ends_the_other_browsers_only,
    test_account.test_a_code_is_asked_for_and_counts_once,
    test_account.test_signing_out_another_browser_and_everywhere,
]


@pytest.mark.parametrize("flow", SIGNED_IN, ids=lambda flow: flow.__name__)
async def test_flows_on_the_account_page(scattered: Town, flow: Callable[..., Awaitable[None]]) -> None:
    ada = await scattered.customer()
    browser = await scattered.browser()
    await browser.sign_in("ada@example.com")
    await flow(scattered, browser, ada)
