"""What Facebook's tools return. Absent values are normal: Graph leaves out what is empty."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class FacebookModel(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class PageInfo(FacebookModel):
    id: str
    name: str
    username: str | None = None
    about: str | None = None
    category: str | None = None
    link: str | None = None
    fan_count: int | None = Field(default=None, description="people who like the Page")
    followers_count: int | None = None
    picture_url: str | None = None
    website: str | None = None
    verification_status: str | None = None
    instagram_account_id: str | None = Field(default=None, description="the Instagram account linked to the Page")
    instagram_username: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        instagram = _object(value, "instagram_business_account")
        return {
            **value,
            "picture_url": _object(_object(value, "picture"), "data").get("url"),
            "instagram_account_id": instagram.get("id"),
            "instagram_username": instagram.get("username"),
        }


class Attachment(FacebookModel):
    media_type: str | None = Field(default=None, description="photo, video, album, link …")
    title: str | None = None
    url: str | None = None


class Post(FacebookModel):
    id: str
    message: str | None = Field(default=None, description="missing on posts without text")
    story: str | None = None
    created_time: datetime
    updated_time: datetime | None = None
    permalink_url: str | None = None
    full_picture: str | None = None
    status_type: str | None = None
    attachments: list[Attachment] | None = None
    share_count: int | None = None
    reaction_count: int | None = None
    comment_count: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        attached = _object(value, "attachments").get("data")
        return {
            **value,
            "attachments": attached or None,
            "share_count": _object(value, "shares").get("count"),
            "reaction_count": _object(_object(value, "reactions"), "summary").get("total_count"),
            "comment_count": _object(_object(value, "comments"), "summary").get("total_count"),
        }


class Posts(FacebookModel):
    posts: list[Post]
    after: str | None = Field(default=None, description="pass it as `after` for the next page; missing on the last one")


class PublishedPost(FacebookModel):
    """A post that Facebook took."""

    post_id: str | None = Field(default=None, description="missing while the photo waits for its time")
    url: str | None = None
    state: Literal["published", "scheduled"]
    scheduled_for: datetime | None = None
    photo_ids: list[str] | None = None


class PublishedVideo(FacebookModel):
    """A video that Facebook took."""

    video_id: str
    post_id: str | None = Field(default=None, description="may be missing for a while after publishing")
    url: str
    state: Literal["published", "scheduled", "processing"] = Field(
        description="processing: Facebook has the whole video and publishes it by itself when it is ready; do not "
        "upload it again, and look for it with facebook_get_posts"
    )
    scheduled_for: datetime | None = None


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}
