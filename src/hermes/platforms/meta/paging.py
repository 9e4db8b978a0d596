"""Reading Graph's listings page by page. Source: "Paginated results"."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from hermes.errors import PlatformUnavailable
from hermes.net.upstream import UpstreamResponse
from hermes.platforms.meta.errors import TooMuchData
from hermes.platforms.meta.graph import GraphApi

CURSOR: Final = r"^[A-Za-z0-9_=+/-]{1,1024}$"
MAX_EMPTY_PAGES: Final = 10


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing.

    Attributes:
        items: its objects.
        after: the cursor of the page that follows; None on the last one.
    """

    items: list[dict[str, Any]]
    after: str | None
    response: UpstreamResponse = field(repr=False)


async def read_page(api: GraphApi, path: str, *, limit: int, after: str | None, what: str, **query: str | int) -> Page:
    """The next page that has something in it, or the last one.

    A page may be empty although more follow: what it held was filtered out. One that is too large for Meta is asked
    for again in halves.

    Raises:
        HermesError: a refusal, or no clear answer.
        PlatformUnavailable: no page could be read; `what` names the objects in its message.
    """
    for _ in range(MAX_EMPTY_PAGES):
        try:
            answer, response = await api.get(path, limit=limit, **query, **({} if after is None else {"after": after}))
        except TooMuchData:
            if limit == 1:
                raise
            limit //= 2
            continue
        after = next_cursor(answer)
        items = page_items(api, answer, response)
        if items or after is None:
            return Page(items, after, response)
    raise PlatformUnavailable(
        f"{api.errors.title} gave no page of {what} that could be read. Ask for fewer, or try later."
    )


def page_items(api: GraphApi, answer: dict[str, Any], response: UpstreamResponse) -> list[dict[str, Any]]:
    """The objects of a page.

    Raises:
        HermesError: it is no page.
    """
    data = answer.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise api.context.http.unclear(response)
    return data


def next_cursor(answer: dict[str, Any]) -> str | None:
    """The cursor of the page that follows. `next` only says that there is one: it is a URL with the token in it."""
    paging = answer.get("paging")
    if not isinstance(paging, dict) or not paging.get("next"):
        return None
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    return after if isinstance(after, str) and after else None
