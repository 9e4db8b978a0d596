"""Signing in at Instagram: Instagram Login, which needs no Facebook Page.

Source: https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/business-login.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from hermes.platforms.meta.oauth import RENEW_BEFORE, MetaConnect
from hermes.platforms.oauth import NotTokens, OAuthClient, ScopeNeed, Tokens, VendorRequest, scopes_in

_LONGER: Final = "https://graph.instagram.com/access_token"
_RENEW: Final = "https://graph.instagram.com/refresh_access_token"


@dataclass(frozen=True)
class InstagramConnect(MetaConnect):
    """The token of an hour becomes one of 60 days, which renews itself while it is alive."""

    def lengthen_request(self, client: OAuthClient, tokens: Tokens) -> VendorRequest | None:
        query = {
            "grant_type": "ig_exchange_token",
            "client_secret": client.secret.get_secret_value(),
            "access_token": tokens.access_token.get_secret_value(),
        }
        return VendorRequest("GET", _LONGER, query=query)

    def renew_request(self, client: OAuthClient, renewable: str) -> VendorRequest:  # noqa: ARG002
        return VendorRequest("GET", _RENEW, query={"grant_type": "ig_refresh_token", "access_token": renewable})

    def read_tokens(self, answer: Mapping[str, Any], now: datetime) -> Tokens:
        # The first answer has been documented both plain and wrapped in a list.
        data = answer.get("data")
        plain = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else answer
        tokens = super().read_tokens(plain, now)
        return Tokens(tokens.access_token, None, tokens.expires_at, None, scopes_in(plain, "permissions"), plain)

    def renewed(self, before: Mapping[str, Any], tokens: Tokens) -> dict[str, Any]:
        token = tokens.access_token.get_secret_value()
        fields = {"login": "instagram", **before, "access_token": token, "expires_at": tokens.expires_at}
        if "account_id" in fields:
            return fields
        user_id = tokens.answer.get("user_id")
        if not isinstance(user_id, int | str):
            raise NotTokens
        return {**fields, "account_id": str(user_id)}

    def renewable(self, credentials: Mapping[str, Any]) -> str | None:
        return str(credentials["access_token"]) if credentials.get("access_token") else None


SIGN_IN_AT_INSTAGRAM: Final = InstagramConnect(
    "instagram",
    title="Instagram",
    authorize_url="https://www.instagram.com/oauth/authorize",
    token_url="https://api.instagram.com/oauth/access_token",  # noqa: S106  (an address)
    revoke_by_hand="the Instagram app, Settings, Website permissions, Apps and websites",
    scope_separator=",",
    scopes=("instagram_business_basic", "instagram_business_content_publish"),
    needs=(
        ScopeNeed(("instagram_business_basic",), ("get_profile", "get_media", "create_post", "create_reel")),
        ScopeNeed(("instagram_business_content_publish",), ("create_post", "create_reel")),
    ),
    authorize_extra={"force_reauth": "true", "enable_fb_login": "0"},
    renew_before=RENEW_BEFORE,
    source="https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/business-login",
)
