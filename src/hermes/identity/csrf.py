"""The defence of cookies against other sites' requests: tokens bound to the browser, and the Origin.

A browser sends a cookie with every request to hermes, also with one that another site makes. So a change counts only if
its Origin (RFC 6454, section 7) is PUBLIC_URL's own, and if it brings a token that only our own pages could read: the
keyed fingerprint of what the cookie names and of the purpose (OWASP, "signed double-submit cookie"). Nothing is stored,
and any replica can check it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hermes.crypto import Keyring
from hermes.errors import NotGranted
from hermes.net.origins import origin_of
from hermes.settings import Settings

HEADER: Final = "x-csrf-token"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""

_DIGEST_PURPOSE: Final = "csrf"
_API: Final = "api"


class CsrfTokens:
    """Issues and checks the tokens."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def issue(self, binding: str, purpose: str) -> str:
        """The token, 64 hex digits.

        Args:
            binding: what only this browser holds, e.g. a session's id or a visitor cookie.
            purpose: the form; a token for one does not count for another.
        """
        return self._keyring.digest(_DIGEST_PURPOSE, _message(binding, purpose))

    def check(self, token: str, binding: str, purpose: str) -> bool:
        """Whether `token` was issued for these; in constant time."""
        return self._keyring.same(token, _DIGEST_PURPOSE, _message(binding, purpose))


class Csrf:
    """The rule for changes on the JSON routes that a session cookie vouches for."""

    def __init__(self, keyring: Keyring, settings: Settings) -> None:
        self._tokens = CsrfTokens(keyring)
        self._origin = origin_of(settings.public_url)

    def token(self, session_id: str) -> str:
        """What the session's changes must bring as the header `X-CSRF-Token`."""
        return self._tokens.issue(session_id, _API)

    def check(self, headers: Mapping[str, str], session_id: str) -> None:
        """Check a change.

        Args:
            headers: asked for `origin` and `x-csrf-token`, in lower case.

        Raises:
            NotGranted: the Origin is missing or another, or the token is not this session's.
        """
        if headers.get("origin") != self._origin:
            raise NotGranted(
                f"This change does not come from a page of {self._origin}, so the cookie does not count for it; make "
                "it there, or send an API key instead of the cookie."
            )
        if not self._tokens.check(headers.get(HEADER, ""), session_id, _API):
            raise NotGranted(
                "This change lacks the CSRF token of the session; send the one that GET /api/csrf-token gives as "
                "X-CSRF-Token."
            )


def _message(binding: str, purpose: str) -> bytes:
    return f"{purpose}\n{binding}".encode()
