"""Results that are more than data: pictures, sounds and documents, as blocks that a client shows or gives its model."""

from __future__ import annotations

import base64
from typing import Annotated

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)
from pydantic import BaseModel, Field, WithJsonSchema

Blocks = Annotated[
    list[ContentBlock],
    Field(min_length=1),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "object"},
            "description": "Blocks as MCP writes them: text, image, audio, resource.",
        }
    ),
]


class Content(BaseModel):
    """What a tool returns to have its result shown as blocks. Members of a subclass are the data."""

    content: Blocks


def text(words: str) -> TextContent:
    return TextContent(text=words)


def image(data: bytes, mime_type: str) -> ImageContent:
    return ImageContent(data=_base64(data), mime_type=mime_type)


def audio(data: bytes, mime_type: str) -> AudioContent:
    return AudioContent(data=_base64(data), mime_type=mime_type)


def document(uri: str, body: str | bytes, mime_type: str) -> EmbeddedResource:
    """A whole document; bytes for what is no text."""
    if isinstance(body, str):
        return EmbeddedResource(resource=TextResourceContents(uri=uri, text=body, mime_type=mime_type))
    return EmbeddedResource(resource=BlobResourceContents(uri=uri, blob=_base64(body), mime_type=mime_type))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
