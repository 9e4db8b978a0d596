"""Making a post: what may go into it, what X is sent, and which files go with it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from hermes.errors import HermesError, InvalidArguments, PayloadTooLarge
from hermes.platforms.context import ToolContext
from hermes.platforms.ports import MediaRules
from hermes.platforms.twitter.api import MAX_CASHTAGS, MAX_VIDEO_BYTES, MAX_VIDEO_SECONDS, TwitterApi
from hermes.platforms.twitter.models import CreatedTweet, Photo
from hermes.platforms.twitter.text import MAX_LENGTH, MAX_LONG_LENGTH, cashtags, weighted_length
from hermes.platforms.twitter.upload import LARGEST_FILE, Uploaded, upload

MEDIA_PAGE: Final = "https://docs.x.com/x-api/media/quickstart/best-practices"
LARGEST_PHOTO: Final = 5 * 1024 * 1024
LARGEST_GIF: Final = 15 * 1024 * 1024
GIF: Final = "image/gif"
REPLY_SETTINGS: Final = {
    "following": "following",
    "mentioned": "mentionedUsers",
    "subscribers": "subscribers",
    "verified": "verified",
}

PHOTO_RULES: Final = MediaRules(
    types=frozenset({"image/jpeg", "image/png", "image/webp", GIF}), max_bytes=LARGEST_GIF, source=MEDIA_PAGE
)


def video_rules(api: TwitterApi) -> MediaRules:
    """What X takes as a video from an account without X Premium, or what the settings say instead."""
    return MediaRules(
        types=frozenset({"video/mp4", "video/quicktime", "video/webm"}),
        max_bytes=min(api.number(MAX_VIDEO_BYTES), LARGEST_FILE),
        source=MEDIA_PAGE,
        min_width=32,
        min_height=32,
        min_ratio=1 / 3,
        max_ratio=3.0,
        min_seconds=0.5,
        max_seconds=api.number(MAX_VIDEO_SECONDS),
    )


def check_text(api: TwitterApi, text: str | None, *, long_post: bool) -> None:
    """Refuse a text that X would refuse.

    Raises:
        InvalidArguments: too long as X counts, blank, or with too many cashtags.
    """
    if text is None:
        return
    if not text.strip():
        raise wrong("text", "must hold something that is visible")
    limit, length = MAX_LONG_LENGTH if long_post else MAX_LENGTH, weighted_length(text)
    if length > limit:
        premium = "" if long_post else ", or with X Premium up to 25,000 by long_post"
        raise wrong(
            "text",
            f"must have at most {limit:,} units{premium} (a URL is 23, an emoji or a letter of most other scripts 2); "
            f"it has {length:,}",
        )
    most = api.number(MAX_CASHTAGS)
    if cashtags(text) > most:
        raise wrong("text", f"may have {most} cashtag(s) like $AAPL at most")


def post_body(
    text: str | None,
    *,
    media_ids: Sequence[str] = (),
    tagged_user_ids: Sequence[str] | None = None,
    reply_to: str | None = None,
    reply_settings: str | None = None,
    made_with_ai: bool = False,
    paid_partnership: bool = False,
) -> dict[str, Any]:
    """What `POST /2/tweets` takes; X refuses keys that it does not know."""
    body: dict[str, Any] = {}
    if text is not None:
        body["text"] = text
    if media_ids:
        body["media"] = {"media_ids": list(media_ids)}
        if tagged_user_ids:
            body["media"]["tagged_user_ids"] = list(tagged_user_ids)
    if reply_to is not None:
        body["reply"] = {"in_reply_to_tweet_id": reply_to}
    if reply_settings is not None:
        body["reply_settings"] = REPLY_SETTINGS[reply_settings]
    if made_with_ai:
        body["made_with_ai"] = True
    if paid_partnership:
        body["paid_partnership"] = True
    return body


async def create(api: TwitterApi, context: ToolContext, body: dict[str, Any]) -> CreatedTweet:
    """Post, once. When X refuses after files were uploaded, the error names them, so that they can be used again.

    Raises:
        HermesError: a refusal, understood; or `OutcomeUnknown`.
    """
    media_ids = body.get("media", {}).get("media_ids")
    try:
        created = await context.step("post", partial(_post, api, body))
    except HermesError as error:
        if media_ids:
            error.data["media_ids"] = media_ids
        raise
    return CreatedTweet.model_validate({**created, "media_ids": media_ids})


async def _post(api: TwitterApi, body: dict[str, Any]) -> dict[str, Any]:
    answer, response = await api.post("tweets", body)
    data = answer.get("data")
    number = data.get("id") if isinstance(data, dict) else None
    members = {**data, "url": f"https://x.com/i/status/{number}"} if isinstance(data, dict) else data
    return api.read(CreatedTweet, members, response).model_dump(mode="json", exclude_none=True)


async def upload_photos(api: TwitterApi, context: ToolContext, photos: Sequence[Photo]) -> list[str]:
    """Check all photos, then upload them one after the other.

    Raises:
        HermesError: one of them does not fit, or X refused it. Nothing was posted.
    """
    media, customer = api.context.ports.media, api.context.customer_id
    handles = []
    for number, photo in enumerate(photos):
        field = f"photos.{number}.source"
        handle = await media.hold(customer, photo.source, PHOTO_RULES, field=field)
        async with media.open(customer, handle, PHOTO_RULES, field=field) as file:
            _check_photo(field, file.content_type, file.size, len(photos))
        handles.append(handle)
    found: list[Uploaded] = []
    for number, (photo, handle) in enumerate(zip(photos, handles, strict=True)):
        async with media.open(customer, handle, PHOTO_RULES, field=f"photos.{number}.source") as file:
            category = "tweet_gif" if file.content_type == GIF else "tweet_image"
            name = f"photo-{number}"
            found.append(await upload(api, context, file, category, name=name, alt_text=photo.alt_text))
    return [one.id for one in found]


def _check_photo(field: str, content_type: str, size: int, together: int) -> None:
    if content_type == GIF and together > 1:
        raise wrong(field, "is a GIF, which must be the only picture of its post")
    if content_type != GIF and size > LARGEST_PHOTO:
        raise PayloadTooLarge(
            f"`{field}` has {size:,} bytes; X takes photos of at most {LARGEST_PHOTO:,} ({MEDIA_PAGE}).",
            limit_bytes=LARGEST_PHOTO,
            nothing_sent=True,
        )


def wrong(field: str, problem: str) -> InvalidArguments:
    """The error for an argument that is refused before anything is sent."""
    return InvalidArguments(f"`{field}` {problem}.", fields=[{"field": field, "problem": problem}], nothing_sent=True)
