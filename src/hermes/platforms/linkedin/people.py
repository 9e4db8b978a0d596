"""Connections and messages, which LinkedIn opens to approved partners only.

Source: "Connections API", "Messages API".
"""

from __future__ import annotations

from typing import Any, Final

from hermes.net.upstream import UpstreamResponse
from hermes.platforms.linkedin.api import CONNECTIONS, LinkedInApi, is_urn, messages_access
from hermes.platforms.linkedin.models import Connection, Connections, SentMessage
from hermes.platforms.linkedin.paging import paging

PAGE: Final = 50
MAX_PAGES: Final = 10
"""Looked at in one call when words are searched for: LinkedIn itself cannot search."""

_PROJECTION: Final = "(elements*(to,to~(localizedFirstName,localizedLastName,localizedHeadline,vanityName)),paging)"


async def find_connections(api: LinkedInApi, words: str | None, start: int, limit: int) -> Connections:
    """The member's connections from `start` on, whose name or headline has all the words.

    Raises:
        HermesError: LinkedIn does not allow it, refuses, or gives no clear answer.
    """
    wanted = words.casefold().split() if words else []
    found: list[Connection] = []
    searched, total = 0, None
    following: int | None = start
    for _ in range(MAX_PAGES):
        if following is None or len(found) >= limit:
            break
        # Where words are searched for, most of a page may not match.
        count = min(PAGE, limit - len(found)) if not wanted else PAGE
        at = following
        response = await api.request(
            "GET",
            "/v2/connections",
            CONNECTIONS,
            query={"q": "viewer", "start": at, "count": count, "projection": _PROJECTION},
        )
        page = api.answer(response)
        elements = page.get("elements")
        if not isinstance(elements, list):
            raise api.context.http.unclear(response)
        following, total = paging(page, at, len(elements))
        for number, element in enumerate(elements):
            searched += 1
            person = _connection(api, element, response)
            if _matches(person, wanted):
                found.append(person)
            if len(found) >= limit and number + 1 < len(elements):
                following = at + number + 1
                break
    return Connections(connections=found, searched=searched, total=total, next_start=following)


async def send_to_connections(api: LinkedInApi, recipients: list[str], subject: str | None, text: str) -> SentMessage:
    """Send one message. Raises `HermesError` as `find_connections`."""
    body: dict[str, Any] = {"recipients": recipients, "body": text, "messageType": "MEMBER_TO_MEMBER"}
    if subject is not None:
        body["subject"] = subject
    response = await api.request("POST", "/v2/messages", messages_access(api.context), json=body)
    if response.status != 201:
        raise api.context.http.unclear(response)
    return SentMessage(sent=True, message_id=response.headers.get("x-restli-id"))


def _connection(api: LinkedInApi, element: Any, response: UpstreamResponse) -> Connection:
    member = element.get("to") if isinstance(element, dict) else None
    if not is_urn(member, "person"):
        raise api.context.http.unclear(response)
    shown = element.get("to~")
    shown = shown if isinstance(shown, dict) else {}
    return api.read(
        Connection,
        {
            "id": member,
            "first_name": shown.get("localizedFirstName"),
            "last_name": shown.get("localizedLastName"),
            "headline": shown.get("localizedHeadline"),
            "vanity_name": shown.get("vanityName"),
        },
        response,
    )


def _matches(person: Connection, wanted: list[str]) -> bool:
    parts = (person.first_name, person.last_name, person.headline, person.vanity_name)
    text = " ".join(part for part in parts if part).casefold()
    return all(word in text for word in wanted)
