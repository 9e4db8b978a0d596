"""Files that a customer keeps here, on their way into a message: uploaded to Meta, and named by the id it gives.

Source: Cloud API, Media, "Upload media" and "Supported media types".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hermes.net.bodies import MEBIBYTE, Part
from hermes.platforms.ports import MediaRules
from hermes.platforms.whatsapp.api import WhatsAppApi

_SOURCE: Final = "https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#supported-media-types"
_HANDLE: Final = "media_"

RULES: Final[Mapping[str, MediaRules]] = {
    "image": MediaRules(frozenset({"image/jpeg", "image/png"}), 5 * MEBIBYTE, _SOURCE),
    "video": MediaRules(frozenset({"video/mp4", "video/3gpp"}), 16 * MEBIBYTE, _SOURCE),
    "audio": MediaRules(
        frozenset({"audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"}), 16 * MEBIBYTE, _SOURCE
    ),
    # Meta takes 100 MB, by link: what is uploaded from here is held in memory for the moment.
    "document": MediaRules(frozenset(), 16 * MEBIBYTE, _SOURCE),
    "sticker": MediaRules(
        frozenset({"image/webp"}), 500 * 1024, _SOURCE, min_width=512, max_width=512, min_height=512, max_height=512
    ),
}
"""By the kind of the message."""


async def with_upload(api: WhatsAppApi, kind: str, part: Mapping[str, Any], field: str) -> dict[str, Any]:
    """The part of a message that names a file, with an uploaded file's id where a handle stood.

    Args:
        field: the argument that the handle came in, for errors.

    Raises:
        HermesError: the file is none that WhatsApp takes, or Meta did not take it. No message was sent.
    """
    link = part["link"]
    if not link.startswith(_HANDLE):
        return dict(part)
    rest = {name: value for name, value in part.items() if name != "link"}
    return {"id": await _upload(api, link, RULES[kind], field), **rest}


async def _upload(api: WhatsAppApi, handle: str, rules: MediaRules, field: str) -> str:
    async with api.context.ports.media.open(api.context.customer_id, handle, rules, field=field) as file:
        content = b"".join([piece async for piece in file.read()])
        parts = [
            Part("messaging_product", "whatsapp"),
            Part("type", file.content_type),
            Part("file", content, filename=file.filename, content_type=file.content_type),
        ]
    # Nothing is sent to anybody by it, and what is never used goes after 30 days.
    sent = await api.exchange("POST", f"{api.phone_number_id}/media", multipart=parts, write=False)
    answer, response = api.checked(sent)
    media_id = answer.get("id")
    if not isinstance(media_id, str) or not media_id:
        raise api.context.http.unclear(response)
    return media_id
