"""What the authorization server refuses, in OAuth's own words: to the program that asks, or to the person it sent."""

from __future__ import annotations

from hermes.errors import InvalidArguments


def described(text: str) -> str:
    """A description in the characters that it may have (RFC 6749, 4.1.2.1 and 5.2)."""
    return "".join(char if " " <= char <= "~" and char not in '"\\' else "'" for char in text)


class OAuthError(Exception):
    """Refused, as the program that asked is told (RFC 6749, 5.2; RFC 7591, 3.2.2).

    Attributes:
        error: OAuth's code, e.g. `invalid_grant`.
        description: one sentence for the program's author. Holds no secret.
        status: of HTTP: 400, 401 or 413.
    """

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = described(description)
        self.status = status


class AuthorizeRefused(InvalidArguments):
    """An authorization request that says nothing trustworthy about where the answer goes: shown to the person, and
    never redirected (RFC 6749, 4.1.2.1)."""


class AuthorizeError(Exception):
    """An authorization request that is answered with an error.

    Attributes:
        location: where the browser is sent with it: the client's redirect URI with `error`, `iss` and `state`.
        error: OAuth's code, e.g. `invalid_scope`.
    """

    def __init__(self, location: str, error: str, description: str) -> None:
        super().__init__(description)
        self.location = location
        self.error = error
        self.description = description
