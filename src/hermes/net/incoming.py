"""Bodies of requests that reach us, read within bounds."""

from __future__ import annotations

from starlette.requests import Request

from hermes.errors import PayloadTooLarge


async def read_body(request: Request, limit: int, what: str) -> bytes:
    """The whole body.

    Args:
        request: whose body has not been read yet.
        limit: bytes that it may have.
        what: what the body is, for the error, e.g. `A form`.

    Raises:
        PayloadTooLarge: it is longer.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise PayloadTooLarge(f"{what} is at most {limit // 1024} KiB long.")
    return bytes(body)
