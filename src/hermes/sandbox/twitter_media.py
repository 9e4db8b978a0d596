"""Uploads to the X stand-in: really received, checked when they are finalized, processed in simulated time.

Source: docs.x.com, "Chunked media upload" and "Media best practices".
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import IO, Any

from hermes.sandbox.clock import Clock
from hermes.sandbox.http import Upload
from hermes.sandbox.twitter_problems import Refused, invalid, problem

SESSION_SECONDS = 86_400
PROCESSING_SECONDS = 2.0
CHECK_AFTER_SECONDS = 1
MOST_SEGMENTS = 1000
LARGEST_SEGMENT = 5 * 1024 * 1024
LARGEST_TOTAL = 17_179_869_184
FAILING = b"fail-processing"
TYPES = frozenset({
    "video/mp4", "video/webm", "video/mp2t", "video/quicktime", "text/srt", "text/vtt", "image/jpeg", "image/gif",
    "image/bmp", "image/png", "image/webp", "image/pjpeg", "image/tiff", "model/gltf-binary", "model/vnd.usdz+zip",
})  # fmt: skip
CATEGORIES = {
    "tweet_image": 5 * 1024 * 1024, "tweet_gif": 15 * 1024 * 1024, "tweet_video": 512 * 1024 * 1024,
    "amplify_video": LARGEST_TOTAL, "dm_gif": 15 * 1024 * 1024, "dm_image": 5 * 1024 * 1024,
    "dm_video": 512 * 1024 * 1024, "subtitles": 512 * 1024,
}  # fmt: skip
INITIALIZE_KEYS = frozenset({"media_type", "total_bytes", "media_category", "additional_owners", "shared"})


@dataclass(slots=True)
class Media:
    """One upload session. Segments lie one after the other in a file; the index knows where each is."""

    id: str
    owner: str = field(repr=False)
    media_type: str
    category: str
    total: int
    begun: float
    file: IO[bytes] = field(repr=False)
    segments: dict[int, tuple[int, int]] = field(default_factory=dict)
    finalized: float | None = None
    sha256: str | None = None
    fails: bool = False
    alt_text: str | None = None

    @property
    def is_video(self) -> bool:
        return self.category.endswith(("video", "gif"))

    @property
    def key(self) -> str:
        return f"{'13' if self.is_video else '3'}_{self.id}"

    def state(self, now: float) -> str:
        """Where processing stands; only a finalized upload has a state."""
        passed = now - (self.finalized or now)
        if not self.is_video or passed >= PROCESSING_SECONDS:
            return "failed" if self.fails else "succeeded"
        return "in_progress" if passed >= PROCESSING_SECONDS / 2 else "pending"


class MediaStore:
    """Every account's uploads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._media: dict[str, Media] = {}
        self._ids = count(1_880_028_106_020_515_840)

    def clear(self) -> None:
        for media in self._media.values():
            media.file.close()
        self._media.clear()

    def initialize(self, owner: str, body: Mapping[str, Any]) -> dict[str, Any]:
        unknown = body.keys() - INITIALIZE_KEYS
        if unknown:
            raise invalid(f"$.{min(unknown)}: additional properties are not allowed")
        kind, category, total = body.get("media_type"), body.get("media_category"), body.get("total_bytes")
        if kind not in TYPES:
            raise invalid("media_type is not supported", media_type=kind)
        if category not in CATEGORIES:
            raise invalid("media_category is not supported", media_category=category)
        if not isinstance(total, int) or isinstance(total, bool) or not 0 < total <= LARGEST_TOTAL:
            raise invalid("total_bytes is not valid", total_bytes=total)
        if total > CATEGORIES[category]:
            raise invalid(f"total_bytes is larger than {category} may be", total_bytes=total)
        file = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the upload)
        media = Media(str(next(self._ids)), owner, str(kind), str(category), total, self._clock.now(), file)
        self._media[media.id] = media
        return {"id": media.id, "media_key": media.key, "expires_after_secs": SESSION_SECONDS}

    def append(self, owner: str, media_id: str, args: Mapping[str, Any], files: Mapping[str, Upload]) -> dict[str, Any]:
        media = self._of(owner, media_id)
        unknown = (args.keys() | files.keys()) - {"segment_index", "media"}
        if unknown:
            raise invalid(f"$.{min(unknown)}: additional properties are not allowed")
        index = str(args.get("segment_index", ""))
        if not index.isdigit() or int(index) >= MOST_SEGMENTS:
            raise invalid("segment_index must be between 0 and 999", segment_index=index)
        part = files.get("media")
        if part is None or not part.content:
            raise invalid("media is required", media="")
        if len(part.content) > LARGEST_SEGMENT:
            raise problem(413, "Request Entity Too Large")
        if media.finalized is not None:
            raise invalid("The upload is finalized already", media_id=media_id)
        at = media.file.seek(0, 2)
        media.file.write(part.content)
        media.segments[int(index)] = at, len(part.content)
        return {"expires_at": int(media.begun + SESSION_SECONDS)}

    def finalize(self, owner: str, media_id: str) -> tuple[Media, dict[str, Any]]:
        """Check that all segments are there; returns the media and what X shows of it."""
        media = self._of(owner, media_id)
        if media.finalized is None:
            self._put_together(media)
        return media, self.shown(media)

    def status(self, owner: str, media_id: str) -> dict[str, Any]:
        media = self._of(owner, media_id)
        if media.finalized is None:
            return {"id": media.id, "media_key": media.key, "expires_after_secs": self._left(media)}
        return self.shown(media)

    def describe(self, owner: str, body: Mapping[str, Any]) -> dict[str, Any]:
        media = self._of(owner, str(body.get("id")))
        alt_text = (body.get("metadata") or {}).get("alt_text", {}).get("text")
        if not isinstance(alt_text, str) or len(alt_text) > 1000:
            raise invalid("$.metadata.alt_text.text: is not valid")
        media.alt_text = alt_text
        return {"id": media.id, "associated_metadata": {"alt_text": {"text": alt_text}}}

    def check_attached(self, owner: str, media_ids: list[str]) -> None:
        """Refuse media that are not the account's, not processed, or do not go together."""
        found = [self._media.get(one) for one in media_ids]
        now = self._clock.now()
        ready = [
            media
            for media in found
            if media is not None
            and media.owner == owner
            and media.finalized is not None
            and media.state(now) == "succeeded"
            and self._left(media) > 0
        ]
        if len(ready) < len(media_ids) or len(set(media_ids)) < len(media_ids):
            raise invalid("Your media IDs are invalid.")
        if len(ready) > 1 and any(media.is_video for media in ready):
            raise invalid("A post may have up to 4 photos, or 1 animated GIF, or 1 video.")

    def shown(self, media: Media) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "id": media.id,
            "media_key": media.key,
            "size": media.total,
            "expires_after_secs": self._left(media),
        }
        if not media.is_video:
            return shown
        state = media.state(self._clock.now())
        info: dict[str, Any] = {"state": state}
        if state in ("pending", "in_progress"):
            info |= {"check_after_secs": CHECK_AFTER_SECONDS, "progress_percent": 0 if state == "pending" else 50}
        elif state == "failed":
            info["error"] = {"code": 1, "name": "InvalidMedia", "message": "Unsupported video format"}
        else:
            info["progress_percent"] = 100
        return shown | {"processing_info": info}

    def _put_together(self, media: Media) -> None:
        indexes = sorted(media.segments)
        if indexes != list(range(len(indexes))) or not indexes:
            raise invalid("Segments are missing: segment_index must be complete from 0", media_id=media.id)
        if sum(length for _, length in media.segments.values()) != media.total:
            raise invalid("The segments do not add up to total_bytes", media_id=media.id)
        digest, fails = hashlib.sha256(), False
        for index in indexes:
            at, length = media.segments[index]
            media.file.seek(at)
            content = media.file.read(length)
            digest.update(content)
            fails = fails or FAILING in content
        media.sha256, media.fails, media.finalized = digest.hexdigest(), fails, self._clock.now()
        media.file.close()

    def _left(self, media: Media) -> int:
        return max(0, int(media.begun + SESSION_SECONDS - self._clock.now()))

    def _of(self, owner: str, media_id: str) -> Media:
        media = self._media.get(media_id)
        if media is None or media.owner != owner or self._left(media) == 0:
            raise Refused(
                400, {"title": "Invalid Request", "detail": "Invalid media_id", "type": "about:blank", "status": 400}
            )
        return media
