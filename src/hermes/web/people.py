"""What the pages of signing in share: who sends a form, the cookies of a browser, and errors beside their fields."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hermes.errors import HermesError, InvalidArguments
from hermes.identity.browsers import Browser
from hermes.identity.people import People
from hermes.identity.sign_in import CodeNeeded, SignedIn
from hermes.web.base import WebBase
from hermes.web.visitors import Visitor

DEVICE_COOKIE: Final = "device"
_DEVICE_SECONDS: Final = 365 * 24 * 3600
_LABELS: Final = {"email": "The address", "password": "The password", "new_password": "The new password"}
_FORBIDDEN: Final = 403

SIGN_IN: Final = "login"
CODE: Final = "code"
"""Purposes of forms."""


class PeoplePages:
    """The base of pages that sign people in."""

    def __init__(self, base: WebBase, people: People, *, https: bool) -> None:
        self.base = base
        self.people = people
        self._https = https

    def browser(self, request: Request, visitor: Visitor) -> Browser:
        """Who sends the form."""
        return Browser(
            address=request.client.host if request.client else "",
            client=request.headers.get("user-agent", ""),
            binding=visitor.id,
            device=request.cookies.get(DEVICE_COOKIE),
        )

    def next_step(self, visitor: Visitor, result: SignedIn | CodeNeeded, return_to: str) -> Response:
        """Leave signed in, or ask for the code."""
        if isinstance(result, CodeNeeded):
            return self.code_page(visitor, result.step, return_to)
        return self.signed_in(visitor, result, return_to)

    def code_page(self, visitor: Visitor, step: str, return_to: str, *, error: HermesError | None = None) -> Response:
        """The page that asks for a code."""
        return self.base.pages.render(
            visitor,
            "login_code.html.jinja",
            status=page_status(error) if error else 200,
            return_to=return_to,
            step=step,
            errors=problems(error) if error else {},
        )

    def go_on(self, visitor: Visitor, title: str, url: str) -> Response:
        """A page that leads on by itself, and by a link."""
        return self.base.pages.render(visitor, "go_on.html.jinja", title=title, url=url)

    def signed_in(self, visitor: Visitor, done: SignedIn, return_to: str) -> Response:
        """Leave with the session. To an authorization request, which may lead on to an assistant's own address, by a
        page that goes there by itself: browsers hold the redirects of a form against its `form-action`, too."""
        response: Response
        if return_to.startswith("/oauth/"):
            response = self.go_on(visitor, "You are signed in", return_to)
        else:
            response = RedirectResponse(return_to, 303)
        self.people.cookie.set(response, done.session)
        self.remember_device(response, done.device)
        return response

    def remember_device(self, response: Response, device: str) -> None:
        """Let the browser be known for a year."""
        response.set_cookie(
            DEVICE_COOKIE, device, max_age=_DEVICE_SECONDS, secure=self._https, httponly=True, samesite="lax"
        )


def problems(error: HermesError) -> dict[str, str]:
    """What is wrong with a form, by field; under the empty name what is not about one field."""
    fields = error.data.get("fields") if isinstance(error, InvalidArguments) else None
    if not fields:
        return {"": error.message}
    return {
        item["field"]: f"{_LABELS.get(item['field'], 'The ' + item['field'])} {item['problem']}." for item in fields
    }


def page_status(error: HermesError) -> int:
    """The status of a page that shows the error: 401 is for credentials of HTTP (RFC 9110, section 15.5.2)."""
    return _FORBIDDEN if error.status == 401 else error.status
