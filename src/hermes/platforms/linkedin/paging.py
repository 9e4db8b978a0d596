"""Pages of a list. Source: "LinkedIn API pagination"."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit


def paging(page: dict[str, Any], start: int, found: int) -> tuple[int | None, int | None]:
    """Where the next page starts, as the vendor's link says it, and how many there are in all."""
    paging = page.get("paging")
    paging = paging if isinstance(paging, dict) else {}
    total = paging.get("total")
    links = paging.get("links")
    following = None
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "next" and isinstance(link.get("href"), str):
            given = parse_qs(urlsplit(link["href"]).query).get("start", [""])[0]
            following = int(given) if given.isascii() and given.isdigit() else start + found
    if following is not None and following <= start:
        following = None
    return following, total if isinstance(total, int) else None
