"""`/api/media`: handing over a file, looking at it, taking it back."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Final
from urllib.parse import quote, unquote

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from hermes.errors import InvalidArguments, PayloadTooLarge
from hermes.identity.actions import ActionAudit, audit_action
from hermes.identity.caller import Caller
from hermes.media.limits import MediaLimits
from hermes.media.shown import KeptFile
from hermes.media.store import MediaStore
from hermes.routing import RoomRouter

Handle = Annotated[str, Path(pattern=r"^media_[0-9a-z]{26}$", description="The handle that the upload answered.")]
FilenameQuery = Annotated[str | None, Query(max_length=255, description="What the file is called.")]

_PRIVATE: Final = {"Cache-Control": "private, no-store"}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
        "description": "The file itself, not a form. `X-Filename` (percent-encoded UTF-8) or `?filename=` names it.",
    }
}


def build_router(
    media: MediaStore, limits: MediaLimits, actions: ActionAudit, current_caller: Callable[..., Any]
) -> APIRouter:
    """The routes.

    Args:
        media: what is kept.
        limits: how much, by plan.
        actions: writes to the customer's trail.
        current_caller: dependency that gives the caller.
    """
    router = RoomRouter(tags=["media"])

    @router.put("/api/media", status_code=201, openapi_extra=_BODY)
    async def upload(
        request: Request,
        caller: Annotated[Caller, Depends(current_caller)],
        filename: FilenameQuery = None,
    ) -> KeptFile:
        """Keep a photo, video or other file for 24 hours. Tools take its handle where they take a URL."""
        limit = limits(caller.plan)
        content_type = request.headers.get("content-type", "")
        if content_type.lower().startswith(("multipart/", "application/x-www-form-urlencoded")):
            raise _Unsupported("Send the file itself as the body, not a form.")
        _refuse_declared(request, limit.file_bytes)
        kept = await media.take(
            caller.customer_id,
            _pieces(request),
            filename=filename or unquote(request.headers.get("x-filename", "")) or "file",
            content_type=content_type,
            max_bytes=limit.file_bytes,
            max_total=limit.total_bytes,
        )
        await audit_action(actions, caller.customer_id, caller, "media.upload", handle=kept.id)
        return KeptFile.of(kept)

    @router.get("/api/media/{handle}")
    async def describe(handle: Handle, caller: Annotated[Caller, Depends(current_caller)]) -> KeptFile:
        """What is known of a file of yours."""
        return KeptFile.of(await media.describe(caller.customer_id, handle))

    @router.get("/api/media/{handle}/content", response_class=Response)
    async def content(handle: Handle, caller: Annotated[Caller, Depends(current_caller)]) -> StreamingResponse:
        """The file itself, always as a download."""
        opened = await media.kept(caller.customer_id, handle)
        headers = _PRIVATE | {
            "Content-Length": str(opened.size),
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(opened.filename, safe='')}",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
        }
        return StreamingResponse(opened.read(), headers=headers, media_type=opened.content_type)

    @router.delete("/api/media/{handle}", status_code=204)
    async def delete(handle: Handle, caller: Annotated[Caller, Depends(current_caller)]) -> None:
        """Delete a file of yours now."""
        await media.delete(caller.customer_id, handle)
        await audit_action(actions, caller.customer_id, caller, "media.delete", handle=handle)

    return router


class _Unsupported(InvalidArguments):
    status = 415


def _refuse_declared(request: Request, limit: int) -> None:
    """Refuse by Content-Length what is too large, before a byte of it is read."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:18]) > limit:
        raise PayloadTooLarge(
            f"The file is larger than {limit:,} bytes, the most that your plan takes.", limit_bytes=limit
        )


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            if piece:
                yield piece
    except ClientDisconnect:
        raise InvalidArguments("The upload ended before the file was complete.") from None
