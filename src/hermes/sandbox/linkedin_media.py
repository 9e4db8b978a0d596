"""LinkedIn's uploads: images and documents in one piece, videos in parts of 4 MiB, each with an address of its own.

What is really received is checked: the length of each part, ETags and their order at the end. An image, document or
video whose content is not what it should be ends in PROCESSING_FAILED. Bytes are hashed, not kept.
Source: learn.microsoft.com/linkedin, "Images API", "Videos API".
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hermes.sandbox.clock import Clock
from hermes.sandbox.http import Answer, Incoming, derived_digits
from hermes.sandbox.linkedin_posts import LinkedInError

PART = 4 * 1024 * 1024
URL_LIFE = 3600.0
PROCESSING = {"image": 1.0, "document": 2.0, "video": 4.0}
SMALLEST_VIDEO, LARGEST_VIDEO = 75_000, 5_000_000_000
PATH = re.compile(r"^/dms-uploads/([A-Za-z0-9_-]+)/(\d+)(?::done)?$")
STARTS = {
    "image": (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8"),
    "document": (b"%PDF-", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"),
}
FTYP = slice(4, 8)


@dataclass(slots=True)
class Part:
    first: int
    last: int
    etag: str | None = None


@dataclass(slots=True)
class Asset:
    """One image, document or video, from the start of its upload on."""

    urn: str
    kind: str
    owner: str
    token: str = field(repr=False)
    until: float
    parts: list[Part]
    start: bytes = b""
    digests: list[str] = field(default_factory=list)
    finished_at: float | None = None
    uploads: int = 0

    def status(self, now: float) -> str:
        if self.finished_at is None:
            return "WAITING_UPLOAD"
        if now < self.finished_at + PROCESSING[self.kind]:
            return "PROCESSING"
        good = self.start[FTYP] == b"ftyp" if self.kind == "video" else self.start.startswith(STARTS[self.kind])
        return "AVAILABLE" if good else "PROCESSING_FAILED"

    def described(self, now: float) -> dict[str, Any]:
        status = self.status(now)
        shown: dict[str, Any] = {"id": self.urn, "owner": self.owner, "status": status}
        if status == "PROCESSING_FAILED":
            shown["processingFailureReason"] = "The file is corrupt or of an unsupported format"
        if status == "AVAILABLE":
            shown |= {"downloadUrl": "https://dms.licdn.com/playlist/vid/sandbox", "downloadUrlExpiresAt": 1}
        return shown


class Assets:
    """Everything that was or is uploaded, by URN."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._assets: dict[str, Asset] = {}
        self._numbers = count(1)

    def clear(self) -> None:
        self._assets.clear()

    def find(self, urn: str) -> Asset | None:
        return self._assets.get(urn)

    def all(self) -> list[Asset]:
        return list(self._assets.values())

    def token_of(self, path: str) -> str | None:
        """Whose upload address this is: it names nobody and needs no token."""
        found = self._at(path)
        return found[0].token if found else None

    def start(self, kind: str, owner: str, token: str, request: dict[str, Any], origin: str) -> dict[str, Any]:
        """The answer to initializeUpload.

        Raises:
            LinkedInError: a video without a size, or with one that is not allowed.
        """
        size = request.get("fileSizeBytes")
        if kind == "video":
            if not isinstance(size, int) or isinstance(size, bool):
                raise LinkedInError(400, "MISSING_FIELD", "fileSizeBytes :: field is required", path="/fileSizeBytes")
            if not SMALLEST_VIDEO <= size <= LARGEST_VIDEO:
                raise LinkedInError(400, "ILLEGAL_ARGUMENT", "Invalid file size", path="/fileSizeBytes")
        name = "C5" + derived_digits(f"{token}:{next(self._numbers)}", kind, 16)
        until = self._clock.now() + URL_LIFE
        steps = range(0, size, PART) if isinstance(size, int) and kind == "video" else (0,)
        parts = [
            Part(at, min(at + PART, size) - 1 if kind == "video" and isinstance(size, int) else -1) for at in steps
        ]
        asset = Asset(f"urn:li:{kind}:{name}", kind, owner, token, until, parts)
        self._assets[asset.urn] = asset
        # The quoted colon and slash must come back as they are: the address is signed.
        urls = [f"{origin}/linkedin/dms-uploads/{name}/{n}%3Adone?ca=vector%2Fup&sig=2x%2By" for n in range(len(parts))]
        if kind != "video":
            return {"uploadUrlExpiresAt": int(until * 1000), "uploadUrl": urls[0], kind: asset.urn}
        return {
            "uploadUrlsExpireAt": int(until * 1000),
            "video": asset.urn,
            "uploadInstructions": [
                {"uploadUrl": url, "firstByte": part.first, "lastByte": part.last}
                for url, part in zip(urls, parts, strict=True)
            ],
            "uploadToken": f"token-{name}" if len(parts) > 1 else "",
        }

    def receive(self, incoming: Incoming) -> Answer:
        """PUT to an upload address."""
        found = self._at(incoming.path)
        if found is None or incoming.method != "PUT" or incoming.query != "ca=vector%2Fup&sig=2x%2By":
            return Answer(404, b"", "text/plain")
        asset, part = found
        if self._clock.now() > asset.until:
            return Answer(403, b"The upload URL has expired", "text/plain")
        length = part.last - part.first + 1
        if "content-length" not in incoming.headers or (part.last >= 0 and len(incoming.body) != length):
            return Answer(400, b"Unexpected length of the part", "text/plain")
        if asset.kind == "video" and incoming.content_type != "application/octet-stream":
            return Answer(415, b"", "text/plain")
        if asset.kind != "video" and incoming.bearer != asset.token:
            return Answer(401, b"", "text/plain")
        asset.uploads += 1
        if part.first == 0:
            asset.start = incoming.body[:16]
        digest = hashlib.sha256(incoming.body).hexdigest()
        part.etag = f"/ambry-video/{asset.urn[-8:]}/{part.first}-{digest[:24]}"
        if asset.kind == "video":
            return Answer(200, b"", "text/plain", headers=(("ETag", f'"{part.etag}"'),))
        asset.digests = [digest]
        asset.finished_at = self._clock.now()
        return Answer(201, b"", "text/plain", headers=(("ETag", f'"{part.etag}"'),))

    def finish(self, asset: Asset, request: dict[str, Any]) -> None:
        """Finalize a video.

        Raises:
            LinkedInError: parts are missing or in another order, or it was finished before.
        """
        expected = [part.etag for part in asset.parts]
        token = f"token-{asset.urn.rpartition(':')[2]}" if len(asset.parts) > 1 else ""
        if asset.finished_at is not None:
            raise LinkedInError(400, "ILLEGAL_ARGUMENT", "The upload was finalized before")
        if request.get("uploadToken") != token:
            raise LinkedInError(400, "ILLEGAL_ARGUMENT", "Invalid upload token", path="/uploadToken")
        if None in expected or request.get("uploadedPartIds") != expected:
            raise LinkedInError(400, "ILLEGAL_ARGUMENT", "Invalid or missing part ids", path="/uploadedPartIds")
        asset.digests = [str(part.etag).rpartition("-")[2] for part in asset.parts]
        asset.finished_at = self._clock.now()

    def _at(self, path: str) -> tuple[Asset, Part] | None:
        found = PATH.match(path)
        if found is None:
            return None
        asset = next((one for one in self._assets.values() if one.urn.endswith(f":{found[1]}")), None)
        if asset is None or int(found[2]) >= len(asset.parts):
            return None
        return asset, asset.parts[int(found[2])]
