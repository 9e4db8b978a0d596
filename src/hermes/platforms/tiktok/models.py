"""What TikTok's tools return."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Found(BaseModel):
    """A part of a tool's result. Unknown members of the answer are normal."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Profile(Found):
    open_id: str = Field(description="the account's id, valid for this app only")
    union_id: str | None = None
    display_name: str | None = None
    username: str | None = None
    avatar_url: str | None = Field(default=None, description="a URL that expires")
    bio_description: str | None = None
    profile_deep_link: str | None = None
    profile_web_link: str | None = None
    is_verified: bool | None = None
    follower_count: int | None = None
    following_count: int | None = None
    likes_count: int | None = None
    video_count: int | None = None


class CreatorInfo(Found):
    creator_username: str
    creator_nickname: str | None = None
    creator_avatar_url: str | None = Field(default=None, description="a URL that expires in two hours")
    privacy_level_options: list[str] = Field(description="what create_video may be given as privacy_level now")
    comment_disabled: bool = False
    duet_disabled: bool = False
    stitch_disabled: bool = False
    max_video_post_duration_sec: int | None = None


class VideoStatus(Found):
    publish_id: str
    status: str = Field(
        description="PROCESSING_UPLOAD, PROCESSING_DOWNLOAD, SEND_TO_USER_INBOX (a draft, ready in the app), "
        "PUBLISH_COMPLETE or FAILED"
    )
    fail_reason: str | None = None
    explanation: str | None = None
    post_ids: list[str] | None = Field(default=None, description="once a public post has passed moderation")
    url: str | None = None
    uploaded_bytes: int | None = None
    downloaded_bytes: int | None = None
