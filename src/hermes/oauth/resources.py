"""What tokens are for: the gateway's own resource identifier, and its other spellings (RFC 8707; RFC 9728)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}


class Audience:
    """Our resource: `{PUBLIC_URL}/mcp`. `{PUBLIC_URL}` and `{PUBLIC_URL}/sse` name it, too.

    Attributes:
        issuer: PUBLIC_URL, letter for letter.
        resource: the identifier that metadata and tokens hold.
    """

    def __init__(self, public_url: str) -> None:
        self.issuer = public_url
        self.resource = f"{public_url}/mcp"
        self._spellings = frozenset(_plain(public_url + path) for path in ("", "/mcp", "/sse"))

    def accepts(self, resource: str) -> bool:
        """Whether a `resource` parameter names us. The case of scheme and host, a default port, a slash at the end and
        a query (people put their choice of tools there) make no difference."""
        return _plain(resource) in self._spellings

    def accepts_all(self, resources: Sequence[str]) -> bool:
        """Whether every one names us: a token for us and for others is not given out (RFC 8707, 2)."""
        return all(map(self.accepts, resources))


def _plain(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    # urlsplit drops control characters and blanks around a URL, and an empty fragment
    if parts.scheme not in _DEFAULT_PORTS or not url.isprintable() or " " in url or "#" in url or "@" in parts.netloc:
        return None
    port = port if port is not None else _DEFAULT_PORTS[parts.scheme]
    return f"{parts.scheme}://{parts.hostname}:{port}{parts.path.rstrip('/')}"
