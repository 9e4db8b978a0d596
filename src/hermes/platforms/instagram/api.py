"""Instagram's API for one professional account: credentials, hosts, settings, limits.

Source: https://developers.facebook.com/docs/instagram-platform.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field

from hermes.platforms.base import ApiContext, Credentials, Env, Setting
from hermes.platforms.instagram.errors import ERRORS
from hermes.platforms.meta.graph import NODE_ID, AccessToken, GraphApi
from hermes.platforms.meta.waiting import number_setting
from hermes.platforms.ports import MediaRules

GRAPH_VERSION = Setting("INSTAGRAM_GRAPH_VERSION", "v26.0", "version of Meta's Graph API")
POLL_SECONDS = Setting("INSTAGRAM_POLL_SECONDS", "5", "seconds between two looks at what Instagram processes")
PATIENCE_SECONDS = Setting(
    "INSTAGRAM_PATIENCE_SECONDS", "900", "seconds to wait for processing before saying that it is not published yet"
)
REEL_MAX_MB = Setting("INSTAGRAM_REEL_MAX_MB", "300", "largest reel in megabytes; Meta says 300, others 1024")

INSTAGRAM_HOST: Final = "https://graph.instagram.com"
FACEBOOK_HOST: Final = "https://graph.facebook.com"
_INSTAGRAM_TOKEN: Final = "IG"  # noqa: S105  (how every token of Instagram Login begins)

MEGABYTE: Final = 1024 * 1024
_REFERENCE: Final = (
    "https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/media"
)

IMAGE: Final = MediaRules(  # Instagram scales pictures to a width of 320 to 1,440 by itself.
    types=frozenset({"image/jpeg"}), max_bytes=8 * MEGABYTE, source=_REFERENCE, min_ratio=0.8, max_ratio=1.91
)
COVER: Final = MediaRules(types=frozenset({"image/jpeg"}), max_bytes=8 * MEGABYTE, source=_REFERENCE)
_REEL: Final = MediaRules(
    types=frozenset({"video/mp4", "video/quicktime"}),
    max_bytes=0,  # the setting's
    source=_REFERENCE,
    max_width=1920,
    min_ratio=0.01,
    max_ratio=10,
    min_seconds=3,
    max_seconds=15 * 60,
)


class InstagramCredentials(Credentials):
    """A professional account's id and a token, and which login made the token (else its first letters tell)."""

    account_id: Annotated[str, Field(alias="accountId", pattern=NODE_ID), Env("INSTAGRAM_ACCOUNT_ID")]
    access_token: Annotated[AccessToken, Field(alias="accessToken"), Env("INSTAGRAM_ACCESS_TOKEN")]
    login: Annotated[Literal["instagram", "facebook"] | None, Env("INSTAGRAM_LOGIN")] = None
    expires_at: Annotated[datetime | None, Field(alias="expiresAt")] = None

    @property
    def own_login(self) -> bool:
        """Whether the token is one of Instagram Login."""
        if self.login is not None:
            return self.login == "instagram"
        return self.access_token.get_secret_value().startswith(_INSTAGRAM_TOKEN)


class InstagramApi(GraphApi):
    """One account's API. `own_login`: Instagram Login, whose host takes no uploads and wants no proof of the secret."""

    def __init__(self, context: ApiContext, credentials: InstagramCredentials) -> None:
        self.account_id = credentials.account_id
        self.own_login = credentials.own_login
        self.expires_at = credentials.expires_at
        elsewhere = context.base_url != INSTAGRAM_HOST
        super().__init__(
            context,
            credentials.access_token,
            version=GRAPH_VERSION,
            errors=ERRORS,
            base_url=context.base_url if elsewhere or self.own_login else FACEBOOK_HOST,
            proves_secret=not self.own_login,
        )

    @property
    def poll_seconds(self) -> float:
        return number_setting(self.context, POLL_SECONDS)

    @property
    def patience(self) -> float:
        return number_setting(self.context, PATIENCE_SECONDS)

    @property
    def reel_rules(self) -> MediaRules:
        return replace(_REEL, max_bytes=int(number_setting(self.context, REEL_MAX_MB) * MEGABYTE))
