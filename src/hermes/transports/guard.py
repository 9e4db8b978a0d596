"""Which Host and Origin a request may name: the defence against DNS rebinding, and CORS for the origins we know."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers

from hermes.net.origins import origin_of
from hermes.settings import Settings
from hermes.transports.asgi import HeaderList

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_EXPOSED = b"WWW-Authenticate, Mcp-Session-Id, X-Request-Id, Retry-After"


class Guard:
    """Checks `Host` and `Origin` against the settings.

    Allowed hosts: `ALLOWED_HOSTS` (an entry without a port stands for every port), PUBLIC_URL's own, and loopback
    names, which cannot be rebound. Allowed origins: `ALLOWED_ORIGINS`, PUBLIC_URL's own, and loopback ones when
    PUBLIC_URL is itself loopback.
    """

    def __init__(self, settings: Settings) -> None:
        public = urlsplit(settings.public_url)
        self._hosts = {host.lower() for host in settings.allowed_hosts} | _LOOPBACK
        self._hosts.add(_host_only(public.netloc.lower()))
        self._origins = {origin_of(origin) for origin in settings.allowed_origins}
        self._origins.add(origin_of(settings.public_url))
        self._loopback_origins = _host_only(public.netloc.lower()) in _LOOPBACK

    def refusal(self, headers: Headers) -> tuple[int, str] | None:
        """Status and sentence for a request whose Host or Origin is not ours; None when both are."""
        if not self.host_allowed(headers):
            return 421, "This host name is not served here"
        if not self.origin_allowed(headers):
            return 403, "This origin is not allowed"
        return None

    def host_allowed(self, headers: Headers) -> bool:
        """Whether every Host header (there must be one) is ours."""
        hosts = headers.getlist("host")
        return bool(hosts) and all(self._known_host(host.lower()) for host in hosts)

    def origin_allowed(self, headers: Headers) -> bool:
        """Whether the Origin, if the request has one, is allowed."""
        return all(self._known_origin(origin) for origin in headers.getlist("origin"))

    def cors(self, headers: Headers) -> HeaderList:
        """The headers that let a page of an allowed origin read the answer; none when there is no Origin."""
        origin = headers.get("origin")
        if origin is None:
            return []
        return [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"Origin"),
        ]

    def preflight(self, headers: Headers, methods: bytes) -> HeaderList:
        """The headers that answer a preflight of an allowed origin. Any header may be sent: none is a credential by
        itself, since cookies are not taken here."""
        asked = headers.get("access-control-request-headers", "")
        return [
            *self.cors(headers),
            (b"access-control-allow-methods", methods),
            (b"access-control-allow-headers", asked.encode("latin-1")),
            (b"access-control-max-age", b"600"),
        ]

    def _known_host(self, host: str) -> bool:
        return host in self._hosts or _host_only(host) in self._hosts

    def _known_origin(self, origin: str) -> bool:
        if origin_of(origin) in self._origins:
            return True
        if not self._loopback_origins:
            return False
        scheme, _, rest = origin.lower().partition("://")
        return scheme in ("http", "https") and _host_only(rest) in _LOOPBACK


def _host_only(host: str) -> str:
    """The host without its port, as written (an IPv6 address keeps its brackets)."""
    if host.startswith("["):
        return host[: host.find("]") + 1]
    name, _, port = host.partition(":")
    return name if not port or port.isdigit() else host
