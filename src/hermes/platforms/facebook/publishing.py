"""Publishing to a Page in steps that are never made twice: photos, resumable video uploads, and looking again.

Source: Pages API, "Posts"; Video API, "Publishing".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hermes.errors import HermesError, OutcomeUnknown, PlatformRejected, PlatformUnavailable
from hermes.net.bodies import Part
from hermes.net.upstream import UpstreamResponse
from hermes.platforms.context import ToolContext
from hermes.platforms.facebook.api import MEGABYTE, PHOTO, FacebookApi
from hermes.platforms.facebook.errors import WRONG_OFFSET
from hermes.platforms.meta.errors import wrong
from hermes.platforms.meta.graph import error_subcode
from hermes.platforms.meta.waiting import wait_for
from hermes.platforms.ports import MediaFile, PublishState
from hermes.platforms.refusals import nothing_published

SOONEST: Final = timedelta(minutes=10)
"""How far ahead a post can be scheduled at the least; how far at the most, Facebook decides. Source: Page feed."""

LARGEST_CHUNK: Final = 16 * MEGABYTE
"""What is held in memory of a video. Facebook asks for less, and goes on from wherever a chunk ended."""

_CHUNK_TRIES: Final = 4
_CHUNK_PAUSE: Final = 0.5
_CLOCKS_APART: Final = timedelta(seconds=30)


def schedule(at: datetime | None) -> dict[str, Any]:
    """The parameters of a post that comes out later; none for one that comes out now.

    Raises:
        InvalidArguments: it is less than ten minutes ahead.
    """
    if at is None:
        return {}
    if at < datetime.now(UTC) + SOONEST:
        raise wrong("scheduled_for", "must be at least ten minutes ahead")
    return {"published": False, "scheduled_publish_time": int(at.timestamp())}


async def post_to_feed(api: FacebookApi, body: Mapping[str, Any], since: datetime) -> str:
    """Make a post; returns its id. When no clear answer comes, the Page itself is asked.

    Raises:
        HermesError: a refusal; `OutcomeUnknown` when the Page does not show it either.
    """
    try:
        answer, response = await api.post(f"{api.page_id}/feed", body)
    except OutcomeUnknown:
        found = await find_post(api, body.get("message"), since) if "published" not in body else None
        if found is None:
            raise
        return found
    return text_member(api, answer, "id", response)


async def find_post(api: FacebookApi, message: str | None, since: datetime) -> str | None:
    """The id of the one post with this very text that came out since then; None when it cannot be told."""
    if not message:
        return None
    try:
        answer, _ = await api.get(f"{api.page_id}/published_posts", fields="id,message,created_time", limit=10)
        data = answer.get("data")
        found = [
            str(post["id"])
            for post in (data if isinstance(data, list) else [])
            if post.get("message") == message
            and datetime.fromisoformat(str(post.get("created_time"))) >= since - _CLOCKS_APART
        ]
    except (HermesError, ValueError, KeyError, AttributeError, TypeError):
        return None  # then it stays unknown
    return found[0] if len(found) == 1 else None


async def upload_photo(
    api: FacebookApi, context: ToolContext, source: str, number: int, fields: Mapping[str, str]
) -> dict[str, Any]:
    """Send one photo, which `fields` publish or not; returns Facebook's `{id, post_id?}`."""
    media, customer = api.context.ports.media, api.context.customer_id
    handle = await context.step(
        f"media-{number}", lambda: media.hold(customer, source, PHOTO, field="photos"), repeatable=True
    )

    async def send() -> dict[str, Any]:
        async with media.open(customer, handle, PHOTO, field="photos") as file:
            content = b"".join([piece async for piece in file.read()])
            parts = [Part(name, value) for name, value in fields.items()]
            parts.append(Part("source", content, filename=file.filename, content_type=file.content_type))
        answer, response = await api.post(f"{api.page_id}/photos", multipart=parts)
        made = {"id": text_member(api, answer, "id", response)}
        return made | ({"post_id": answer["post_id"]} if isinstance(answer.get("post_id"), str) else {})

    made: dict[str, Any] = await context.step(f"photo-{number}", send)
    return made


async def upload_video(api: FacebookApi, context: ToolContext, file: MediaFile) -> dict[str, str]:
    """Send a video in chunks that Facebook addresses by offset; returns `{session, video_id}`. Publishes nothing.

    Raises:
        HermesError: a refusal, or Facebook took no more chunks.
    """

    async def start() -> dict[str, Any]:
        body = {"upload_phase": "start", "file_size": file.size}
        answer, response = await api.post(f"{api.page_id}/videos", body)
        return {
            "session": text_member(api, answer, "upload_session_id", response),
            "video_id": text_member(api, answer, "video_id", response),
            "offsets": _offsets(api, answer, file.size, response),
        }

    with nothing_published("Facebook"):
        begun: dict[str, Any] = await context.step("start", start)
    at, end = begun["offsets"]
    await context.state(PublishState.UPLOADING)
    while at < end:
        at, end = await _chunk(api, context, begun["session"], file, at, end)
        await context.progress(at, file.size, "uploading the video")
    if at != file.size:
        raise PlatformUnavailable("Facebook ended the upload before the whole video was sent; nothing was published.")
    return {"session": begun["session"], "video_id": begun["video_id"]}


async def _chunk(
    api: FacebookApi, context: ToolContext, session: str, file: MediaFile, at: int, end: int
) -> tuple[int, int]:
    """Send one chunk, as often as needed; returns the offsets of the next one."""

    async def send() -> list[int]:
        for tries_left in reversed(range(_CHUNK_TRIES)):
            try:
                return await _send_chunk(api, session, file, at, min(end, at + LARGEST_CHUNK))
            except PlatformUnavailable:
                if not tries_left:
                    raise
            await asyncio.sleep(_CHUNK_PAUSE)
        raise AssertionError("the last try returns or raises")

    following, until = await context.step(f"chunk-{at}", send, repeatable=True)
    return following, until


async def _send_chunk(api: FacebookApi, session: str, file: MediaFile, at: int, end: int) -> list[int]:
    content = b"".join([piece async for piece in file.read(at, end - at)])
    parts = [
        Part("upload_phase", "transfer"),
        Part("upload_session_id", session),
        Part("start_offset", str(at)),
        Part("video_file_chunk", content, filename="chunk", content_type="application/octet-stream"),
    ]
    response = await api.exchange("POST", f"{api.page_id}/videos", multipart=parts, write=False)
    subcode, corrected = error_subcode(response)
    known = subcode == WRONG_OFFSET and "start_offset" in corrected
    following = _offsets(api, corrected if known else api.checked(response)[0], file.size, response)
    if following[0] <= at:
        raise api.context.http.unclear(response)
    return following


async def finish_video(
    api: FacebookApi, context: ToolContext, upload: Mapping[str, str], words: Mapping[str, Any]
) -> None:
    """Have an uploaded video published. When no clear answer comes, the video itself is asked.

    Raises:
        HermesError: a refusal; `OutcomeUnknown` when the video does not say that it goes on.
    """

    async def finish() -> dict[str, Any]:
        body = {"upload_phase": "finish", "upload_session_id": upload["session"], **words}
        answer, response = await api.post(f"{api.page_id}/videos", body)
        if answer.get("success") is not True:
            raise api.context.http.unclear(response)
        return {"success": True}

    try:
        await context.step("finish", finish)
    except OutcomeUnknown:
        if not await _goes_on(api, upload["video_id"]):
            raise


async def _goes_on(api: FacebookApi, video_id: str) -> bool:
    try:
        status, _ = await _status(api, video_id)
    except HermesError:
        return False
    return status.get("video_status") in ("processing", "ready")


@dataclass(frozen=True, slots=True)
class Ready:
    """A video that Facebook has processed. `post_id` is missing where Facebook does not tell it yet."""

    post_id: str | None


@dataclass(frozen=True, slots=True)
class _Failed:
    state: str
    reason: str


async def await_processing(api: FacebookApi, context: ToolContext, video_id: str) -> Ready | None:
    """Wait until a video is ready; None when Facebook still processes it, or does not say.

    Facebook has it by now and publishes it by itself: whatever goes wrong in looking is no failure of the call.

    Raises:
        PlatformRejected: Facebook could not process it.
    """
    await context.state(PublishState.PROCESSING)

    async def look() -> Ready | _Failed | None:
        try:
            status, post = await _status(api, video_id)
        except HermesError:
            return None
        match status.get("video_status"):
            case "ready":
                return Ready(post if post is None or "_" in post else f"{api.page_id}_{post}")
            case "error" | "upload_failed" | "expired" as state:
                return _Failed(state, _reason(status))
        return None

    http = api.context.http
    seen: Ready | _Failed | None = await wait_for(
        look, every=api.poll_seconds, patience=api.patience, deadline=http.deadline
    )
    if not isinstance(seen, _Failed):
        return seen
    await context.state(PublishState.FAILED)
    raise PlatformRejected(
        f"Facebook could not process the video, and nothing was published: {seen.reason}. Upload another file.",
        platform_code=seen.state,
        video_id=video_id,
    )


async def _status(api: FacebookApi, video_id: str) -> tuple[dict[str, Any], str | None]:
    answer, response = await api.get(video_id, fields="status,post_id")
    status, post = answer.get("status"), answer.get("post_id")
    if not isinstance(status, dict):
        raise api.context.http.unclear(response)
    return status, post if isinstance(post, str) else None


def _reason(status: Mapping[str, Any]) -> str:
    for phase in ("uploading_phase", "processing_phase", "publishing_phase"):
        errors = (status.get(phase) or {}).get("errors") if isinstance(status.get(phase), dict) else None
        if isinstance(errors, list) and errors and isinstance(errors[0], dict):
            return str(errors[0].get("message") or errors[0].get("code")).strip().rstrip(".")[:300]
    return "no reason given"


def _offsets(api: FacebookApi, answer: Mapping[str, Any], size: int, response: UpstreamResponse) -> list[int]:
    """Where to go on and where to stop: whole numbers, which Facebook writes as text."""
    given = [str(answer.get(name)) for name in ("start_offset", "end_offset")]
    if all(one.isascii() and one.isdigit() and len(one) < 16 for one in given):
        start, end = (int(one) for one in given)
        if start <= end <= size:
            return [start, end]
    raise api.context.http.unclear(response)


def text_member(api: FacebookApi, answer: Mapping[str, Any], name: str, response: UpstreamResponse) -> str:
    """A member that must be there; an answer without it does not say what happened."""
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise api.context.http.unclear(response)
    return value
