"""Tokens that show that a form was made by us for the browser that sends it (OWASP, "signed double-submit cookie").

A token is a keyed fingerprint of what the browser holds in a cookie and of the form's purpose, so nothing is stored and
any replica can check it.
"""

from __future__ import annotations

from hermes.crypto import Keyring

_PURPOSE = "csrf"


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
        return self._keyring.digest(_PURPOSE, _message(binding, purpose))

    def check(self, token: str, binding: str, purpose: str) -> bool:
        """Whether `token` was issued for these; in constant time."""
        return self._keyring.same(token, _PURPOSE, _message(binding, purpose))


def _message(binding: str, purpose: str) -> bytes:
    return f"{purpose}\n{binding}".encode()
