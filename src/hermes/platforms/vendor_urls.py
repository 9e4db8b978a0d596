"""URLs that a vendor's answers hand out: checked before a token or a customer's bytes go there."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit


def is_vendors(url: object, *, base_url: str, hosts: Sequence[str]) -> bool:
    """Whether a URL leads to the vendor it came from.

    Args:
        url: as it stood in the answer.
        base_url: of the platform's API: its origin counts, so that the sandbox's uploads go to the sandbox.
        hosts: the vendor's further hosts, over https on the usual port; one that begins with a dot stands for all
            hosts below it.
    """
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        if not parts.hostname or "@" in parts.netloc:
            return False
        if _origin(parts) == _origin(urlsplit(base_url)):
            return True
        host, usual_port = parts.hostname, parts.port in (None, 443)
    except ValueError:
        return False
    return (
        parts.scheme == "https"
        and usual_port
        and any(host.endswith(known) if known.startswith(".") else host == known for known in hosts)
    )


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port
