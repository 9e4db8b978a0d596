"""A photo or video on its way to Snapchat: as an ad creative, or encrypted to a public profile.

Each step is kept, so that media which was made is never made twice.
"""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from hermes.errors import HermesError, InvalidArguments, PlatformRejected
from hermes.net.bodies import Part
from hermes.platforms.context import ToolContext
from hermes.platforms.ports import MediaFile, MediaRules, PublishState
from hermes.platforms.refusals import nothing_published
from hermes.platforms.snapchat import api as snap
from hermes.platforms.snapchat.errors import PROCESSING

_MEBIBYTE: Final = 1024 * 1024
PART_BYTES: Final = 8 * _MEBIBYTE
"""Snap takes parts of up to 32 MB; smaller ones keep memory flat."""
ONE_PIECE: Final = 32_000_000
READY_WAITS: Final = (1.0, 2.0, 3.0, 5.0, 5.0, 10.0, 10.0, 15.0)
"""Seconds between looks at ad media that is being processed."""
PUBLISH_WAITS: Final = (5.0, 8.0, 12.0, 20.0)
"""Seconds between tries to publish media that Snapchat is still transcoding."""

_ADS_PAGE: Final = "https://developers.snap.com/api/marketing-api/Ads-API/media"
_PROFILE_PAGE: Final = "https://developers.snap.com/api/public-profile-api"
_IMAGES: Final = frozenset({"image/jpeg", "image/png"})
_VIDEOS: Final = frozenset({"video/mp4", "video/quicktime"})
AD_MEDIA: Final = MediaRules(
    types=_IMAGES | _VIDEOS, max_bytes=1_000_000_000, source=_ADS_PAGE, min_seconds=3, max_seconds=180
)
STORY_MEDIA: Final = MediaRules(
    types=_IMAGES | frozenset({"video/mp4"}),
    max_bytes=500_000_000,
    source=_PROFILE_PAGE,
    min_seconds=5,
    max_seconds=60,
)
SPOTLIGHT_MEDIA: Final = MediaRules(
    types=frozenset({"video/mp4"}), max_bytes=500_000_000, source=_PROFILE_PAGE, min_seconds=6, max_seconds=60
)
IMAGE_BYTES: Final[Mapping[bool, int]] = {False: 5_000_000, True: 20_000_000}
"""The most bytes of an image: of an ad's, of a profile's."""


class Publication:
    """One call that publishes one photo or video."""

    def __init__(self, api: snap.SnapchatApi, context: ToolContext) -> None:
        self._api = api
        self._context = context

    async def hold(self, source: str, rules: MediaRules) -> str:
        """Fetch and check the media, and keep the very bytes for the rest of the call. Returns its handle."""
        call = self._api.context
        handle = await self._context.step(
            "media", lambda: call.ports.media.hold(call.customer_id, source, rules, field="media"), repeatable=True
        )
        return str(handle)

    def open(self, handle: str, rules: MediaRules) -> Any:
        call = self._api.context
        return call.ports.media.open(call.customer_id, handle, rules, field="media")

    async def ad_media(self, file: MediaFile, ad_account_id: str, name: str) -> str:
        """Upload to an ad account and wait until the media is ready. Returns its id.

        Raises:
            HermesError: Snapchat refuses it, cannot use it, or takes longer than the call may.
        """
        with nothing_published("Snapchat"):
            media_id = str(await self._context.step("create-media", partial(self._create, file, ad_account_id, name)))
            await self._context.state(PublishState.UPLOADING)
            if file.size <= ONE_PIECE:
                await self._context.step("upload", partial(self._upload_whole, file, media_id))
            else:
                await self._upload_parts(file, media_id)
        await self._context.state(PublishState.PROCESSING)
        await self._ready(media_id)
        return media_id

    async def profile_media(self, file: MediaFile, profile_id: str) -> str:
        """Encrypt and upload to a public profile. Returns the media's id.

        Source: Public Profile API, "Create Media": AES-256-CBC with PKCS#7 padding, key and IV in base64.
        """
        with nothing_published("Snapchat"):
            return await self._encrypted_media(file, profile_id)

    async def _encrypted_media(self, file: MediaFile, profile_id: str) -> str:
        secret = await self._context.step("key", _new_key, repeatable=True)
        made = await self._context.step("create-media", partial(self._create_encrypted, file, profile_id, secret))
        await self._context.state(PublishState.UPLOADING)
        number = 0
        async for number, part in _numbered(_encrypted(file, secret)):
            send = partial(self._add, made["add_path"], number, part)
            await self._context.step(f"part-{number}", send, repeatable=True)
            await self._context.progress(min(number * PART_BYTES, file.size), file.size, "Uploading to Snapchat")
        await self._context.step("finalize", partial(self._finalize, made["finalize_path"]))
        await self._context.state(PublishState.PROCESSING)
        return str(made["media_id"])

    async def publish(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Publish media that was uploaded. While Snapchat is transcoding it refuses, and clearly: it is asked again.

        Returns:
            Snapchat's answer.
        """
        answer: dict[str, Any] = await self._context.step("publish", partial(self._publish, path, body))
        await self._context.state(PublishState.PUBLISHED)
        return answer

    async def _create(self, file: MediaFile, ad_account_id: str, name: str) -> str:
        media = {"name": name, "type": kind_of(file), "ad_account_id": ad_account_id}
        answer, response = await self._api.post(f"/adaccounts/{ad_account_id}/media", {"media": [media]})
        media_id = self._api.first(answer, "media", "media", response).get("id")
        if not isinstance(media_id, str):
            raise self._api.context.http.unclear(response)
        return media_id

    async def _upload_whole(self, file: MediaFile, media_id: str) -> bool:
        parts = [Part("file", await _all(file.read()), file.filename, file.content_type)]
        await self._api.upload(f"/v1/media/{media_id}/upload", parts)
        return True

    async def _upload_parts(self, file: MediaFile, media_id: str) -> None:
        started = await self._context.step("upload-init", partial(self._start_upload, file, media_id))
        for number in range(1, _parts(file.size) + 1):
            send = partial(self._upload_part, file, started, number)
            await self._context.step(f"part-{number}", send, repeatable=True)
            await self._context.progress(min(number * PART_BYTES, file.size), file.size, "Uploading to Snapchat")
        await self._context.step("upload-finalize", partial(self._finish_upload, started))

    async def _start_upload(self, file: MediaFile, media_id: str) -> dict[str, str]:
        fields = {"file_name": file.filename, "file_size": str(file.size), "number_of_parts": str(_parts(file.size))}
        answer, response = await self._api.upload(
            f"/v1/media/{media_id}/multipart-upload-v2",
            [Part(name, value) for name, value in fields.items()],
            query={"action": "INIT"},
        )
        upload_id = answer.get("upload_id")
        if not isinstance(upload_id, str):
            raise self._api.context.http.unclear(response)
        paths = {name: self._api.upload_path(answer.get(name), response) for name in ("add_path", "finalize_path")}
        return {"upload_id": upload_id, **paths}

    async def _upload_part(self, file: MediaFile, started: Mapping[str, str], number: int) -> bool:
        content = await _all(file.read((number - 1) * PART_BYTES, PART_BYTES))
        fields = [Part("upload_id", started["upload_id"]), Part("part_number", str(number))]
        await self._api.upload_part(started["add_path"], [*fields, Part("file", content, file.filename)])
        return True

    async def _finish_upload(self, started: Mapping[str, str]) -> bool:
        await self._api.upload(started["finalize_path"], [Part("upload_id", started["upload_id"])])
        return True

    async def _ready(self, media_id: str) -> None:
        for wait in (*READY_WAITS, None):
            answer, response = await self._api.get(f"/media/{media_id}")
            status = str(self._api.first(answer, "media", "media", response).get("media_status", ""))
            if status == "READY":
                return
            if status not in ("PENDING_UPLOAD", "PROCESSING", "") or wait is None:
                await self._context.state(PublishState.FAILED)
                raise PlatformRejected(
                    f"Snapchat did not get the media ready (it is {status or 'unknown'}), so no creative was made. Try "
                    "again later, or with another file (MP4 with H.264, or JPEG/PNG, 1080x1920).",
                    platform_code=status,
                    media_id=media_id,
                )
            await snap.sleep(wait)

    async def _create_encrypted(self, file: MediaFile, profile_id: str, secret: Mapping[str, str]) -> dict[str, str]:
        body = {"type": kind_of(file), "name": file.filename, "key": secret["key"], "iv": secret["iv"]}
        answer, response = await self._api.post(f"/public_profiles/{profile_id}/media", body, profile=True)
        nested = answer.get("media")
        made = self._api.first(answer, "media", "media", response) if isinstance(nested, list) else answer
        media_id = made.get("media_id") or made.get("id")
        if not isinstance(media_id, str):
            raise self._api.context.http.unclear(response)
        paths = {name: self._api.upload_path(made.get(name), response) for name in ("add_path", "finalize_path")}
        return {"media_id": media_id, **paths}

    async def _add(self, path: str, number: int, content: bytes) -> bool:
        fields = [Part("action", "ADD"), Part("part_number", str(number)), Part("file", content, f"part-{number}")]
        await self._api.upload_part(path, fields, profile=True)
        return True

    async def _finalize(self, path: str) -> bool:
        await self._api.upload(path, [Part("action", "FINALIZE")], profile=True)
        return True

    async def _publish(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        for wait in PUBLISH_WAITS:
            try:
                return (await self._api.post(path, body, profile=True))[0]
            except HermesError as refused:
                if PROCESSING not in str(refused.data.get("platform_message", "")):
                    raise
            await snap.sleep(wait)
        return (await self._api.post(path, body, profile=True))[0]


def check_image(file: MediaFile, *, profile: bool) -> None:
    """Images have a smaller limit than videos.

    Raises:
        InvalidArguments: this one is over it.
    """
    most = IMAGE_BYTES[profile]
    if kind_of(file) == "IMAGE" and file.size > most:
        problem = f"must have at most {most:,} bytes as an image; it has {file.size:,}"
        raise InvalidArguments(f"`media` {problem}.", fields=[{"field": "media", "problem": problem}])


def kind_of(file: MediaFile) -> str:
    """`IMAGE` or `VIDEO`, as Snapchat calls them."""
    return "IMAGE" if file.content_type in _IMAGES else "VIDEO"


async def _new_key() -> dict[str, str]:
    """A key and an IV for one upload; kept sealed with the call, so that a resumed one encrypts to the same bytes."""
    return {"key": base64.b64encode(os.urandom(32)).decode(), "iv": base64.b64encode(os.urandom(16)).decode()}


async def _encrypted(file: MediaFile, secret: Mapping[str, str]) -> AsyncIterator[bytes]:
    key, iv = base64.b64decode(secret["key"]), base64.b64decode(secret["iv"])
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    padder = PKCS7(128).padder()
    async for piece in file.read():
        yield encryptor.update(padder.update(piece))
    yield encryptor.update(padder.finalize()) + encryptor.finalize()


async def _numbered(pieces: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    """The pieces as parts of `PART_BYTES` (the last one is what is left), numbered from 1."""
    waiting = bytearray()
    number = 0
    async for piece in pieces:
        waiting += piece
        while len(waiting) >= PART_BYTES:
            number += 1
            yield number, bytes(waiting[:PART_BYTES])
            del waiting[:PART_BYTES]
    if waiting:
        yield number + 1, bytes(waiting)


async def _all(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


def _parts(size: int) -> int:
    return -(-size // PART_BYTES)
