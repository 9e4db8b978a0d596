"""Images, documents and videos on their way to LinkedIn. Each step is kept, so that none is made twice."""

from __future__ import annotations

from asyncio import sleep
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hermes.errors import HermesError, InvalidArguments, OutcomeUnknown, PlatformRejected
from hermes.net.upstream import UpstreamResponse
from hermes.platforms.context import ToolContext
from hermes.platforms.linkedin.api import VIDEO_MAX_MB, LinkedInApi, is_urn, quoted
from hermes.platforms.linkedin.errors import Access
from hermes.platforms.ports import MediaFile, MediaRules, PublishState

_IMAGES_PAGE = "https://learn.microsoft.com/linkedin/marketing/community-management/shares/images-api"
_DOCUMENTS_PAGE = "https://learn.microsoft.com/linkedin/marketing/community-management/shares/documents-api"
_VIDEOS_PAGE = "https://learn.microsoft.com/linkedin/marketing/community-management/shares/videos-api"

IMAGE: Final = MediaRules(
    types=frozenset({"image/jpeg", "image/png", "image/gif"}),
    # The page names no size; one image of the most pixels that it allows fits into this in any of the formats.
    max_bytes=150_000_000,
    source=_IMAGES_PAGE,
)
MAX_PIXELS: Final = 36_152_319
DOCUMENT: Final = MediaRules(
    types=frozenset(
        {
            "application/pdf",
            "application/msword",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "application/vnd.ms-powerpoint",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        }
    ),
    max_bytes=100_000_000,
    source=_DOCUMENTS_PAGE,
)
VIDEO: Final = MediaRules(
    types=frozenset({"video/mp4"}), max_bytes=500_000_000, source=_VIDEOS_PAGE, min_seconds=3, max_seconds=1800
)
MIN_VIDEO_BYTES: Final = 75_000

PROCESSING_WAITS: Final = (2.0, 3.0, 5.0, 10.0, 10.0, 15.0, 15.0)
"""Seconds between looks at a video that is being processed; after that the caller is told how it stands."""

_READY: Final = "AVAILABLE"
_FAILED: Final = "PROCESSING_FAILED"


class _Instruction(BaseModel):
    model_config = ConfigDict(extra="ignore")

    url: str = Field(alias="uploadUrl")
    first: int = Field(alias="firstByte")
    last: int = Field(alias="lastByte")


class _Started(BaseModel):
    model_config = ConfigDict(extra="ignore")

    video: str
    token: str = Field("", alias="uploadToken")
    parts: list[_Instruction] = Field(alias="uploadInstructions")


class Uploads:
    """The uploads of one call, all for one owner."""

    def __init__(self, api: LinkedInApi, context: ToolContext, owner: str, access: Access) -> None:
        self._api = api
        self._context = context
        self._owner = owner
        self._access = access

    async def image(self, source: str, *, field: str, name: str) -> str:
        """Upload an image; returns its URN. `name` tells the call's images apart.

        Raises:
            HermesError: it does not fit, or LinkedIn refuses it.
        """
        return await self._whole("image", source, IMAGE, field, name)

    async def document(self, source: str, *, field: str) -> str:
        """Upload a document; returns its URN. Raises as `image`."""
        return await self._whole("document", source, DOCUMENT, field, "document")

    async def video(self, source: str, *, field: str) -> str:
        """Upload a video in the parts that LinkedIn asks for, and finish it; returns its URN. Raises as `image`."""
        rules = replace(VIDEO, max_bytes=int(self._api.context.setting(VIDEO_MAX_MB)) * 1_000_000)
        handle = await self._hold(source, rules, field, "video")
        async with self._open(handle, rules, field) as file:
            if file.size < MIN_VIDEO_BYTES:
                raise _unfit(field, f"must have at least {MIN_VIDEO_BYTES:,} bytes; it has {file.size:,}")
            started = _Started.model_validate(
                await self._context.step("video-initialize", lambda: self._start_video(file.size))
            )
            await self._context.state(PublishState.UPLOADING)
            parts = []
            for number, part in enumerate(started.parts):
                etag = await self._context.step(
                    f"video-part-{number}", partial(self._put_part, file, part), repeatable=True
                )
                parts.append(etag)
                await self._context.progress(part.last + 1, file.size, "Uploading the video to LinkedIn")
        await self._finish(started, parts)
        await self._context.state(PublishState.PROCESSING)
        return started.video

    async def processed(self, video: str) -> str:
        """Wait a while until LinkedIn has processed a video; returns the status that it has then.

        Raises:
            PlatformRejected: LinkedIn cannot use the video.
        """
        status = await self._status(video)
        for wait in PROCESSING_WAITS:
            if status in (None, _READY, _FAILED):
                break
            await sleep(wait)
            status = await self._status(video)
        return status or "PROCESSING"

    async def _status(self, video: str) -> str | None:
        """None: LinkedIn does not say, which nothing depends on."""
        try:
            response = await self._api.request("GET", f"/rest/videos/{quoted(video)}", self._access, write=False)
            answer = self._api.answer(response)
        except HermesError:
            return None
        status, reason = answer.get("status"), answer.get("processingFailureReason")
        if status == _FAILED:
            await self._context.state(PublishState.FAILED)
            why = reason if isinstance(reason, str) and reason else "no reason given"
            raise PlatformRejected(
                f"LinkedIn could not process the video: {why[:300]}. Upload another one (MP4, H.264 with AAC).",
                platform_code=_FAILED,
                platform_message=why[:300],
                video=video,
            )
        return status if isinstance(status, str) else None

    async def _whole(self, kind: str, source: str, rules: MediaRules, field: str, name: str) -> str:
        """Upload a file in one piece."""
        handle = await self._hold(source, rules, field, name)
        async with self._open(handle, rules, field) as file:
            if (file.width or 0) * (file.height or 0) > MAX_PIXELS:
                raise _unfit(field, f"must have at most {MAX_PIXELS:,} pixels")
            started = await self._context.step(f"{name}-initialize", lambda: self._start(kind))
            await self._context.state(PublishState.UPLOADING)
            await self._context.step(f"{name}-upload", lambda: self._put(file, started["url"]), repeatable=True)
        return str(started["urn"])

    async def _hold(self, source: str, rules: MediaRules, field: str, name: str) -> str:
        context = self._api.context
        handle = await self._context.step(
            f"{name}-media",
            lambda: context.ports.media.hold(context.customer_id, source, rules, field=field),
            repeatable=True,
        )
        return str(handle)

    def _open(self, handle: str, rules: MediaRules, field: str) -> Any:
        context = self._api.context
        return context.ports.media.open(context.customer_id, handle, rules, field=field)

    async def _start(self, kind: str) -> dict[str, str]:
        body = {"initializeUploadRequest": {"owner": self._owner}}
        value, response = await self._initialize(f"/rest/{kind}s?action=initializeUpload", body)
        if not is_urn(value.get(kind), kind):
            raise self._api.context.http.unclear(response)
        return {"urn": value[kind], "url": self._api.upload_url(value.get("uploadUrl"), response)}

    async def _start_video(self, size: int) -> dict[str, Any]:
        wanted = {"owner": self._owner, "fileSizeBytes": size, "uploadCaptions": False, "uploadThumbnail": False}
        value, response = await self._initialize(
            "/rest/videos?action=initializeUpload", {"initializeUploadRequest": wanted}
        )
        try:
            started = _Started.model_validate(value)
        except ValidationError:
            started = None
        if started is None or not is_urn(started.video, "video") or not _covers(started.parts, size):
            raise self._api.context.http.unclear(response)
        for part in started.parts:
            self._api.upload_url(part.url, response)
        return started.model_dump(by_alias=True)

    async def _initialize(self, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], UpstreamResponse]:
        response = await self._api.request("POST", path, self._access, json=body)
        value = self._api.answer(response).get("value")
        if not isinstance(value, dict):
            raise self._api.context.http.unclear(response)
        return value, response

    async def _put(self, file: MediaFile, url: str) -> bool:
        headers = {
            **self._api.authorization(),
            "Content-Type": file.content_type,
            "Content-Length": str(file.size),
        }
        await self._api.upload(url, headers, file.read)
        return True

    async def _put_part(self, file: MediaFile, part: _Instruction) -> str:
        length = part.last - part.first + 1

        def body() -> AsyncIterator[bytes]:
            return file.read(part.first, length)

        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        response = await self._api.upload(part.url, headers, body)
        etag = response.headers.get("ETag", "").strip().removeprefix("W/").strip('"')
        if not etag:
            raise self._api.context.http.unclear(response)
        return etag

    async def _finish(self, started: _Started, parts: list[str]) -> None:
        request = {"video": started.video, "uploadToken": started.token, "uploadedPartIds": parts}

        async def finish() -> bool:
            path = "/rest/videos?action=finalizeUpload"
            await self._api.request("POST", path, self._access, json={"finalizeUploadRequest": request})
            return True

        try:
            await self._context.step("video-finalize", finish)
        except OutcomeUnknown:
            # Whether it was received, LinkedIn can tell: an upload that is not finished waits for its parts.
            if await self._status(started.video) not in ("PROCESSING", _READY):
                raise


def _covers(parts: list[_Instruction], size: int) -> bool:
    """Whether the parts follow each other without a gap, from the first byte to the last."""
    at = 0
    for part in parts:
        if part.first != at or part.last < at:
            return False
        at = part.last + 1
    return at == size


def _unfit(field: str, problem: str) -> InvalidArguments:
    return InvalidArguments(f"`{field}` {problem}.", fields=[{"field": field, "problem": problem}], nothing_sent=True)
