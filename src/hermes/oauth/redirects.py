"""Where an answer may be sent: which redirect URIs a client may have, and which of its requests name one of them.

Sources: RFC 6749, 3.1.2; RFC 8252, 7 and 8.4; OAuth 2.1, 2.3 and 4.1.1 (draft-ietf-oauth-v2-1).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import SplitResult, urlencode, urlsplit

LONGEST: Final = 2048

_LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_PRIVATE_USE: Final = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+", re.ASCII)
"""A private-use scheme is a domain name turned around (RFC 8252, 7.1), so it has a dot."""
_KNOWN_APPS: Final = frozenset({"cursor", "vscode", "vscode-insiders", "windsurf", "claude", "zed", "raycast"})
"""Schemes without a dot under which today's editors and assistants get their answers."""


def check_redirect_uri(uri: str) -> str:
    """A redirect URI as a client may register it: https, http on a loopback host, or a native app's own scheme.

    Raises:
        ValueError: it is none of these; the message says what is wrong and does not hold the URI.
    """
    if len(uri) > LONGEST or not uri.isascii() or not uri.isprintable() or " " in uri or "\\" in uri or "*" in uri:
        raise ValueError(f"must be at most {LONGEST} printable ASCII characters without blank, backslash or asterisk")
    parts = _split(uri)
    if "#" in uri:
        raise ValueError("must not have a fragment")
    if parts.scheme in ("http", "https"):
        _check_web(parts)
    elif _PRIVATE_USE.fullmatch(parts.scheme) is None and parts.scheme not in _KNOWN_APPS:
        raise ValueError("must begin with https://, with http:// and a loopback host, or with an app's own scheme")
    return uri


def matching(uri: str, registered: Collection[str]) -> bool:
    """Whether a request's redirect URI is one of the registered ones: the same text, or, on a loopback host, the same
    but for the port (RFC 8252, 7.3)."""
    if uri in registered:
        return True
    portless = _without_port(uri)
    return portless is not None and any(_without_port(known) == portless for known in registered)


def is_loopback(uri: str) -> bool:
    """Whether the answer stays on the person's own machine, at a port that any program there may have."""
    parts = _split(uri)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK_HOSTS


def is_web(uri: str) -> bool:
    """Whether the answer goes to an https address, which nobody but its owner can read."""
    return _split(uri).scheme == "https"


def shown_host(uri: str) -> str:
    """What a person is told about where the answer goes: the host, with a port that is not the usual one; for a
    native app its scheme."""
    parts = _split(uri)
    return parts.netloc if parts.scheme in ("http", "https") else f"{parts.scheme}:"


def with_answer(uri: str, answer: Mapping[str, str | None]) -> str:
    """The redirect URI with the answer's parameters behind its own (RFC 6749, 3.1.2)."""
    given = {name: value for name, value in answer.items() if value is not None}
    query = urlencode(given, errors="replace")
    return f"{uri}{'&' if '?' in uri else '?'}{query}"


def _check_web(parts: SplitResult) -> None:
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise ValueError("must name a host, without user name or password")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK_HOSTS:
        raise ValueError("must begin with https:// unless its host is 127.0.0.1, [::1] or localhost")
    if any(segment in (".", "..") for segment in parts.path.split("/")):
        raise ValueError("must not have a path with . or ..")


def _split(uri: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        raise ValueError("must be a URL") from None
    return parts


def _without_port(uri: str) -> str | None:
    """A loopback redirect URI as it is compared with others; none for any other."""
    try:
        parts = _split(check_redirect_uri(uri))
    except ValueError:
        return None
    if parts.scheme != "http":
        return None
    return f"{parts.hostname}{parts.path}?{parts.query}" if "?" in uri else f"{parts.hostname}{parts.path}"
