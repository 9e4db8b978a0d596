"""A person in a real browser: signs in on our page, and agrees to what an assistant asks for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, sync_playwright

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""Any of them will do. The first is Chromium without its windows, which opens a page in a quarter of the time."""
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@dataclass
class Person:
    """Somebody with an account."""

    browser: BrowserContext
    email: str
    password: str

    def agree(self, authorize_url: str, *, untick: tuple[str, ...] = ()) -> str:
        """Open what an assistant asks for, sign in if asked, and agree.

        Args:
            authorize_url: where the assistant sends the browser.
            untick: grants to leave out, as the boxes are called (`telegram:write`).

        Returns:
            The address of the page that it ended on.
        """
        page = self.browser.new_page()
        page.goto(authorize_url)
        self._sign_in(page)
        for grant in untick:
            page.locator(f'input[name="grant"][value="{grant}"]').uncheck()
        agree = page.get_by_role("button", name="Agree")
        if urlsplit(page.url).path == "/oauth/authorize":
            agree.click()
            page.wait_for_url(lambda url: urlsplit(url).path != "/oauth/authorize")
        ended = page.url
        page.close()
        return ended

    def _sign_in(self, page: Page) -> None:
        if page.get_by_label("Password").count():
            page.get_by_label("E-mail address").fill(self.email)
            page.get_by_label("Password").fill(self.password)
            page.get_by_role("button", name="Sign in", exact=True).click()
            page.wait_for_url(lambda url: urlsplit(url).path != "/login")


@contextmanager
def person(email: str, password: str) -> Iterator[Person]:
    """Somebody with a browser of their own, which runs no scripts."""
    if CHROMIUM is None:
        pytest.skip("a person needs Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        context = browser.new_context(java_script_enabled=False)
        context.set_default_timeout(30_000)
        yield Person(context, email, password)
        browser.close()
