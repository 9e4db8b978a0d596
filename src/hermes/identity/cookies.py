"""The cookie in which a browser keeps its session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.requests import cookie_parser
from starlette.responses import Response

from hermes.identity.sessions import LIFETIME
from hermes.settings import Settings

SESSION_COOKIE: Final = "session"


def session_of(headers: Mapping[str, str]) -> str | None:
    """The session's JWT as the browser sent it; none if it sent none.

    Args:
        headers: asked for `cookie`, in lower case.
    """
    cookies = headers.get("cookie")
    return cookie_parser(cookies).get(SESSION_COOKIE) or None if cookies else None


class SessionCookie:
    """Gives the cookie to a browser and takes it away: HttpOnly, SameSite=Lax, Secure when PUBLIC_URL is https."""

    def __init__(self, settings: Settings) -> None:
        self._secure = settings.public_url.startswith("https:")
        self._domain = settings.cookie_domain

    def set(self, response: Response, token: str) -> None:
        """Keep the session in the browser that gets this answer, for as long as it lasts."""
        response.set_cookie(
            SESSION_COOKIE,
            token,
            max_age=int(LIFETIME.total_seconds()),
            domain=self._domain,
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def clear(self, response: Response) -> None:
        """Have the browser forget its session."""
        response.delete_cookie(SESSION_COOKIE, domain=self._domain, secure=self._secure, httponly=True, samesite="lax")
