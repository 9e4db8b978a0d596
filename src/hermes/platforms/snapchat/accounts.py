"""The ad accounts that a member can use: listed by a tool, and chosen from after signing in."""

from __future__ import annotations

from hermes.platforms.snapchat.api import SnapchatApi
from hermes.platforms.snapchat.models import AdAccount


async def ad_accounts(api: SnapchatApi) -> list[AdAccount]:
    """Those of all the member's organizations. Source: Ads API, "Get all organizations with ad accounts".

    Raises:
        HermesError: a refusal, or no clear answer.
    """
    answer, response = await api.get("/me/organizations", query={"with_ad_accounts": "true"})
    found: list[AdAccount] = []
    for wrapper in answer.get("organizations") or ():
        organization = wrapper.get("organization") if isinstance(wrapper, dict) else None
        if not isinstance(organization, dict):
            raise api.context.http.unclear(response)
        for account in organization.get("ad_accounts") or ():
            named = {"organization_id": organization.get("id"), "organization_name": organization.get("name")}
            found.append(api.read(AdAccount, {**account, **named} if isinstance(account, dict) else account, response))
    return found
