"""Sending a photo or video to X: initialize, append in segments, finalize, and wait until it is processed.

Source: https://docs.x.com/x-api/media/quickstart/media-upload-chunked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from pydantic import BaseModel, Field

from hermes.errors import Conflict, HermesError, OutcomeUnknown, PlatformRejected, PlatformUnavailable, RateLimited
from hermes.net.bodies import MEBIBYTE, Part
from hermes.net.upstream import UpstreamResponse
from hermes.platforms.context import ToolContext
from hermes.platforms.ports import MediaFile, PublishState
from hermes.platforms.twitter.api import TwitterApi

MOST_SEGMENTS: Final = 1000
LARGEST_FILE: Final = MOST_SEGMENTS * 5_000_000
PROCESSING_SECONDS: Final = 600.0
MORE_TRIES: Final = 4
LONGEST_WAIT: Final = 60.0
BACKOFF_SECONDS: Final = 0.5
_GRAIN: Final = 65_536


class Uploaded(BaseModel):
    """A file at X, ready to be attached to a post."""

    id: str = Field(pattern=r"^[0-9]{1,19}$")
    sha256: str
    expires_at: datetime | None = None


class _Processing(BaseModel):
    state: str
    check_after_secs: float = 1.0
    progress_percent: int = 0
    error: dict[str, Any] | None = None


class _Media(BaseModel):
    id: str = Field(pattern=r"^[0-9]{1,19}$")
    expires_after_secs: int | None = None
    processing_info: _Processing | None = None


async def upload(
    api: TwitterApi, context: ToolContext, file: MediaFile, category: str, *, name: str, alt_text: str | None = None
) -> Uploaded:
    """Upload one file. A call that is resumed goes on where it was.

    Args:
        category: X's `media_category`, for example `tweet_video`.
        name: of the file within the call; part of its steps' names.
        alt_text: read aloud to those who do not see the picture.

    Raises:
        HermesError: X refused it, could not process it, or gave no clear answer. Nothing was posted.
    """
    begun = await context.step(f"{name}:initialize", partial(_initialize, api, file, category))
    uploaded = Uploaded.model_validate(begun)
    if uploaded.sha256 != file.sha256:
        raise Conflict("The file is another one than when this upload began. Start a new call for it.")
    await context.state(PublishState.UPLOADING)
    size = segment_size(file.size)
    for index in range(math.ceil(file.size / size)):
        work = partial(_append, api, uploaded.id, file, index, size)
        await context.step(f"{name}:segment-{index}", work, repeatable=True)
        await context.progress(min(file.size, (index + 1) * size), file.size + 100, "uploading")
    if alt_text is not None:
        body = {"id": uploaded.id, "metadata": {"alt_text": {"text": alt_text}}}
        await context.step(f"{name}:alt-text", partial(_describe, api, body), repeatable=True)
    finished = await context.step(f"{name}:finalize", partial(_finalize, api, uploaded.id))
    await context.state(PublishState.PROCESSING)
    await _processed(api, context, _Media.model_validate(finished), file.size)
    return uploaded


def segment_size(total: int) -> int:
    """1 MiB, which X is known to take, or as much more as a thousand segments need."""
    needed = math.ceil(total / MOST_SEGMENTS / _GRAIN) * _GRAIN
    return max(MEBIBYTE, needed)


async def _initialize(api: TwitterApi, file: MediaFile, category: str) -> dict[str, Any]:
    body = {"media_type": file.content_type, "media_category": category, "total_bytes": file.size}
    media = _media(api, *await api.post("media/upload/initialize", body))
    expires = None
    if media.expires_after_secs is not None:
        expires = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=media.expires_after_secs)
    return Uploaded(id=media.id, sha256=file.sha256, expires_at=expires).model_dump(mode="json")


async def _append(api: TwitterApi, media_id: str, file: MediaFile, index: int, size: int) -> None:
    content = b"".join([piece async for piece in file.read(index * size, size)])
    parts = (
        Part("segment_index", str(index)),
        Part("media", content, filename="segment", content_type="application/octet-stream"),
    )
    for tries_left in reversed(range(MORE_TRIES + 1)):
        try:
            return await api.append(f"media/upload/{media_id}/append", parts)
        except (PlatformUnavailable, RateLimited) as error:
            usual = BACKOFF_SECONDS * 2 ** (MORE_TRIES - tries_left)
            wait = usual if error.retry_after is None else error.retry_after
            if tries_left == 0 or wait > LONGEST_WAIT:
                raise
        await api.sleep(wait)
    return None


async def _describe(api: TwitterApi, body: Mapping[str, Any]) -> None:
    await api.post("media/metadata", body)


async def _finalize(api: TwitterApi, media_id: str) -> dict[str, Any]:
    try:
        answer, response = await api.post(f"media/upload/{media_id}/finalize", None)
        media = _media(api, answer, response)
    except OutcomeUnknown as unknown:
        lost = unknown
    else:
        return media.model_dump(mode="json")
    # The answer is lost, but X tells on being asked whether it has begun to process the file.
    try:
        media = await _status(api, media_id)
    except HermesError:
        media = _Media(id=media_id)
    if media.processing_info is None:
        raise lost
    return media.model_dump(mode="json")


async def _processed(api: TwitterApi, context: ToolContext, media: _Media, size: int) -> None:
    waited, faults, shown = 0.0, 0, size
    while (info := media.processing_info) is not None and info.state != "succeeded":
        if info.state == "failed":
            await context.state(PublishState.FAILED)
            raise _failure(info, media.id)
        wait = min(max(info.check_after_secs, 1.0), LONGEST_WAIT)
        if waited + wait > PROCESSING_SECONDS:
            raise PlatformUnavailable(
                f"X is still processing the file after {PROCESSING_SECONDS:.0f} seconds; nothing was posted. Try "
                "twitter_create_tweet with this media_id in media_ids later.",
                retry_after=LONGEST_WAIT,
                media_id=media.id,
            )
        if size + info.progress_percent > shown:
            shown = size + info.progress_percent
            await context.progress(shown, size + 100, "processing")
        await api.sleep(wait)
        waited += wait
        try:
            media = await _status(api, media.id)
        except PlatformUnavailable:
            faults += 1
            if faults > MORE_TRIES:
                raise
    if shown < size + 100:
        await context.progress(size + 100, size + 100, "ready")


async def _status(api: TwitterApi, media_id: str) -> _Media:
    return _media(api, *await api.get("media/upload", {"command": "STATUS", "media_id": media_id}))


def _media(api: TwitterApi, answer: Mapping[str, Any], response: UpstreamResponse) -> _Media:
    return api.read(_Media, answer.get("data"), response)


def _failure(info: _Processing, media_id: str) -> PlatformRejected:
    error = info.error or {}
    message = str(error.get("message") or "no reason given").strip().rstrip(".")
    return PlatformRejected(
        f"X could not process the file: {message[:500]}. Videos must be H.264 with AAC sound, at most 60 frames per "
        "second. Nothing was posted.",
        platform_code=error.get("name") or error.get("code") or "failed",
        platform_message=message[:500],
        media_id=media_id,
    )
