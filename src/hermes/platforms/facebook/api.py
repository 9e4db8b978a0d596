"""The Graph API for one Facebook Page: credentials, settings, limits.

Source: https://developers.facebook.com/docs/pages-api.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Final

from pydantic import Field

from hermes.platforms.base import ApiContext, Credentials, Env, Setting
from hermes.platforms.facebook.errors import ERRORS
from hermes.platforms.meta.graph import NODE_ID, AccessToken, GraphApi
from hermes.platforms.meta.waiting import number_setting
from hermes.platforms.ports import MediaRules

GRAPH_VERSION = Setting("FACEBOOK_GRAPH_VERSION", "v26.0", "version of Meta's Graph API")
POLL_SECONDS = Setting("FACEBOOK_POLL_SECONDS", "5", "seconds between two looks at a video that is being processed")
PATIENCE_SECONDS = Setting(
    "FACEBOOK_PATIENCE_SECONDS", "300", "seconds to wait for a video's processing before saying that it goes on"
)
VIDEO_MAX_MB = Setting("FACEBOOK_VIDEO_MAX_MB", "10240", "largest video in megabytes; Meta's pages disagree")

MEGABYTE: Final = 1024 * 1024

PHOTO: Final = MediaRules(
    types=frozenset({"image/jpeg", "image/png", "image/gif", "image/bmp", "image/tiff"}),
    max_bytes=10 * MEGABYTE,
    source="https://developers.facebook.com/docs/graph-api/reference/page/photos/",
)
_VIDEO: Final = MediaRules(
    types=frozenset({"video/mp4", "video/quicktime", "video/webm", "video/x-matroska"}),
    max_bytes=0,  # the setting's
    source="https://developers.facebook.com/docs/video-api/guides/publishing",
    max_seconds=240 * 60,
)


class FacebookCredentials(Credentials):
    """A Page and its own token. A person's token is kept only to get the Page's anew."""

    page_id: Annotated[str, Field(alias="pageId", pattern=NODE_ID), Env("FACEBOOK_PAGE_ID")]
    access_token: Annotated[AccessToken, Field(alias="accessToken"), Env("FACEBOOK_ACCESS_TOKEN")]
    user_access_token: Annotated[AccessToken | None, Field(alias="userAccessToken")] = None
    expires_at: Annotated[datetime | None, Field(alias="expiresAt")] = None
    user_expires_at: Annotated[
        datetime | None, Field(alias="userExpiresAt", description="When the person's token ends, if it is not renewed")
    ] = None


class FacebookApi(GraphApi):
    """One Page's Graph API."""

    def __init__(self, context: ApiContext, credentials: FacebookCredentials) -> None:
        super().__init__(context, credentials.access_token, version=GRAPH_VERSION, errors=ERRORS)
        self.page_id = credentials.page_id
        self.expires_at = credentials.expires_at

    @property
    def poll_seconds(self) -> float:
        return number_setting(self.context, POLL_SECONDS)

    @property
    def patience(self) -> float:
        return number_setting(self.context, PATIENCE_SECONDS)

    @property
    def video_rules(self) -> MediaRules:
        return replace(_VIDEO, max_bytes=int(number_setting(self.context, VIDEO_MAX_MB) * MEGABYTE))
