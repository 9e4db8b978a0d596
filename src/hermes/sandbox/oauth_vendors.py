"""The vendors' authorization servers as they document them; lifetimes in seconds."""

from __future__ import annotations

from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import OctKey

from hermes.sandbox.http import derived_digits
from hermes.sandbox.oauth import DAY, OAuthRules

_SIGNED_WITH: Final = OctKey.import_key("sandbox-identity-tokens-guard-nothing")

LINKEDIN: Final = OAuthRules(
    "linkedin",
    "LinkedIn",
    authorize="/oauth/v2/authorization",
    token="/oauth/v2/accessToken",  # noqa: S106  (a path)
    revoke="/oauth/v2/revoke",
    scopes=frozenset(
        {"openid", "profile", "email", "w_member_social", "w_organization_social", "rw_organization_admin"}
    ),
    access="AQX",
    account=lambda person: f"AQVperson-{person}",
    refresh="AQW",
    refresh_for=lambda grant: "partner" in grant.person,
    access_seconds=60 * DAY,
    refresh_seconds=365 * DAY,
    code_seconds=1800,
    refresh_ends_name="refresh_token_expires_in",
    denied={"error": "user_cancelled_authorize", "error_description": "The user cancelled the authorization"},
    unknown_scope="unauthorized_scope_error",
)

X: Final = OAuthRules(
    "twitter",
    "X",
    authorize="/i/oauth2/authorize",
    token="/2/oauth2/token",  # noqa: S106  (a path)
    revoke="/2/oauth2/revoke",
    scopes=frozenset({"tweet.read", "tweet.write", "users.read", "media.write", "offline.access", "users.email"}),
    access="eFhY",
    account=lambda person: f"eFhYc2FuZGJveC1wZXJzb24-{person}",
    refresh="cFhY",
    refresh_for=lambda grant: "offline.access" in grant.scopes,
    access_seconds=7200,
    refresh_seconds=180 * DAY,
    refresh_ends_name="",
    code_seconds=30,
    pkce="required",
    basic=True,
    rotates="reuse_ends_all",
    spent=("invalid_request", "Value passed for the token was invalid."),
    revoked={"revoked": True},
)

TIKTOK: Final = OAuthRules(
    "tiktok",
    "TikTok",
    authorize="/v2/auth/authorize/",
    token="/v2/oauth/token/",  # noqa: S106  (a path)
    revoke="/v2/oauth/revoke/",
    scopes=frozenset({"user.info.basic", "user.info.profile", "user.info.stats", "video.publish", "video.upload"}),
    access="act.",
    account=lambda person: f"act.person-{person}",
    refresh="rft.",
    access_seconds=7200,
    refresh_seconds=180 * DAY,
    client_id_name="client_key",
    callback="/auth/tiktok/callback",
    pkce="taken",
    pkce_hex=True,
    separator=",",
    rotates="yes",
)

SNAPCHAT: Final = OAuthRules(
    "snapchat",
    "Snapchat",
    authorize="/login/oauth2/authorize",
    token="/login/oauth2/access_token",  # noqa: S106  (a path)
    scopes=frozenset({"snapchat-marketing-api", "snapchat-profile-api", "snapchat-offline-conversions-api"}),
    access="hCg",
    account=lambda person: f"person-{person}-account",
    refresh="hRf",
    rotates="yes",
)

DISCORD: Final = OAuthRules(
    "discord",
    "Discord",
    authorize="/oauth2/authorize",
    token="/api/oauth2/token",  # noqa: S106  (a path)
    revoke="/api/oauth2/token/revoke",
    scopes=frozenset({"identify", "email", "guilds", "guilds.members.read"}),
    access="dsc",
    account=lambda person: f"person-{person}.oauth2.signed-in-person-account",
    refresh="dsr",
    access_seconds=7 * DAY,
    pkce="taken",
    basic=True,
    rotates="yes",
    revoked={},
)

GMAIL: Final = OAuthRules(
    "gmail",
    "Google",
    authorize="/o/oauth2/v2/auth",
    token="/token",  # noqa: S106  (a path)
    revoke="/revoke",
    scopes=frozenset({"https://mail.google.com/", "openid", "email"}),
    access="ya29.",
    account=lambda person: f"{person}@gmail.com",
    refresh="1//0",
    more=lambda account: {"id_token": _identity(account, "https://accounts.google.com")},
    pkce="taken",
    spent=("invalid_grant", "Token has been expired or revoked."),
    revoked={},
)

OUTLOOK: Final = OAuthRules(
    "outlook",
    "Microsoft",
    authorize="/common/oauth2/v2.0/authorize",
    token="/common/oauth2/v2.0/token",  # noqa: S106  (a path)
    scopes=frozenset(
        {
            "https://outlook.office.com/IMAP.AccessAsUser.All",
            "https://outlook.office.com/SMTP.Send",
            "offline_access",
            "openid",
            "email",
        }
    ),
    access="EwB",
    account=lambda person: f"{person}@outlook.com",
    refresh="M.C5",
    refresh_for=lambda grant: "offline_access" in grant.scopes,
    refresh_seconds=90 * DAY,
    refresh_ends_name="",
    more=lambda account: {"id_token": _identity(account, "https://login.microsoftonline.com/sandbox/v2.0")},
    pkce="taken",
    spent=("invalid_grant", "AADSTS70008: The refresh token has expired due to inactivity."),
)

FACEBOOK: Final = OAuthRules(
    "facebook",
    "Facebook",
    authorize="/v26.0/dialog/oauth",
    token="/v26.0/oauth/access_token",  # noqa: S106  (a path)
    revoke="/v26.0/me/permissions",
    scopes=frozenset(
        {"pages_show_list", "pages_read_engagement", "pages_manage_posts", "business_management", "read_insights"}
    ),
    access="EAAuser",
    account=lambda person: f"EAAuser-person-{person}",
    access_seconds=60 * DAY,
    pkce="taken",
    separator=",",
    scope_in_answer=False,
    denied={"error": "access_denied", "error_reason": "user_denied", "error_description": "Permissions error"},
)

INSTAGRAM: Final = OAuthRules(
    "instagram",
    "Instagram",
    authorize="/oauth/authorize",
    token="/oauth/access_token",  # noqa: S106  (a path)
    scopes=frozenset({"instagram_business_basic", "instagram_business_content_publish"}),
    access="IGAA",
    account=lambda person: f"IGAAsandbox-ig-{derived_digits(person, 'instagram', 17)}-{person}",
    access_seconds=60 * DAY,
    code_seconds=3600,
    separator=",",
    denied={
        "error": "access_denied",
        "error_reason": "user_denied",
        "error_description": "The user denied it",
    },
)


def _identity(address: str, issuer: str) -> str:
    claims: dict[str, Any] = {"iss": issuer, "sub": derived_digits(address, "subject"), "email": address}
    return jwt.encode({"alg": "HS256"}, claims, _SIGNED_WITH)
