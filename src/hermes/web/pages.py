"""Pages made from templates, each with the headers that keep it ours: no scripts, no frames, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

import jinja2
from starlette.responses import HTMLResponse

from hermes.identity.csrf import CsrfTokens
from hermes.web.static_files import StaticFiles
from hermes.web.visitors import Visitor, Visitors

SIGN_OUT: Final = "logout"
"""The purpose of the form on every page that signs out."""


class Pages:
    """Renders the templates of `web/templates`."""

    def __init__(self, static: StaticFiles, visitors: Visitors, csrf: CsrfTokens, *, https: bool) -> None:
        self._visitors = visitors
        self._csrf = csrf
        self._https = https
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("hermes.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {"static": static.url, "sign_out_purpose": SIGN_OUT}

    def render(
        self,
        visitor: Visitor | None,
        template: str,
        *,
        status: int = 200,
        form_targets: Iterable[str] = (),
        **context: Any,
    ) -> HTMLResponse:
        """A page for this browser.

        The template gets `context`, `person` (who is signed in, or None), `csrf(purpose)` (the token for a form, see
        `Forms.read`), `static(name)`, and `here` (where signing out or in leads back to; None unless given).

        Args:
            visitor: who looks; None where that is not known, on a page without forms.
            template: its file's name, e.g. `login.html.jinja`.
            form_targets: sources beside our own origin to which forms of this page may lead, redirects included.
        """
        person = visitor.person if visitor else None
        csrf = partial(self._csrf.issue, visitor.binding) if visitor else None
        html = self._templates.get_template(template).render({"here": None} | context, person=person, csrf=csrf)
        response = HTMLResponse(html, status, headers=self._headers(form_targets))
        if visitor is not None:
            self._visitors.remember(visitor, response)
        return response

    def _headers(self, form_targets: Iterable[str]) -> dict[str, str]:
        forms = " ".join(["'self'", *form_targets])
        headers = {
            "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; "
            f"form-action {forms}; frame-ancestors 'none'; base-uri 'none'",
            "X-Frame-Options": "DENY",
            # With no-referrer browsers would send `Origin: null` with our own forms (Fetch, "append a request Origin").
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
            "Cache-Control": "no-store",
        }
        if self._https:
            headers["Strict-Transport-Security"] = "max-age=31536000"
        return headers
