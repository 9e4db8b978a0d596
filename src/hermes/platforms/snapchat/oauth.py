"""Signing in at Snapchat, and choosing the ad account that is used where a call names none.

Source: https://developers.snap.com/api/marketing-api/Ads-API/authentication.
"""

from __future__ import annotations

from typing import Final

from hermes.errors import PlatformRejected
from hermes.platforms.base import ApiContext
from hermes.platforms.oauth import Choice, OAuthConnect, ScopeNeed, Tokens
from hermes.platforms.snapchat.accounts import ad_accounts
from hermes.platforms.snapchat.api import SnapchatApi, SnapchatCredentials


async def choices(context: ApiContext, tokens: Tokens) -> list[Choice]:
    """The member's ad accounts. Who has none, or no role in any, is linked without: a public profile needs none."""
    signed_in = SIGN_IN_AT_SNAPCHAT.credentials_of(tokens)
    try:
        found = await ad_accounts(SnapchatApi(context, SnapchatCredentials(access_token=tokens.access_token)))
    except PlatformRejected:
        found = []
    if not found:
        return [Choice("", "No ad account", signed_in)]
    return [
        Choice(one.id, f"{one.name} ({one.organization_name})", {**signed_in, "ad_account_id": one.id}) for one in found
    ]


SIGN_IN_AT_SNAPCHAT: Final = OAuthConnect(
    "snapchat",
    title="Snapchat",
    authorize_url="https://accounts.snapchat.com/login/oauth2/authorize",
    token_url="https://accounts.snapchat.com/login/oauth2/access_token",  # noqa: S106  (an address)
    # Snap documents no address that takes tokens back, and no PKCE.
    revoke_by_hand="Snap Business Manager, Business Details, OAuth apps",
    scopes=("snapchat-marketing-api", "snapchat-profile-api"),
    needs=(
        ScopeNeed(("snapchat-marketing-api",), ("get_me", "get_ad_accounts")),
        ScopeNeed(("snapchat-profile-api",), ("create_snap",)),
    ),
    rotates=True,  # it may: an answer without a refresh token leaves the one before in force
    choices=choices,
    source="https://developers.snap.com/api/marketing-api/Ads-API/authentication",
)
