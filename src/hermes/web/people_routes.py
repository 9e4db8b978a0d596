"""The routes of all pages for signing in."""

from __future__ import annotations

from starlette.routing import Route

from hermes.identity.people import People
from hermes.oauth.assistants import Assistants
from hermes.settings import Settings
from hermes.web.account import AccountPages
from hermes.web.base import WebBase
from hermes.web.mailed_links import MailedLinkPages
from hermes.web.provider import ProviderPages
from hermes.web.second_factor import SecondFactorPages
from hermes.web.sign_in import SignInPages


def people_routes(base: WebBase, people: People, assistants: Assistants, settings: Settings) -> list[Route]:
    """The routes."""
    https = settings.public_url.startswith("https://")
    return [
        *SignInPages(base, people, https=https).routes(),
        *MailedLinkPages(base, people, https=https).routes(),
        *AccountPages(base, people, assistants, https=https).routes(),
        *ProviderPages(base, people, https=https).routes(),
        *SecondFactorPages(base, people, https=https).routes(),
    ]
