"""Signing in at TikTok.

Source: https://developers.tiktok.com/doc/login-kit-web and
https://developers.tiktok.com/doc/oauth-user-access-token-management.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hermes.platforms.oauth import OAuthConnect, Pkce, ScopeNeed, Tokens


@dataclass(frozen=True)
class TikTokConnect(OAuthConnect):
    """TikTok says whose the tokens are, and when the refresh token ends."""

    def renewed(self, before: Mapping[str, Any], tokens: Tokens) -> dict[str, Any]:
        fields = super().renewed(before, tokens)
        if tokens.refresh_expires_at is not None:
            fields["refresh_expires_at"] = tokens.refresh_expires_at
        open_id = tokens.answer.get("open_id")
        return {**fields, "open_id": open_id} if isinstance(open_id, str) else fields


SIGN_IN_AT_TIKTOK: Final = TikTokConnect(
    "tiktok",
    title="TikTok",
    authorize_url="https://www.tiktok.com/v2/auth/authorize/",
    token_url="https://open.tiktokapis.com/v2/oauth/token/",  # noqa: S106  (an address)
    revoke_url="https://open.tiktokapis.com/v2/oauth/revoke/",
    revokes=("access_token",),
    revoke_by_hand="the TikTok app, Settings, Security and permissions, Apps and services",
    pkce=Pkce.S256_HEX,
    client_id_name="client_key",
    scope_separator=",",
    scopes=("user.info.basic", "user.info.profile", "user.info.stats", "video.publish", "video.upload"),
    needs=(
        ScopeNeed(("user.info.basic",), ("get_profile",)),
        ScopeNeed(("video.publish",), ("get_creator_info",)),
        ScopeNeed(("video.publish", "video.upload"), ("create_video", "get_video_status")),
    ),
    keeps_scopes=True,
    callback_path="/auth/tiktok/callback",
    rotates=True,
    source="https://developers.tiktok.com/doc/oauth-user-access-token-management",
)
