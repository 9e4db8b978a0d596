"""Signing in at LinkedIn.

Source: https://learn.microsoft.com/linkedin/shared/authentication/authorization-code-flow and
https://learn.microsoft.com/linkedin/shared/authentication/programmatic-refresh-tokens.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from hermes.platforms.oauth import OAuthConnect, ScopeNeed

_PARTNERS: Final = "LinkedIn gives it to approved partners only: https://developer.linkedin.com/partner-programs."

SIGN_IN_AT_LINKEDIN: Final = OAuthConnect(
    "linkedin",
    title="LinkedIn",
    authorize_url="https://www.linkedin.com/oauth/v2/authorization",
    token_url="https://www.linkedin.com/oauth/v2/accessToken",  # noqa: S106  (an address)
    revoke_url="https://www.linkedin.com/oauth/v2/revoke",
    revoke_by_hand="LinkedIn, Settings, Data privacy, Permitted services",
    # No PKCE: it is for native apps, at other addresses.
    scopes=("openid", "profile", "email", "w_member_social"),
    needs=(
        ScopeNeed(("openid", "profile"), ("get_profile",)),
        ScopeNeed(("w_member_social", "w_organization_social"), ("create_post", "upload_video")),
        ScopeNeed(("r_1st_connections",), ("search_connections",), _PARTNERS),
    ),
    keeps_scopes=True,
    # Only approved partners get a refresh token, which lasts a year; everybody else signs in every 60 days.
    renew_before=timedelta(days=7),
    source="https://learn.microsoft.com/linkedin/shared/authentication/authorization-code-flow",
)
