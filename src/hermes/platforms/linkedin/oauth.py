"""Signing in at LinkedIn, and choosing whom posts are made as: the member, or an organization's page.

Source: https://learn.microsoft.com/linkedin/shared/authentication/authorization-code-flow and
https://learn.microsoft.com/linkedin/shared/authentication/programmatic-refresh-tokens.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from hermes.platforms.base import ApiContext
from hermes.platforms.linkedin.api import ORGANIZATION_URN, ORGANIZATIONS, LinkedInApi, LinkedInCredentials
from hermes.platforms.linkedin.organizations import REFUSED, organizations
from hermes.platforms.oauth import Choice, OAuthConnect, ScopeNeed, Tokens

ORGANIZATION_SCOPES: Final = ("w_organization_social", "rw_organization_admin")

_PARTNERS: Final = "LinkedIn gives it to approved partners only: https://developer.linkedin.com/partner-programs."
_PAGES: Final = (
    "LinkedIn gives it to apps with the Community Management API. Connect the account again and allow it, where this "
    "server asks for it (LINKEDIN_ORGANIZATIONS), or connect it to post as yourself."
)
_POSTING: Final = ("create_post", "upload_video")


async def choices(context: ApiContext, tokens: Tokens) -> list[Choice]:
    """The member, and the organizations that they may post for. Without the permissions for that, or where LinkedIn
    does not allow the question, the member alone: that needs no organization."""
    signed_in = SIGN_IN_AT_LINKEDIN.credentials_of(tokens)
    member = Choice("member", "Yourself", signed_in)
    if not set(ORGANIZATION_SCOPES).issubset(tokens.scopes):
        return [member]
    api = LinkedInApi(context, LinkedInCredentials(access_token=tokens.access_token))
    try:
        profile = await api.first_profile()
        found = await organizations(api)
    except REFUSED:
        return [member]
    if profile.name:
        member = Choice(member.id, f"{profile.name} (yourself)", signed_in)
    return [member, *(Choice(one, name, {**signed_in, "organization_id": one}) for one, name in found.items())]


def _is_organization(account_id: str | None) -> bool:
    return account_id is not None and account_id.startswith(ORGANIZATION_URN)


SIGN_IN_AT_LINKEDIN: Final = OAuthConnect(
    "linkedin",
    title="LinkedIn",
    authorize_url="https://www.linkedin.com/oauth/v2/authorization",
    token_url="https://www.linkedin.com/oauth/v2/accessToken",  # noqa: S106  (an address)
    revoke_url="https://www.linkedin.com/oauth/v2/revoke",
    revoke_by_hand="LinkedIn, Settings, Data privacy, Permitted services",
    # No PKCE: it is for native apps, at other addresses.
    scopes=("openid", "profile", "email", "w_member_social"),
    # Asked for at an app that does not have them, LinkedIn refuses the whole sign-in.
    more_scopes={ORGANIZATIONS.name: ORGANIZATION_SCOPES},
    needs=(
        ScopeNeed(("openid", "profile"), ("get_profile",)),
        ScopeNeed(
            ("w_member_social", "w_organization_social"),
            _POSTING,
            concerns=lambda account: not _is_organization(account),
        ),
        ScopeNeed(("w_organization_social",), _POSTING, _PAGES, concerns=_is_organization),
        ScopeNeed(("r_1st_connections",), ("search_connections",), _PARTNERS),
    ),
    keeps_scopes=True,
    # Only approved partners get a refresh token, which lasts a year; everybody else signs in every 60 days.
    renew_before=timedelta(days=7),
    choices=choices,
    source="https://learn.microsoft.com/linkedin/shared/authentication/authorization-code-flow",
)
