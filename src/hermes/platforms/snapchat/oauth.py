"""Signing in at Snapchat.

Source: https://developers.snap.com/api/marketing-api/Ads-API/authentication.
"""

from __future__ import annotations

from typing import Final

from hermes.platforms.oauth import OAuthConnect, ScopeNeed

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
    source="https://developers.snap.com/api/marketing-api/Ads-API/authentication",
)
