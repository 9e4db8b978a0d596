"""What an Instagram account prepares and publishes: containers with their states, uploads, media.

Source: developers.facebook.com/docs/instagram-platform/content-publishing and …/resumable-uploads.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from hermes.sandbox.graph import GraphError, parameter_error
from hermes.sandbox.graph_service import graph_time
from hermes.sandbox.http import is_web_url

LIFE = 24 * 3600.0
LONGEST_CAPTION = 2200
MOST_HASHTAGS = 30
MOST_MENTIONS = 20
MOST_COLLABORATORS = 3
FEWEST_CHILDREN, MOST_CHILDREN = 2, 10
LARGEST_VIDEO = 300 * 1024 * 1024
NOT_JPEG = (".png", ".gif", ".webp", ".bmp", ".tiff")
TEXTS = {
    "EXPIRED": "Expired: The container has expired.",
    "FINISHED": "Finished: Media has been uploaded and it is ready to be published.",
    "IN_PROGRESS": "In Progress: Media is still being processed.",
    "PUBLISHED": "Published: Media has been published.",
}


@dataclass(slots=True)
class Container:
    """One container. `ready_at` None: its bytes are still to come."""

    id: str
    owner: str
    kind: str
    created: float
    caption: str | None = None
    ready_at: float | None = None
    failing: int | None = None
    child: bool = False
    children: tuple[str, ...] = ()
    media: str | None = None
    size: int | None = None
    received: int = 0
    digest: Any = field(default_factory=hashlib.sha256, repr=False)
    slow: float = 1.0

    def state(self, now: float) -> str:
        if self.media is not None:
            return "PUBLISHED"
        if now - self.created > LIFE:
            return "EXPIRED"
        if self.ready_at is None or now < self.ready_at:
            return "IN_PROGRESS"
        return "ERROR" if self.failing else "FINISHED"

    def shown(self, now: float) -> dict[str, Any]:
        state = self.state(now)
        uploaded = self.ready_at is not None
        phase = "complete" if uploaded else "in_progress" if self.received else "not_started"
        return {
            "id": self.id,
            "status_code": state,
            "status": TEXTS.get(state, f"Error: Media upload has failed with error code {self.failing}"),
            "video_status": {
                "uploading_phase": {"status": phase, "bytes_transferred": self.received},
                "processing_phase": {"status": "complete" if state in ("FINISHED", "PUBLISHED") else "not_started"},
            },
        }


@dataclass(slots=True)
class Media:
    """Something that is out."""

    id: str
    owner: str
    at: float
    kind: str
    caption: str | None
    children: tuple[str, ...] = ()
    likes: int = 0

    def shown(self) -> dict[str, Any]:
        """Every field that media have; absent values are None."""
        code = f"S{int(self.id) % 10**10:x}"
        media_type = {"REELS": "VIDEO", "CAROUSEL": "CAROUSEL_ALBUM"}.get(self.kind, "IMAGE")
        children = [
            {"id": child, "media_type": "IMAGE", "media_url": f"https://scontent.example/{child}.jpg"}
            for child in self.children
        ]
        return {
            "id": self.id,
            "caption": self.caption,
            "media_type": media_type,
            "media_product_type": "REELS" if self.kind == "REELS" else "FEED",
            "media_url": f"https://scontent.example/{self.id}.{'mp4' if media_type == 'VIDEO' else 'jpg'}",
            "thumbnail_url": f"https://scontent.example/{self.id}.jpg" if media_type == "VIDEO" else None,
            "permalink": f"https://www.instagram.com/{'reel' if self.kind == 'REELS' else 'p'}/{code}/",
            "shortcode": code,
            "timestamp": graph_time(self.at),
            "username": "sandbox",
            "like_count": self.likes,
            "comments_count": self.likes // 2,
            "children": {"data": children} if children else None,
        }


def refusal(code: int, subcode: int, title: str, text: str) -> GraphError:
    """An error with Instagram's words for people."""
    return GraphError(code, text, subcode=subcode, user=(title, text), status=400)


def check_words(args: Mapping[str, Any]) -> None:
    """Refuse a caption or collaborators that are too long or too many. Raises `GraphError`."""
    caption = str(args.get("caption") or "")
    if len(caption) > LONGEST_CAPTION or len(re.findall(r"#\w+", caption)) > MOST_HASHTAGS:
        text = f"The caption has at most {LONGEST_CAPTION} characters and {MOST_HASHTAGS} hashtags."
        raise refusal(100, 2207010, "Caption too long", text)
    if len(re.findall(r"@\w+", caption)) > MOST_MENTIONS:
        raise refusal(100, 2207040, "Too many tags", f"The caption has at most {MOST_MENTIONS} @ tags.")
    collaborators = args.get("collaborators")
    if collaborators is not None and (not isinstance(collaborators, list) or len(collaborators) > MOST_COLLABORATORS):
        raise parameter_error(f"Param collaborators must be an array of at most {MOST_COLLABORATORS} usernames.")


def check_image(url: Any) -> None:
    """Refuse what a picture at this URL would be refused for; the URL decides, nothing is fetched."""
    path = _fetched(url)
    if path.endswith(NOT_JPEG):
        raise refusal(36001, 2207005, "Unsupported image format", "The image format is not supported: use JPEG.")
    if "toolarge" in path:
        raise refusal(36000, 2207004, "Image too large", "The image is too large to download: 8 MB at most.")
    if "toowide" in path:
        raise refusal(36003, 2207009, "Invalid aspect ratio", "The aspect ratio must be within 4:5 and 1.91:1.")


def check_video(url: Any) -> int | None:
    """Refuse a video URL that cannot be fetched; the subcode that its processing will end in, if any."""
    return 2207026 if "unprocessable" in _fetched(url) else None


def _fetched(url: Any) -> str:
    if not is_web_url(url) or "missing" in str(url):
        raise refusal(
            9004, 2207052, "Only photo or video can be accepted as media type.",
            "The media could not be fetched from this URI: it must be public, and no redirect.",
        )  # fmt: skip
    return urlsplit(str(url)).path.lower()
