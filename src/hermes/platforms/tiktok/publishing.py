"""A video on its way to TikTok: checked, begun once, uploaded in order, watched. Source: Content Posting API."""

from __future__ import annotations

from asyncio import sleep
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from yarl import URL

from hermes.errors import HermesError, InvalidArguments, PlatformRejected, PlatformUnavailable
from hermes.platforms.context import ToolContext
from hermes.platforms.ports import MediaFile, MediaRules, PublishState
from hermes.platforms.tiktok.api import UPLOAD_HOSTS, TikTokApi
from hermes.platforms.tiktok.chunks import Chunk, ChunkPlan, plan_chunks
from hermes.platforms.tiktok.errors import failure_error, upload_error
from hermes.platforms.tiktok.models import CreatorInfo, VideoStatus
from hermes.platforms.vendor_urls import is_vendors

VIDEO: Final = MediaRules(
    types=frozenset({"video/mp4", "video/quicktime", "video/webm"}),
    max_bytes=4_000_000_000,
    source="https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide",
    min_width=360,
    max_width=4096,
    min_height=360,
    max_height=4096,
)
MAX_SECONDS: Final = 600
"""Where the creator's own limit is not known."""

DIRECT: Final = "/v2/post/publish/video/init/"
INBOX: Final = "/v2/post/publish/inbox/video/init/"

STATUS_WAITS: Final = (5.0, 10.0, 20.0, 20.0)
"""Seconds between looks at a publication; after that the caller is told how it stands."""

TRIES_AGAIN: Final = (1.0, 3.0)
"""Seconds before a chunk is sent again."""

PENDING: Final = ("PROCESSING_UPLOAD", "PROCESSING_DOWNLOAD")
_EXPLAINED: Final = {
    "PROCESSING_UPLOAD": "TikTok is still at work on it: ask tiktok_get_video_status with the publish_id.",
    "PROCESSING_DOWNLOAD": "TikTok is still fetching it: ask tiktok_get_video_status with the publish_id.",
    "SEND_TO_USER_INBOX": "The draft is in the creator's TikTok inbox: only they can finish and post it, in the app.",
}
_NOT_CONFIRMED: Final = (
    "The end of the video may not have arrived. If tiktok_get_video_status still says PROCESSING_UPLOAD in an hour, "
    "nothing is published; do not post it again before."
)


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be published.

    Attributes:
        video: an https URL or a media handle.
        post: TikTok's post_info for a direct post; None for a draft in the creator's inbox.
        pull: TikTok fetches the URL itself.
    """

    video: str
    post: dict[str, Any] | None
    pull: bool


class Publishing:
    """One publication."""

    def __init__(self, api: TikTokApi, context: ToolContext) -> None:
        self._api = api
        self._context = context
        self._creator: CreatorInfo | None = None

    async def run(self, draft: Draft) -> VideoStatus:
        """Publish it, as far as TikTok's processing lets it be seen.

        Raises:
            InvalidArguments: the video or a choice does not fit what this creator may post now.
            HermesError: TikTok refuses, the publication failed, or no clear answer.
        """
        await self._context.state(PublishState.CREATED)
        publish_id, arrived = await (self._pulled(draft) if draft.pull else self._uploaded(draft))
        await self._context.state(PublishState.PROCESSING)
        status = await self._watched(publish_id)
        if status.status == PENDING[0] and not arrived:
            return status.model_copy(update={"explanation": _NOT_CONFIRMED})
        return status

    async def _pulled(self, draft: Draft) -> tuple[str, bool]:
        await self._check_creator(draft, None)
        source = {"source": "PULL_FROM_URL", "video_url": draft.video}
        started = await self._context.step("init", lambda: self._init(draft, source))
        return str(started["publish_id"]), True

    async def _uploaded(self, draft: Draft) -> tuple[str, bool]:
        """The publication's id, and whether TikTok confirmed that it has all bytes."""
        media, customer_id = self._api.context.ports.media, self._api.context.customer_id
        rules = VIDEO if draft.post is not None else replace(VIDEO, max_seconds=MAX_SECONDS)
        handle = await self._context.step(
            "media", lambda: media.hold(customer_id, draft.video, rules, field="video"), repeatable=True
        )
        async with media.open(customer_id, str(handle), rules, field="video") as file:
            await self._check_creator(draft, file.seconds)
            plan = plan_chunks(file.size)
            started = await self._context.step("init", lambda: self._init(draft, _source(plan)))
            await self._context.state(PublishState.UPLOADING)
            arrived = await self._upload(file, plan, started["publish_id"], started["upload_url"])
        return str(started["publish_id"]), arrived

    async def _check_creator(self, draft: Draft, seconds: float | None) -> None:
        """Ask TikTok afresh before a direct post, as its audit demands, and refuse what would not be allowed."""
        if draft.post is None:
            return
        found = await self._context.step("creator", self._ask_creator, repeatable=True)
        self._creator = CreatorInfo.model_validate(found)
        check_choices(draft.post, self._creator, seconds)

    async def _ask_creator(self) -> dict[str, Any]:
        return (await self._api.creator_info()).model_dump()

    async def _init(self, draft: Draft, source: dict[str, Any]) -> dict[str, str]:
        body = {"source_info": source} | ({} if draft.post is None else {"post_info": draft.post})
        data, _ = await self._api.init(INBOX if draft.post is None else DIRECT, body)
        publish_id, url = data["publish_id"], data.get("upload_url")
        if draft.pull:
            return {"publish_id": publish_id}
        if not is_vendors(url, base_url=self._api.context.base_url, hosts=UPLOAD_HOSTS):
            raise PlatformRejected(
                "TikTok named an upload address that is not TikTok's: nothing was uploaded, nothing is published.",
                publish_id=publish_id,
            )
        return {"publish_id": publish_id, "upload_url": str(url)}

    async def _upload(self, file: MediaFile, plan: ChunkPlan, publish_id: str, url: str) -> bool:
        for number, chunk in enumerate(plan.chunks()):
            work = partial(self._send, file, chunk, publish_id, url)
            try:
                await self._context.step(f"chunk-{number}", work, repeatable=True)
            except PlatformUnavailable as error:
                if number < plan.count - 1:
                    error.data["publish_id"] = publish_id
                    raise
                # With the last chunk the publication is complete, so only TikTok can say whether it arrived.
                return False
            await self._context.progress(chunk.last + 1, plan.size, "Uploading the video to TikTok")
        return True

    async def _send(self, file: MediaFile, chunk: Chunk, publish_id: str, url: str) -> bool:
        """Put a chunk in its place; after a failure TikTok says how far it is before it is sent again."""

        def body() -> AsyncIterator[bytes]:
            return file.read(chunk.first, chunk.length)

        headers = {
            "Content-Type": file.content_type,
            "Content-Length": str(chunk.length),
            "Content-Range": chunk.content_range,
        }
        for wait in (*TRIES_AGAIN, None):
            try:
                # The address itself is the credential: no token goes there.
                response = await self._api.context.http.request(
                    "PUT", URL(url, encoded=True), headers=headers, body=body(), write=False
                )
            except PlatformUnavailable as error:
                failure: HermesError = error
            else:
                if response.status in (200, 201, 206):
                    return True
                if response.status != 416 and response.status < 500:
                    raise upload_error(response.status, publish_id)
                failure = self._api.context.http.unclear(response)
            if await self._received(publish_id, chunk.total) > chunk.last:
                return True
            if wait is None:
                raise PlatformUnavailable(failure.message, retry_after=failure.retry_after, detail=failure.detail)
            await sleep(wait)
        raise AssertionError("unreachable: the last try returns or raises")

    async def _received(self, publish_id: str, total: int) -> int:
        """How many bytes TikTok has; 0 when it does not say."""
        try:
            status = await self._api.status(publish_id)
        except HermesError:
            return 0
        return status.uploaded_bytes or 0 if status.status == "PROCESSING_UPLOAD" else total

    async def _watched(self, publish_id: str) -> VideoStatus:
        """How the publication stands when it is decided, or after some patience."""
        status = VideoStatus(publish_id=publish_id, status=PENDING[0])
        for wait in (0.0, *STATUS_WAITS):
            if wait:
                await sleep(wait)
            try:
                status = await self._api.status(publish_id)
            except HermesError:
                continue  # what was published is no less so because a look at it failed
            if status.status not in PENDING:
                break
        if status.status == "FAILED":
            await self._context.state(PublishState.FAILED)
            raise failure_error(status.fail_reason, publish_id)
        if status.status == "PUBLISH_COMPLETE":
            await self._context.state(PublishState.PUBLISHED)
        return explained(status, self._creator.creator_username if self._creator else None)


def check_choices(post: dict[str, Any], creator: CreatorInfo, seconds: float | None) -> None:
    """Refuse what this creator cannot post now.

    Raises:
        InvalidArguments: names the argument and what is allowed.
    """
    if post["privacy_level"] not in creator.privacy_level_options:
        allowed = ", ".join(creator.privacy_level_options) or "nothing at the moment"
        raise wrong("privacy_level", f"must be one that this creator has now: {allowed}")
    for name, disabled in (
        ("comment", creator.comment_disabled),
        ("duet", creator.duet_disabled),
        ("stitch", creator.stitch_disabled),
    ):
        if disabled and not post[f"disable_{name}"]:
            field = "allow_comments" if name == "comment" else f"allow_{name}"
            raise wrong(field, "cannot be on: the creator has switched it off in TikTok")
    most = creator.max_video_post_duration_sec or MAX_SECONDS
    if seconds is not None and seconds > most:
        raise wrong("video", f"may be {most} seconds long for this creator; it has {seconds:g}")


def explained(status: VideoStatus, username: str | None) -> VideoStatus:
    """The status with what it means, and the post's address if that is known."""
    changes: dict[str, Any] = {"explanation": _EXPLAINED.get(status.status)}
    if status.status == "PUBLISH_COMPLETE" and not status.post_ids:
        changes["explanation"] = "It is posted. TikTok names no id for a private post, or before moderation has ended."
    if status.status == "PUBLISH_COMPLETE" and status.post_ids and username:
        changes["url"] = f"https://www.tiktok.com/@{username}/video/{status.post_ids[0]}"
    return status.model_copy(update=changes)


def wrong(field: str, problem: str) -> InvalidArguments:
    """The error for an argument that does not fit the others or the creator."""
    return InvalidArguments(f"`{field}` {problem}.", fields=[{"field": field, "problem": problem}], nothing_sent=True)


def _source(plan: ChunkPlan) -> dict[str, Any]:
    return {
        "source": "FILE_UPLOAD",
        "video_size": plan.size,
        "chunk_size": plan.chunk_size,
        "total_chunk_count": plan.count,
    }
