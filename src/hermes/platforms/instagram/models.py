"""What Instagram's tools return. Absent values are normal: the API leaves out what is empty or hidden."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class InstagramModel(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Profile(InstagramModel):
    id: str
    username: str
    name: str | None = None
    account_type: str | None = Field(
        default=None, description="BUSINESS or MEDIA_CREATOR; known with Instagram Login only"
    )
    biography: str | None = None
    website: str | None = None
    profile_picture_url: str | None = None
    followers_count: int | None = None
    follows_count: int | None = None
    media_count: int | None = None


class Child(InstagramModel):
    id: str
    media_type: str | None = None
    media_url: str | None = None
    thumbnail_url: str | None = None


class Media(InstagramModel):
    id: str
    caption: str | None = None
    media_type: str = Field(description="IMAGE, VIDEO or CAROUSEL_ALBUM")
    media_product_type: str | None = Field(default=None, description="FEED, REELS, STORY or AD")
    media_url: str | None = Field(
        default=None, description="lives for a while only; missing where copyright was claimed"
    )
    thumbnail_url: str | None = None
    permalink: str | None = None
    timestamp: datetime
    username: str | None = None
    like_count: int | None = Field(default=None, description="missing where likes are hidden")
    comments_count: int | None = None
    children: list[Child] | None = None

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        children = value.get("children") if isinstance(value, dict) else None
        return {**value, "children": children.get("data") or None} if isinstance(children, dict) else value


class MediaList(InstagramModel):
    media: list[Media]
    after: str | None = Field(default=None, description="pass it as `after` for the next page; missing on the last one")


class PublishedMedia(InstagramModel):
    """What became of a post or reel."""

    state: Literal["published", "processing"] = Field(
        description="processing: Instagram is not ready and NOTHING IS PUBLISHED YET; call the same tool again with "
        "nothing but this container_id to publish it"
    )
    container_id: str = Field(description="Instagram's id of the prepared post; it lives for 24 hours")
    media_id: str | None = None
    permalink: str | None = None
