"""Publications at the TikTok stand-in: what may be begun, the upload in order, and what becomes of it with time.

What is really received is checked: chunk plan, ranges, order, lengths, content types. Bytes are hashed, not kept.
Source: developers.tiktok.com, Content Posting API, "Direct Post", "Upload", "Media Transfer Guide", "Get Post Status".
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

from hermes.sandbox.http import Answer, Incoming
from hermes.sandbox.recorder import Message

MB = 1_000_000
SMALLEST_CHUNK, LARGEST_CHUNK, LARGEST_LAST = 5 * MB, 64 * MB, 128 * MB
WHOLE = 64 * MB
LARGEST_FILE = 4_000 * MB
URL_LIFE = 3600.0
PROCESSING_SECONDS = 12.0
DOWNLOAD_SECONDS = 5.0
LONGEST_TITLE = 2200
TYPES = frozenset({"video/mp4", "video/quicktime", "video/webm"})
RANGE = re.compile(r"^bytes ([0-9]{1,12})-([0-9]{1,12})/([0-9]{1,12})$")
WEBM = b"\x1a\x45\xdf\xa3"
FTYP = slice(4, 8)
SWITCHES = (
    "disable_comment", "disable_duet", "disable_stitch", "brand_content_toggle", "brand_organic_toggle", "is_aigc",
)  # fmt: skip


class TikTokError(Exception):
    """A refusal in TikTok's envelope."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(slots=True)
class Publication:
    """One publication, from its init on."""

    id: str
    token: str = field(repr=False)
    direct: bool
    public: bool
    title: str
    begun_at: float
    size: int = 0
    chunk: int = 0
    count: int = 0
    url: str | None = None
    """What TikTok is to fetch; None for an upload."""
    received: int = 0
    chunks: int = 0
    start: bytes = b""
    ended_at: float | None = None
    digest: Any = field(default_factory=hashlib.sha256, repr=False)
    shown: Message | None = None
    """What the inspection page says of it."""

    def described(self, now: float) -> dict[str, Any]:
        """The data of status/fetch."""
        if self.url is not None:
            fetched = now >= self.begun_at + DOWNLOAD_SECONDS
            shown: dict[str, Any] = {"downloaded_bytes": 1_000_000 if fetched else 0}
            if not fetched:
                return shown | {"status": "PROCESSING_DOWNLOAD"}
            ready_at = self.begun_at + DOWNLOAD_SECONDS + PROCESSING_SECONDS
        else:
            shown = {"uploaded_bytes": self.received}
            ready_at = (self.ended_at or now) + PROCESSING_SECONDS
        reason = self._reason()
        if now < ready_at and reason != "video_pull_failed":
            # TikTok has no word for what comes after the bytes: it stays at how they came.
            return shown | {"status": "PROCESSING_UPLOAD" if self.url is None else "PROCESSING_DOWNLOAD"}
        if reason is not None:
            return shown | {"status": "FAILED", "fail_reason": reason}
        if not self.direct:
            return shown | {"status": "SEND_TO_USER_INBOX"}
        number = 7_000_000_000_000_000_000 + int(hashlib.sha256(self.id.encode()).hexdigest()[:12], 16)
        return shown | {"status": "PUBLISH_COMPLETE", "publicaly_available_post_id": [number] if self.public else []}

    def _reason(self) -> str | None:
        if self.url is not None:
            return "video_pull_failed" if "missing" in self.url else None
        if self.start[FTYP] not in (b"ftyp", b"moov") and not self.start.startswith(WEBM):
            return "file_format_check_failed"
        return "spam_risk_text" if "#spam" in self.title else None

    def receive(self, incoming: Incoming, now: float) -> Answer:
        """PUT of one chunk."""
        if now > self.begun_at + URL_LIFE:
            return Answer(403, b"", "text/plain")
        found = RANGE.match(incoming.headers.get("content-range", ""))
        if found is None or incoming.content_type not in TYPES or "authorization" in incoming.headers:
            return Answer(400, b"", "text/plain")
        first, last, total = (int(part) for part in found.groups())
        if "content-length" not in incoming.headers or last - first + 1 != len(incoming.body) or total != self.size:
            return Answer(400, b"", "text/plain")
        if first != self.received:
            return Answer(416, b"", "text/plain", headers=(("Content-Range", f"bytes 0-{self.received - 1}/{total}"),))
        if last != (self.size - 1 if self.chunks == self.count - 1 else first + self.chunk - 1):
            return Answer(400, b"", "text/plain")
        if first == 0:
            self.start = incoming.body[:16]
        self.digest.update(incoming.body)
        self.received, self.chunks = last + 1, self.chunks + 1
        if self.received < self.size:
            return Answer(206, b"", "text/plain", headers=(("Content-Range", f"bytes 0-{last}/{total}"),))
        self.ended_at = now
        if self.shown is not None:
            self.shown.status = "received"
        return Answer(201, b"", "text/plain", headers=(("Content-Range", f"bytes 0-{last}/{total}"),))


def check_source(source: Any) -> tuple[int, int, int, str | None]:
    """Check `source_info`: (size, chunk size, count, URL).

    Raises:
        TikTokError: something is missing, or the chunk plan is not allowed.
    """
    if not isinstance(source, dict):
        raise _invalid("source_info is required")
    if source.get("source") == "PULL_FROM_URL":
        url = source.get("video_url")
        if not isinstance(url, str) or not url.startswith("https://"):
            raise _invalid("video_url must be an https URL")
        if "unverified" in url:
            raise TikTokError(403, "url_ownership_unverified", "Please review our URL ownership verification rules")
        return 0, 0, 0, url
    if source.get("source") != "FILE_UPLOAD":
        raise _invalid("source must be FILE_UPLOAD or PULL_FROM_URL")
    numbers = [source.get(name) for name in ("video_size", "chunk_size", "total_chunk_count")]
    if not all(isinstance(one, int) and not isinstance(one, bool) and one > 0 for one in numbers):
        raise _invalid("video_size, chunk_size and total_chunk_count are required")
    size, chunk, count = (int(str(one)) for one in numbers)
    if size > LARGEST_FILE:
        raise TikTokError(400, "invalid_file_upload", "The video size is too large")
    if chunk > LARGEST_CHUNK or (count == 1 and chunk != size) or (count > 1 and chunk < SMALLEST_CHUNK):
        raise TikTokError(400, "invalid_params", "The chunk size is invalid")
    if count != size // chunk or count > 1000 or size - (count - 1) * chunk > LARGEST_LAST:
        raise TikTokError(400, "invalid_params", "The total chunk count is invalid")
    return size, chunk, count, None


def check_post(post: Any, options: list[str]) -> tuple[bool, str]:
    """Check `post_info`: (whether the post is public, its title).

    Raises:
        TikTokError: a choice is missing, of the wrong type, or not this creator's.
    """
    if not isinstance(post, dict):
        raise _invalid("post_info is required")
    level = post.get("privacy_level")
    if not isinstance(level, str):
        raise _invalid("privacy_level is required")
    if level not in options:
        raise TikTokError(403, "privacy_level_option_mismatch", "Privacy level is not one of the creator's options")
    title = post.get("title", "")
    if not isinstance(title, str) or len(title.encode("utf-16-le", "surrogatepass")) // 2 > LONGEST_TITLE:
        raise _invalid("The title is too long")
    if any(not isinstance(post.get(name, False), bool) for name in SWITCHES):
        raise _invalid("a switch must be true or false")
    if post.get("brand_content_toggle") and level == "SELF_ONLY":
        raise _invalid("Branded content cannot be private")
    cover = post.get("video_cover_timestamp_ms", 0)
    if not isinstance(cover, int) or cover < 0:
        raise _invalid("video_cover_timestamp_ms must be a number")
    return level == "PUBLIC_TO_EVERYONE", title


def _invalid(message: str) -> TikTokError:
    return TikTokError(400, "invalid_param", message)
