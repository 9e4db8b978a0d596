"""Publishing in steps that are never made twice: containers, their uploads, publishing once, and reading back.

Source: Instagram Platform, "Publish content" and "Resumable uploads".
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hermes.errors import HermesError, PlatformRejected, PlatformUnavailable, RateLimited
from hermes.net.upstream import UpstreamResponse
from hermes.platforms.context import ToolContext
from hermes.platforms.instagram.api import MEGABYTE, InstagramApi
from hermes.platforms.instagram.errors import NOT_READY, QUOTA_WAIT, refusal_of_status
from hermes.platforms.instagram.models import PublishedMedia
from hermes.platforms.meta.graph import answer_object
from hermes.platforms.meta.waiting import wait_for
from hermes.platforms.ports import MediaFile, PublishState
from hermes.platforms.refusals import nothing_published

_PUBLISH_TRIES: Final = 3
_UPLOAD_TRIES: Final = 5
_CLOCKS_APART: Final = timedelta(seconds=30)
_NUMBER: Final = re.compile(r"\b(22\d{5})\b")


@dataclass(frozen=True, slots=True)
class Container:
    """A prepared post. `uri`: where its bytes go; `made_at` and `caption`: by which it can be found when it is out."""

    id: str
    uri: str | None = None
    made_at: datetime | None = None
    caption: str | None = None


async def check_quota(api: InstagramApi) -> None:
    """Refuse when the account's posts of 24 hours are used up. The number is Instagram's, read now.

    Raises:
        RateLimited: they are.
        HermesError: a refusal, or no clear answer.
    """
    answer, response = await api.get(f"{api.account_id}/content_publishing_limit", fields="quota_usage,config")
    data = answer.get("data")
    found = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
    config = found.get("config")
    used, total = found.get("quota_usage"), config.get("quota_total") if isinstance(config, dict) else None
    if not isinstance(used, int) or not isinstance(total, int):
        raise api.context.http.unclear(response)
    if used >= total:
        raise RateLimited(
            f"Instagram lets this account publish {total} posts in 24 hours, and {used} are out. Wait until some of "
            "them are older.",
            limited_by="instagram",
            retry_after=QUOTA_WAIT,
        )


async def make_container(api: InstagramApi, context: ToolContext, name: str, body: Mapping[str, Any]) -> Container:
    """Prepare something, as the step `name`. Nobody sees it until it is published.

    Raises:
        HermesError: a refusal; `PlatformUnavailable` without a clear answer, which leaves nothing that can be seen.
    """

    async def make() -> dict[str, Any]:
        answer, response = await api.post(f"{api.account_id}/media", body)
        uri = answer.get("uri")
        at = datetime.now(UTC).isoformat()
        return {"id": _id_of(api, answer, response), "uri": uri if isinstance(uri, str) else None, "at": at}

    with nothing_published("Instagram"):
        made: dict[str, Any] = await context.step(name, make)
    return Container(made["id"], made["uri"], datetime.fromisoformat(made["at"]), body.get("caption"))


async def upload(api: InstagramApi, context: ToolContext, container: Container, file: MediaFile) -> None:
    """Send a video's bytes to its container, going on where Instagram stopped receiving.

    Raises:
        HermesError: a refusal; `PlatformUnavailable` when the upload address is not Meta's or the upload never ended.
    """
    uri = container.uri
    if uri is None or not api.may_upload_to(uri):
        raise PlatformUnavailable(
            "Instagram gave no upload address, or one that is not Meta's; nothing was sent there, and nothing was "
            "published."
        )
    furthest = 0

    async def pieces(start: int) -> AsyncIterator[bytes]:
        nonlocal furthest
        at = start
        async for piece in file.read(start):
            yield piece
            at += len(piece)
            if at >= furthest + MEGABYTE or at == file.size > furthest:
                furthest = at
                await context.progress(at, file.size, "uploading the video")

    async def send() -> dict[str, Any]:
        at = 0
        for _ in range(_UPLOAD_TRIES):
            headers = {
                "offset": str(at),
                "file_size": str(file.size),
                "Content-Length": str(file.size - at),
                "Content-Type": "application/octet-stream",
            }
            with suppress(PlatformUnavailable):  # then Instagram says below how much arrived
                if _taken(api, await api.upload(uri, pieces(at), headers)):
                    return {"sent": file.size}
            at = await _received(api, container.id)
            if at >= file.size:
                return {"sent": file.size}
        raise PlatformUnavailable(
            "The upload to Instagram broke off again and again. Nothing was published: try later."
        )

    await context.state(PublishState.UPLOADING)
    await context.step("upload", send, repeatable=True)


def _taken(api: InstagramApi, response: UpstreamResponse) -> bool:
    """Whether the whole video is there; False when it should be gone on with.

    Raises:
        HermesError: a refusal.
    """
    answer = answer_object(response) or {}
    if response.status == 200 and answer.get("success") is True:
        return True
    problem = answer.get("debug_info")
    if not isinstance(problem, dict):
        raise api.error(answer, response)
    if problem.get("retriable") is True:
        return False
    kind, message = (str(problem.get(name) or "no reason given")[:300] for name in ("type", "message"))
    raise PlatformRejected(
        f"Instagram did not take the video: {message.rstrip('.')}. Nothing was published; try another file.",
        platform_code=kind,
        platform_message=message,
    )


async def _received(api: InstagramApi, container_id: str) -> int:
    """How many bytes of a video Instagram has. Source: "Resumable uploads", interrupted ones."""
    answer, response = await api.get(container_id, fields="id,status_code,video_status")
    if answer.get("status_code") in ("FINISHED", "PUBLISHED"):
        return 1 << 62
    phase = (answer.get("video_status") or {}).get("uploading_phase") if _is_object(answer, "video_status") else None
    count = phase.get("bytes_transferred") if isinstance(phase, dict) else None
    if str(count).isdigit() and len(str(count)) < 16:
        return int(str(count))
    raise api.context.http.unclear(response)


async def await_container(api: InstagramApi, context: ToolContext, container_id: str) -> str | None:
    """Wait until a container can be published: "FINISHED", or "PUBLISHED" when it is out already; None: not yet.

    Raises:
        HermesError: its processing failed, it expired, or Instagram does not tell; names the container.
    """
    await context.state(PublishState.PROCESSING)
    silent: PlatformUnavailable | None = None

    async def look() -> str | None:
        nonlocal silent
        try:
            state = await _state(api, container_id)
        except PlatformUnavailable as error:
            if "container_state" in error.data:
                raise
            silent = error
            return None
        silent = None
        return state

    http = api.context.http
    try:
        seen = await wait_for(look, every=api.poll_seconds, patience=api.patience, deadline=http.deadline)
        if silent is not None:
            raise silent
    except HermesError as error:
        if "container_state" in error.data:
            await context.state(PublishState.FAILED)
            raise
        raise _to_be_continued(error, container_id) from None
    return seen


def _to_be_continued(error: HermesError, container_id: str) -> HermesError:
    """The error, with the way to go on: Instagram publishes a container once, so that asking again is safe."""
    if "container_id" not in error.data:
        error.data["container_id"] = container_id
        error.message += (
            f" What was prepared is kept for 24 hours: call again with nothing but container_id {container_id}, which "
            "publishes it once at most."
        )
    return error


async def _state(api: InstagramApi, container_id: str) -> str | None:
    answer, response = await api.get(container_id, fields="id,status_code,status")
    match answer.get("status_code"):
        case "FINISHED" | "PUBLISHED" as state:
            return str(state)
        case "IN_PROGRESS":
            return None
        case "ERROR" | "EXPIRED" as state:
            raise _failed(api, str(state), str(answer.get("status") or ""))
    raise api.context.http.unclear(response)


def _failed(api: InstagramApi, state: str, status: str) -> HermesError:
    """The error of a container that will never be published: its status text holds the number of what is wrong."""
    number = 2207020 if state == "EXPIRED" else next((int(one) for one in _NUMBER.findall(status)), 0)
    refusal = refusal_of_status(number)
    error = api.errors.error(refusal, number, None, status or "no reason given", None)
    error.data["container_state"] = state
    return error


async def publish(api: InstagramApi, context: ToolContext, container: Container) -> PublishedMedia:
    """Publish a container once, when it is ready, and say what came of it.

    When no clear answer comes, or Instagram refuses what an earlier try has published, the container tells.

    Raises:
        HermesError: a refusal; `OutcomeUnknown` when not even the container tells. Both name the container, with which
            the call can be continued.
    """
    for number in range(1, _PUBLISH_TRIES + 1):
        state = await await_container(api, context, container.id)
        if state is None:
            break
        if state == "PUBLISHED":
            return await _found(api, context, container)
        try:
            media_id = await context.step(f"publish-{number}", lambda: _send(api, container.id))
        except HermesError as error:
            if error.data.get("platform_subcode") == NOT_READY and number < _PUBLISH_TRIES:
                continue
            if await _is_out(api, container.id):
                return await _found(api, context, container)
            raise _to_be_continued(error, container.id) from None
        return await _published(api, context, container, media_id)
    return PublishedMedia(state="processing", container_id=container.id)


async def _send(api: InstagramApi, container_id: str) -> str:
    answer, response = await api.post(f"{api.account_id}/media_publish", {"creation_id": container_id})
    return _id_of(api, answer, response)


async def _is_out(api: InstagramApi, container_id: str) -> bool:
    with suppress(HermesError):
        return await _state(api, container_id) == "PUBLISHED"
    return False


async def _found(api: InstagramApi, context: ToolContext, container: Container) -> PublishedMedia:
    """What a container became whose publishing was not answered: the one medium of its caption since it was made."""
    if container.made_at is None:
        return await _published(api, context, container, None)
    media_id: str | None = None
    try:
        answer, _ = await api.get(f"{api.account_id}/media", fields="id,caption,timestamp", limit=10)
        data = answer.get("data")
        found = [
            str(one["id"])
            for one in (data if isinstance(data, list) else [])
            if one.get("caption") == container.caption
            and datetime.fromisoformat(str(one.get("timestamp"))) >= container.made_at - _CLOCKS_APART
        ]
        media_id = found[0] if len(found) == 1 else None
    except (HermesError, ValueError, KeyError, AttributeError, TypeError):
        pass  # it is out all the same
    return await _published(api, context, container, media_id)


async def _published(
    api: InstagramApi, context: ToolContext, container: Container, media_id: str | None
) -> PublishedMedia:
    await context.state(PublishState.PUBLISHED)
    permalink: Any = None
    if media_id is not None:
        with suppress(HermesError):
            answer, _ = await api.get(media_id, fields="permalink")
            permalink = answer.get("permalink")
    return PublishedMedia(
        state="published",
        container_id=container.id,
        media_id=media_id,
        permalink=permalink if isinstance(permalink, str) else None,
    )


def _id_of(api: InstagramApi, answer: Mapping[str, Any], response: UpstreamResponse) -> str:
    value = answer.get("id")
    if not isinstance(value, str) or not value.isdigit():
        raise api.context.http.unclear(response)
    return value


def _is_object(answer: Mapping[str, Any], name: str) -> bool:
    return isinstance(answer.get(name), dict)
