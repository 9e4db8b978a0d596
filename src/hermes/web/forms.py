"""What browsers send from our forms: read within bounds, and only when the form was ours and meant for this browser."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import RedirectResponse

from hermes.errors import InvalidArguments, NotGranted
from hermes.identity.csrf import CsrfTokens
from hermes.net.incoming import read_body
from hermes.net.origins import origin_of
from hermes.web.visitors import Visitor

CSRF_FIELD: Final = "csrf_token"
MAX_FORM: Final = 64 * 1024
"""Bytes of a form; longer than any credentials are."""
_MAX_FIELDS: Final = 200
_MAX_RETURN_TO: Final = 8 * 1024

FormFields = ImmutableMultiDict[str, str]


class Forms:
    """Reads forms."""

    def __init__(self, csrf: CsrfTokens, public_url: str) -> None:
        self._csrf = csrf
        self._origin = origin_of(public_url)
        self._public_url = public_url

    async def read(self, request: Request, visitor: Visitor, purpose: str) -> FormFields:
        """The fields of a form that one of our pages showed to this browser.

        Args:
            purpose: what the page's `csrf(purpose)` was called with.

        Raises:
            NotGranted: the form comes from another site, or was made for another browser, session or purpose.
            InvalidArguments: it is not a form.
            PayloadTooLarge: it is longer than `MAX_FORM`.
        """
        if request.headers.getlist("origin") != [self._origin]:
            raise NotGranted(
                f"This form was not sent from {self._public_url}, so nothing was done. Open the page there and try "
                "again."
            )
        fields = await _fields(request)
        if not self._csrf.check(fields.get(CSRF_FIELD, ""), visitor.binding, purpose):
            raise NotGranted(
                "This form was made for another visit, so nothing was done. Go back, reload the page and try again; "
                "your browser must accept cookies from this site."
            )
        return fields


def safe_return_to(value: str | None, default: str = "/") -> str:
    """Where to go after signing in: a path on our own origin as it was given, or `default` for anything else.

    Browsers take `//host` and `/\\host` for other origins and drop tabs and line breaks, so those are refused too.
    """
    if value is None or not value.startswith("/") or len(value) > _MAX_RETURN_TO:
        return default
    if value.startswith("//") or "\\" in value or not value.isascii() or not value.isprintable():
        return default
    parts = urlsplit(value)
    return default if parts.scheme or parts.netloc else value


def to_login(request: Request) -> RedirectResponse:
    """Have the person sign in, and then come back to what they asked for."""
    return login_first(request.url.path + (f"?{request.url.query}" if request.url.query else ""))


def login_first(return_to: str, **more: str) -> RedirectResponse:
    """The login page, and from there to a path of ours; `again="1"` shows it to a person who is signed in, too."""
    return RedirectResponse(f"/login?{urlencode({'return_to': return_to, **more})}", 303)


async def _fields(request: Request) -> FormFields:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise InvalidArguments("Send the page's form as browsers do (application/x-www-form-urlencoded).")
    body = await read_body(request, MAX_FORM, "A form")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise InvalidArguments("This form cannot be read; reload the page and try again.") from None
    return ImmutableMultiDict(pairs)
