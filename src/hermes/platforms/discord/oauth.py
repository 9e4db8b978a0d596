"""Signing in at Discord: who the person is and which servers they are in. Messages need a bot's token.

Source: https://discord.com/developers/docs/topics/oauth2.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from hermes.platforms.oauth import OAuthConnect, Pkce, ScopeNeed

SIGN_IN_AT_DISCORD: Final = OAuthConnect(
    "discord",
    title="Discord",
    authorize_url="https://discord.com/oauth2/authorize",
    token_url="https://discord.com/api/oauth2/token",  # noqa: S106  (an address)
    revoke_url="https://discord.com/api/oauth2/token/revoke",
    revoke_by_hand="Discord, User Settings, Authorized Apps",
    pkce=Pkce.S256,
    basic_auth=True,
    scopes=("identify", "guilds"),
    needs=(
        ScopeNeed(("identify",), ("get_me",)),
        ScopeNeed(("guilds",), ("get_guilds",)),
        ScopeNeed(("bot",), ("get_channels", "send_message", "get_messages"), "Paste the token of a bot instead."),
    ),
    rotates=True,
    renew_before=timedelta(days=1),
    source="https://discord.com/developers/docs/topics/oauth2",
)
