"""Signing in at X.

Source: https://docs.x.com/fundamentals/authentication/oauth-2-0/authorization-code.
"""

from __future__ import annotations

from typing import Final

from hermes.platforms.oauth import OAuthConnect, Pkce, ScopeNeed

SIGN_IN_AT_X: Final = OAuthConnect(
    "twitter",
    title="X",
    authorize_url="https://x.com/i/oauth2/authorize",
    token_url="https://api.x.com/2/oauth2/token",  # noqa: S106  (an address)
    revoke_url="https://api.x.com/2/oauth2/revoke",
    revoke_by_hand="X, Settings, Security and account access, Connected apps",
    pkce=Pkce.S256,
    basic_auth=True,
    scopes=("tweet.read", "tweet.write", "users.read", "media.write", "offline.access"),
    needs=(
        ScopeNeed(("users.read",), ("get_user_profile", "get_user_tweets", "create_tweet", "upload_video")),
        ScopeNeed(("tweet.read",), ("get_user_tweets", "search_tweets", "create_tweet", "upload_video")),
        ScopeNeed(("tweet.write",), ("create_tweet", "upload_video")),
        ScopeNeed(("media.write",), ("upload_video",)),
    ),
    rotates=True,
    # A spent refresh token is called an invalid value, with the code of a malformed request.
    ended=frozenset({"invalid_grant", "invalid_request"}),
    source="https://docs.x.com/fundamentals/authentication/oauth-2-0/authorization-code",
)
