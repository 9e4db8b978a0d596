"""Signing in for a mailbox at Google or Microsoft: the tokens are for IMAP and SMTP.

Source: https://developers.google.com/identity/protocols/oauth2/web-server and
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from joserfc import jws
from joserfc.errors import JoseError

from hermes.platforms.oauth import NotTokens, OAuthConnect, Pkce, ScopeNeed, Tokens


@dataclass(frozen=True)
class MailConnect(OAuthConnect):
    """The mailbox's address comes in the identity token."""

    def renewed(self, before: Mapping[str, Any], tokens: Tokens) -> dict[str, Any]:
        fields = super().renewed(before, tokens)
        return fields if "address" in fields else {**fields, "address": _address(tokens.answer.get("id_token"))}


def _address(id_token: Any) -> str:
    """The address in an identity token that came from the vendor's own token endpoint, over TLS.

    Its signature need not be checked then (OpenID Connect Core, 3.1.3.7, 6), and logging in to the mailbox proves more.

    Raises:
        NotTokens: there is none.
    """
    try:
        claims = orjson.loads(jws.extract_compact(str(id_token).encode()).payload)
    except (JoseError, ValueError):
        claims = None
    claims = claims if isinstance(claims, dict) else {}
    # Microsoft's work accounts may have no `email`, and log in by their name.
    for name in ("email", "preferred_username"):
        if isinstance(claims.get(name), str) and "@" in claims[name]:
            return str(claims[name])
    raise NotTokens


SIGN_IN_AT_GOOGLE: Final = MailConnect(
    "gmail",
    title="Google",
    authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
    token_url="https://oauth2.googleapis.com/token",  # noqa: S106  (an address)
    revoke_url="https://oauth2.googleapis.com/revoke",
    revoke_by_hand="myaccount.google.com, Security, Your connections to third-party apps",
    pkce=Pkce.S256,
    scopes=("https://mail.google.com/", "openid", "email"),
    # Without these a second sign-in gives no refresh token.
    authorize_extra={"access_type": "offline", "prompt": "consent"},
    source="https://developers.google.com/identity/protocols/oauth2/web-server",
)

SIGN_IN_AT_MICROSOFT: Final = MailConnect(
    "outlook",
    title="Microsoft",
    authorize_url="https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
    token_url="https://login.microsoftonline.com/common/oauth2/v2.0/token",  # noqa: S106  (an address)
    # Microsoft has no address that takes tokens back.
    revoke_by_hand="account.microsoft.com, Privacy, Apps and services",
    pkce=Pkce.S256,
    scopes=(
        "https://outlook.office.com/IMAP.AccessAsUser.All",
        "https://outlook.office.com/SMTP.Send",
        "offline_access",
        "openid",
        "email",
    ),
    needs=(
        ScopeNeed(
            ("https://outlook.office.com/IMAP.AccessAsUser.All",),
            ("get_profile", "search_messages", "read_message", "create_draft", "list_folders"),
        ),
        ScopeNeed(("https://outlook.office.com/SMTP.Send",), ("send_email",)),
    ),
    rotates=True,
    ended=frozenset({"invalid_grant", "interaction_required", "consent_required", "login_required"}),
    source="https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow",
)
