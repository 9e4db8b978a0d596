"""What every page's routes need, made once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.routing import Route

from hermes.crypto import Keyring
from hermes.identity.caller import Caller
from hermes.identity.csrf import CsrfTokens
from hermes.settings import Settings
from hermes.web.forms import Forms
from hermes.web.pages import Pages
from hermes.web.static_files import StaticFiles
from hermes.web.visitors import Visitors


@dataclass(frozen=True, slots=True)
class WebBase:
    """A page's handler asks `visitors` who looks, reads `forms`, and answers with `pages`."""

    pages: Pages
    forms: Forms
    visitors: Visitors
    static: StaticFiles

    def routes(self) -> list[Route]:
        """The routes of what all pages share."""
        return self.static.routes()


def build_base(
    settings: Settings,
    keyring: Keyring,
    verify: Callable[[str], Awaitable[Caller | None]],
    refresh: Callable[[Caller], Awaitable[Caller]],
) -> WebBase:
    """Make it; `verify` checks the JWT of a session cookie, `refresh` reads again who that is."""
    https = settings.public_url.startswith("https://")
    csrf, static = CsrfTokens(keyring), StaticFiles()
    visitors = Visitors(verify, refresh, https=https)
    return WebBase(
        pages=Pages(static, visitors, csrf, https=https),
        forms=Forms(csrf, settings.public_url),
        visitors=visitors,
        static=static,
    )
