"""Origins of URLs, in the one spelling that browsers send."""

from __future__ import annotations


def origin_of(url: str) -> str:
    """Scheme, host and port of an absolute URL as a browser's `Origin` header has them (RFC 6454, section 6.2): lower
    case, without a default port. For a text of another form, something that equals no browser's origin."""
    scheme, _, rest = url.lower().partition("://")
    authority = rest.split("/", 1)[0]
    default = {"http": ":80", "https": ":443"}.get(scheme, "")
    return f"{scheme}://{authority.removesuffix(default) if default else authority}"
