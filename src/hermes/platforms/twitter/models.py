"""What X's tools take and return. Both of X's dialects are read: posts and tweets, reposts and retweets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hermes.platforms.base import Redaction

PostId = Annotated[str, Redaction.PLAIN, Field(pattern=r"^[0-9]{1,19}$")]
Include = Literal["authors", "referenced", "media"]


class Given(BaseModel):
    """A part of a tool's arguments."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Found(BaseModel):
    """A part of a tool's result. Unknown members of the answer are normal."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Poll(Given):
    options: Annotated[list[Annotated[str, Field(min_length=1, max_length=25)]], Field(min_length=2, max_length=4)]
    minutes: Annotated[int, Field(ge=5, le=10_080)]


class Photo(Given):
    source: Annotated[
        str,
        Field(
            pattern=r"^(https://\S+|media_[A-Za-z0-9_-]+)$",
            max_length=2048,
            description="https URL or media handle: jpeg, png or webp up to 5 MB, or one gif up to 15 MB",
        ),
    ]
    alt_text: Annotated[str, Field(min_length=1, max_length=1000)] | None = None


class UserMetrics(Found):
    followers: int = Field(default=0, validation_alias="followers_count")
    following: int = Field(default=0, validation_alias="following_count")
    posts: int = Field(default=0, validation_alias="post_count")
    listed: int = Field(default=0, validation_alias="listed_count")

    @model_validator(mode="before")
    @classmethod
    def _either(cls, value: Any) -> Any:
        return _either(value, post_count="tweet_count")


class User(Found):
    id: str
    name: str
    username: str
    description: str | None = None
    location: str | None = None
    url: str | None = None
    created_at: datetime | None = None
    protected: bool | None = None
    verified_type: str | None = Field(default=None, description="none, blue, business or government")
    profile_image_url: str | None = None
    metrics: UserMetrics | None = Field(default=None, validation_alias="public_metrics")


class PostMetrics(Found):
    likes: int = Field(default=0, validation_alias="like_count")
    reposts: int = Field(default=0, validation_alias="repost_count")
    replies: int = Field(default=0, validation_alias="reply_count")
    quotes: int = Field(default=0, validation_alias="quote_count")
    impressions: int | None = Field(default=None, validation_alias="impression_count")

    @model_validator(mode="before")
    @classmethod
    def _either(cls, value: Any) -> Any:
        return _either(value, repost_count="retweet_count")


class Reference(Found):
    type: str = Field(description="retweeted, quoted or replied_to")
    id: str
    text: str | None = None


class Attached(Found):
    type: str
    url: str | None = None
    alt_text: str | None = None


class Tweet(Found):
    id: str
    text: str
    author_id: str | None = None
    author: str | None = Field(default=None, description="their @name")
    created_at: datetime | None = None
    conversation_id: str | None = None
    lang: str | None = None
    possibly_sensitive: bool | None = None
    metrics: PostMetrics | None = Field(default=None, validation_alias="public_metrics")
    references: list[Reference] | None = None
    media: list[Attached] | None = None


class Problem(Found):
    """A part that X did not give."""

    detail: str
    resource_id: str | None = None


class Tweets(Found):
    tweets: list[Tweet]
    next_page: str | None = Field(default=None, description="pass as page; absent: that was all")
    user_id: str | None = Field(default=None, description="pass it as user_id next time, which saves a request")
    left_out: list[Problem] | None = Field(default=None, description="what X could not give")


class CreatedTweet(Found):
    id: str
    text: str
    url: str
    media_ids: list[str] | None = None


class UploadedVideo(Found):
    media_id: str = Field(description="can be given to twitter_create_tweet until expires_at")
    expires_at: datetime | None = None
    tweet: CreatedTweet | None = Field(default=None, description="absent: nothing was posted")


def tweet_of(raw: Any, includes: Mapping[str, Any]) -> Any:
    """A post with what came beside it: its author's name, what it refers to, its media, its whole long text.

    Args:
        raw: the post as X gave it, in either dialect.
        includes: the answer's `includes`.

    Returns:
        The members of a `Tweet`; `raw` itself when it is no object.
    """
    if not isinstance(raw, dict):
        return raw
    users, media = _by(includes.get("users"), "id"), _by(includes.get("media"), "media_key")
    posts = _by(includes.get("posts"), "id") | _by(includes.get("tweets"), "id")
    references = _objects(raw.get("referenced_posts")) or _objects(raw.get("referenced_tweets"))
    attachments = raw.get("attachments")
    keys = attachments.get("media_keys") if isinstance(attachments, dict) else None
    attached = [_named(media, key) for key in keys] if isinstance(keys, list) else []
    return {
        **raw,
        "text": _whole_text(raw),
        "author": _named(users, raw.get("author_id")).get("username"),
        "references": [{**one, "text": _whole_text(_named(posts, one.get("id")))} for one in references] or None,
        "media": [one for one in attached if one] or None,
    }


def _whole_text(raw: Mapping[str, Any]) -> Any:
    """`text` ends after 280 characters; a longer post has all of it in its note."""
    note = raw.get("note_post") or raw.get("note_tweet")
    return note.get("text") if isinstance(note, dict) and note.get("text") else raw.get("text")


def _objects(items: Any) -> list[dict[str, Any]]:
    return [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []


def _by(items: Any, key: str) -> dict[str, dict[str, Any]]:
    return {name: one for one in _objects(items) if isinstance(name := one.get(key), str)}


def _named(items: Mapping[str, dict[str, Any]], name: Any) -> dict[str, Any]:
    return items.get(name, {}) if isinstance(name, str) else {}


def _either(value: Any, **names: str) -> Any:
    """The members under their new names where they came under their old ones."""
    if not isinstance(value, dict):
        return value
    return {**value, **{new: value[old] for new, old in names.items() if new not in value and old in value}}
