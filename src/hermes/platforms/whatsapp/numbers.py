"""Which phone numbers a business account has, to choose one of them.

Source: https://developers.facebook.com/docs/whatsapp/business-management-api/manage-phone-numbers.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from hermes.platforms.base import ApiContext
from hermes.platforms.meta.graph import NODE_ID, GraphApi
from hermes.platforms.meta.paging import MAX_EMPTY_PAGES, next_cursor, page_items
from hermes.platforms.oauth import Choice
from hermes.platforms.pasting import FieldChoices
from hermes.platforms.whatsapp.api import GRAPH_VERSION, WhatsAppAccess
from hermes.platforms.whatsapp.errors import ERRORS

_FIELDS: Final = "id,display_phone_number,verified_name,quality_rating,status"
_ID: Final = re.compile(NODE_ID)


async def business_numbers(graph: GraphApi, business_account_id: str, fields: str) -> AsyncIterator[dict[str, Any]]:
    """A business account's numbers with these fields, page by page, up to a thousand. Raises `HermesError` as `get`."""
    after: str | None = None
    for _ in range(MAX_EMPTY_PAGES):
        more = {} if after is None else {"after": after}
        answer, response = await graph.get(f"{business_account_id}/phone_numbers", fields=fields, limit=100, **more)
        for number in page_items(graph, answer, response):
            yield number
        after = next_cursor(answer)
        if after is None:
            return


async def _choices(context: ApiContext, access: WhatsAppAccess) -> list[Choice]:
    graph = GraphApi(context, access.access_token, version=GRAPH_VERSION, errors=ERRORS)
    found = [number async for number in business_numbers(graph, access.business_account_id, _FIELDS)]
    return [
        Choice(number["id"], _described(number), {**access.model_dump(), "phone_number_id": number["id"]})
        for number in found
        if isinstance(number.get("id"), str) and _ID.match(number["id"])
    ]


def _described(number: Mapping[str, Any]) -> str:
    """The number as a person knows it, and what speaks against it."""
    known = [str(number[key]) for key in ("display_phone_number", "verified_name") if number.get(key)]
    quality, status = number.get("quality_rating"), number.get("status", "CONNECTED")
    against = [f"quality {quality.lower()}"] if quality in ("RED", "YELLOW") else []
    against += [str(status).replace("_", " ").lower()] if status != "CONNECTED" else []
    return ", ".join(known or [number["id"]]) + (f" ({', '.join(against)})" if against else "")


NUMBERS: Final = FieldChoices(
    "phone_number_id",
    rest=WhatsAppAccess,
    find=_choices,
    hint="The number's id, not the number itself. Leave it empty to choose among the business account's numbers.",
    without_choice="this business account has no phone number that the token may see. Add one in WhatsApp Manager "
    "(https://business.facebook.com/wa/manage), under Phone numbers, and give the token's system user access to it",
)
