"""Who looks at a page: the browser, known by a cookie of its own, and the person who is signed in there, if one is."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from hermes.errors import NotAuthenticated
from hermes.identity.caller import Caller
from hermes.identity.cookies import SESSION_COOKIE

_VISITOR: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Person:
    """A customer who is signed in with a session in this browser."""

    caller: Caller

    @property
    def customer_id(self) -> str:
        return self.caller.customer_id

    @property
    def session_id(self) -> str:
        return self.caller.key_id

    @property
    def email(self) -> str:
        return self.caller.email or self.caller.customer_id


@dataclass(frozen=True, slots=True)
class Visitor:
    """One browser.

    Attributes:
        id: random, from the browser's visitor cookie; a new one when it sent none.
        person: who is signed in there.
        returning: whether the browser sent the cookie.
    """

    id: str
    person: Person | None = None
    returning: bool = False

    @property
    def binding(self) -> str:
        """What forms are bound to: this browser and, once signed in, this session."""
        return f"{self.id}:{self.person.session_id if self.person else ''}"


class Visitors:
    """Reads a request's cookies."""

    def __init__(
        self,
        verify: Callable[[str], Awaitable[Caller | None]],
        refresh: Callable[[Caller], Awaitable[Caller]],
        *,
        https: bool,
    ) -> None:
        """Take what checks a session's JWT, what reads who it is again, and whether people reach us over https."""
        self._verify = verify
        self._refresh = refresh
        self._https = https
        # The prefix keeps other hosts of the same site from planting the cookie (RFC 6265bis, section 4.1.3.2).
        self._cookie = "__Host-visitor" if https else "visitor"

    async def of(self, request: Request) -> Visitor:
        """The browser, and the person signed in there.

        Raises:
            Suspended: the person is.
        """
        known = request.cookies.get(self._cookie, "")
        returning = _VISITOR.fullmatch(known) is not None
        return Visitor(
            known if returning else secrets.token_urlsafe(32), await self.person_of(request), returning=returning
        )

    async def person_of(self, request: Request) -> Person | None:
        """The person whose session the request's cookie stands for. Raises as `of`.

        A change is made only by a session that has not ended at this moment: what a process remembers may be seconds
        old, and a change (letting an assistant in, say) would outlive them.
        """
        token = request.cookies.get(SESSION_COOKIE)
        try:
            caller = await self._verify(token) if token else None
            if caller is not None and request.method not in ("GET", "HEAD"):
                caller = await self._refresh(caller)
        except NotAuthenticated:
            caller = None
        return Person(caller) if caller is not None else None

    def remember(self, visitor: Visitor, response: Response) -> None:
        """Give a new browser its cookie, for as long as the browser runs."""
        if not visitor.returning:
            response.set_cookie(self._cookie, visitor.id, path="/", secure=self._https, httponly=True, samesite="lax")
