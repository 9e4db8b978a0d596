"""LinkedIn's organizations: who has which role there, what they are called, and signing in with permission for them.

Source: learn.microsoft.com/linkedin, "Organization Access Control by Role", "Organization Lookup".
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from hermes.sandbox.linkedin_posts import LinkedInError
from hermes.sandbox.oauth import OAuthDesk

SCOPES: Final = ("w_organization_social", "rw_organization_admin")
ALLOWED: Final = "-organizations"
"""How a token ends as the stand-in sees it, if it was issued with the permissions for organizations."""
ROLES: Final = (
    "ADMINISTRATOR", "DIRECT_SPONSORED_CONTENT_POSTER", "RECRUITING_POSTER", "LEAD_CAPTURE_ADMINISTRATOR",
    "LEAD_GEN_FORMS_MANAGER", "ANALYST", "CURATOR", "CONTENT_ADMINISTRATOR",
)  # fmt: skip
STATES: Final = ("APPROVED", "REJECTED", "REQUESTED", "REVOKED")
POSTERS: Final = ("ADMINISTRATOR", "CONTENT_ADMINISTRATOR", "RECRUITING_POSTER")
MANY: Final = 130
_IDS: Final = re.compile(r"List\(([0-9]{1,20}(?:,[0-9]{1,20})*)\)")


class Role(NamedTuple):
    """What a member is in one organization."""

    organization: int
    role: str
    state: str = "APPROVED"


USUAL: Final = (
    Role(1337, "ADMINISTRATOR"),
    Role(1337, "ANALYST"),
    Role(2414183, "CONTENT_ADMINISTRATOR"),
    Role(5005, "ANALYST"),
    Role(6006, "ADMINISTRATOR", "REQUESTED"),
    Role(7007, "ADMINISTRATOR", "REVOKED"),
)


class LinkedInDesk(OAuthDesk):
    """LinkedIn's sign-in. What a person allowed is seen by the stand-in at the end of the token."""

    def presented(self, token: str) -> str:
        shown, issued = super().presented(token), self.tokens.get(token)
        if issued is None or shown != issued.grant.account or not set(SCOPES).issubset(issued.grant.scopes):
            return shown
        return shown + ALLOWED


def roles_of(token: str) -> tuple[Role, ...]:
    """The roles of a token's member."""
    if "nopages" in token:
        return (Role(5005, "ANALYST"),)
    if "manypages" in token:
        return tuple(Role(9000 + number, "ADMINISTRATOR") for number in range(MANY))
    return USUAL


def may_post(token: str, author: str) -> bool:
    """Whether a token's member may post as this organization."""
    return any(
        author == f"urn:li:organization:{one.organization}" and one.role in POSTERS and one.state == "APPROVED"
        for one in roles_of(token)
    )


def find_roles(token: str, member: str, args: dict[str, str], start: int, size: int) -> dict[str, Any]:
    """The answer of the finder `roleAssignee`: one page of the member's roles.

    Raises:
        LinkedInError: another finder, or a role or state that there is not.
    """
    if args.get("q") != "roleAssignee":
        raise LinkedInError(400, "ILLEGAL_ARGUMENT", "Parameter 'q' is required")
    for name, known in (("role", ROLES), ("state", STATES)):
        if args.get(name, known[0]) not in known:
            raise LinkedInError(400, "ILLEGAL_ARGUMENT", f"Parameter '{name}' is not an enum symbol")
    wanted = [
        one
        for one in roles_of(token)
        if args.get("role") in (None, one.role) and args.get("state") in (None, one.state)
    ]
    links = []
    if start + size < len(wanted):
        href = f"/rest/organizationAcls?q=roleAssignee&start={start + size}&count={size}"
        links.append({"type": "application/json", "rel": "next", "href": href})
    elements = [
        {
            "roleAssignee": member,
            "state": one.state,
            "role": one.role,
            "organization": f"urn:li:organization:{one.organization}",
        }
        for one in wanted[start : start + size]
    ]
    return {"paging": {"start": start, "count": size, "links": links}, "elements": elements}


def look_up(query: str) -> dict[str, Any]:
    """The answer of the batch lookup, from the raw query: the parentheses and commas of a list must not be quoted.

    Raises:
        LinkedInError: there is no such list of ids in it.
    """
    asked = _IDS.fullmatch(query.removeprefix("ids="))
    if asked is None:
        raise LinkedInError(400, "ILLEGAL_ARGUMENT", "Parameter 'ids' is required, as List(1,2)")
    ids = [int(one) for one in asked[1].split(",")]
    results = {
        str(one): {
            "id": one,
            "localizedName": f"Sandbox Company {one}",
            "vanityName": f"sandbox-company-{one}",
            "primaryOrganizationType": "NONE",
        }
        for one in ids
    }
    return {"results": results, "statuses": {str(one): 200 for one in ids}, "errors": {}}
