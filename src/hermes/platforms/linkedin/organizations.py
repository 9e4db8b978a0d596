"""The organizations (company pages) that a member may post for.

Source: https://learn.microsoft.com/linkedin/marketing/community-management/organizations/organization-access-control-by-role
and https://learn.microsoft.com/linkedin/marketing/community-management/organizations/organization-lookup-api.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hermes.errors import InvalidArguments, NotFound, PlatformRejected
from hermes.platforms.linkedin.api import ORGANIZATION_URN, PAGE_ROLES, LinkedInApi, is_urn
from hermes.platforms.linkedin.paging import paging

PAGE: Final = 100
MAX_PAGES: Final = 5

REFUSED: Final = (InvalidArguments, NotFound, PlatformRejected)
"""LinkedIn's word that it does not answer this, to this app or this member."""

_MAY_POST: Final = frozenset({"ADMINISTRATOR", "CONTENT_ADMINISTRATOR", "RECRUITING_POSTER"})
"""Not among them: DIRECT_SPONSORED_CONTENT_POSTER, who posts advertisements only."""


async def organizations(api: LinkedInApi) -> dict[str, str]:
    """Those that the member may post for, the first 500 roles looked at: id → name.

    Raises:
        HermesError: LinkedIn does not allow the question, refuses, or gives no clear answer.
    """
    found: dict[str, str] = {}
    following: int | None = 0
    for _ in range(MAX_PAGES):
        if following is None:
            break
        query: dict[str, str | int] = {"q": "roleAssignee", "state": "APPROVED", "start": following, "count": PAGE}
        response = await api.request("GET", "/rest/organizationAcls", PAGE_ROLES, query=query)
        page = api.answer(response)
        roles = page.get("elements")
        if not isinstance(roles, list):
            raise api.context.http.unclear(response)
        following, _total = paging(page, following, len(roles))
        ids = dict.fromkeys(_id(role) for role in roles if _may_post(role))
        found |= await names(api, [one for one in ids if one not in found])
    return found


async def names(api: LinkedInApi, ids: Sequence[str]) -> dict[str, str]:
    """What people know organizations by: id → name. LinkedIn tells it to whoever may ask for roles, also of those that
    the member does not administer; one whose name it does not tell is called by its id.

    Raises:
        HermesError: the token no longer works, LinkedIn cannot answer now, or gives no clear answer.
    """
    if not ids:
        return {}
    try:
        response = await api.request("GET", f"/rest/organizationsLookup?ids=List({','.join(ids)})", PAGE_ROLES)
        results = api.answer(response).get("results")
    except REFUSED:
        results = None
    told = results if isinstance(results, dict) else {}
    return {one: _name(told.get(one)) or f"Organization {one}" for one in ids}


def _may_post(role: Any) -> bool:
    return (
        isinstance(role, dict)
        and role.get("role") in _MAY_POST
        and role.get("state") == "APPROVED"
        and is_urn(role.get("organization"), "organization")
        and _id(role).isdecimal()
    )


def _id(role: dict[str, Any]) -> str:
    return str(role["organization"]).removeprefix(ORGANIZATION_URN)


def _name(organization: Any) -> str | None:
    name = organization.get("localizedName") if isinstance(organization, dict) else None
    return name if isinstance(name, str) and name.strip() else None
