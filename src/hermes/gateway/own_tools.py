"""The gateway's own two tools: what became of a call, and handing over a file. For every caller, and never charged.

They are declared like any platform's, and go through the pipeline like them; but nobody links an account for them, and
they are not among the catalogue's tools.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from hermes.errors import HermesError, InvalidArguments
from hermes.gateway.fence import fence
from hermes.gateway.lookup import CallLookup, CallStatus
from hermes.gateway.refusals import unexpected
from hermes.identity.caller import Caller
from hermes.media.limits import MediaLimits
from hermes.media.names import OCTETS
from hermes.media.shown import KeptFile
from hermes.media.store import MediaStore
from hermes.platforms.base import Credentials, Effect, PasteToken, Plain, Platform, Tool
from hermes.platforms.context import ToolContext

GATEWAY: Final = "gateway"
MAX_UPLOAD: Final = 3_000_000
"""Bytes of a file in a tool's argument: clients send these through a model's context."""


class NoCredentials(Credentials):
    """There is nothing to link."""


@dataclass(frozen=True, slots=True)
class OwnApi:
    """What the tools work with: bound to one caller."""

    caller: Caller
    lookup: CallLookup
    media: MediaStore
    limits: MediaLimits


CallId = Annotated[str, Field(pattern=r"^call_[0-9a-f]{32}$", description="The `call_id` that the call answered.")]
Base64 = Annotated[
    str, Field(max_length=MAX_UPLOAD // 3 * 4 + 4, description=f"The file in base64, at most {MAX_UPLOAD:,} bytes.")
]
Filename = Annotated[str, Field(min_length=1, max_length=255, description="What the file is called, with its ending.")]


@cache
def own_platform() -> Platform[NoCredentials, OwnApi]:
    """The declaration of the gateway's own tools."""
    gateway: Platform[NoCredentials, OwnApi] = Platform(
        GATEWAY,
        title="Gateway",
        credentials=NoCredentials,
        connect=PasteToken("", ()),
        open=_nothing_to_open,
        open_world=False,
    )

    @gateway.tool(Effect.READ, rest="GET /calls", title="Get call")
    async def get_call(api: OwnApi, call_id: Annotated[Plain, CallId]) -> CallStatus:
        """Find out what became of a call: also after an unknown outcome, or while a publication is
        under way (created, uploading, processing, published, failed, outcome_unknown)."""
        return await api.lookup.find(api.caller, call_id)

    @gateway.tool(Effect.CREATE, rest="PUT /media", title="Upload media")
    async def upload_media(api: OwnApi, content_base64: Base64, filename: Annotated[Plain, Filename]) -> KeptFile:
        """Keep a small file for 24 hours and get its media handle (media_…), which other tools take where they take a
        URL. A URL goes to those tools directly; a larger file goes to PUT /api/media."""
        content = _decoded(content_base64)
        limits = api.limits(api.caller.plan)
        kept = await api.media.take(
            api.caller.customer_id,
            _once(content),
            filename=filename,
            content_type=OCTETS,
            max_bytes=limits.file_bytes,
            max_total=limits.total_bytes,
        )
        return KeptFile.of(kept)

    return gateway


class OwnTools:
    """Runs them.

    Attributes:
        tools: by MCP name.
    """

    def __init__(self, lookup: CallLookup, media: MediaStore, limits: MediaLimits) -> None:
        self._lookup = lookup
        self._media = media
        self._limits = limits
        self.tools: Mapping[str, Tool] = {tool.name: tool for tool in own_platform().tools.values()}

    async def run(self, caller: Caller, tool: Tool, arguments: BaseModel, context: ToolContext) -> dict[str, Any]:
        """Run one; returns its fenced result.

        Raises:
            HermesError: whatever stopped it.
        """
        api = OwnApi(caller, self._lookup, self._media, self._limits)
        try:
            return dict(fence(await tool.run(api, arguments, context)))
        except HermesError:
            raise
        except Exception as error:  # noqa: BLE001  (a fault of ours must not leave a call unsettled)
            raise unexpected(error, tool, may_have_acted=False) from None


def _nothing_to_open(*_: object) -> OwnApi:
    raise TypeError("the gateway's own tools have no account")


def _decoded(text: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        problem = "must be standard base64 without line breaks"
        raise InvalidArguments(
            f"`content_base64` {problem}.", fields=[{"field": "content_base64", "problem": problem}], nothing_sent=True
        ) from None
    if not content:
        problem = "must not be empty"
        raise InvalidArguments(
            f"`content_base64` {problem}.", fields=[{"field": "content_base64", "problem": problem}], nothing_sent=True
        )
    return content


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
