"""Videos of a Page on their way in: resumable uploads by offset, and processing in simulated time.

Source: developers.facebook.com/docs/video-api and …/docs/graph-api/reference/page/videos.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hermes.sandbox.clock import Clock
from hermes.sandbox.graph import GraphError, parameter_error
from hermes.sandbox.graph_service import graph_time
from hermes.sandbox.http import Upload, derived_digits, is_web_url

CHUNK = 1024 * 1024
SMALLEST = 16
LARGEST = 10 * 1024 * 1024 * 1024
LONGEST_TITLE = 255
SESSION_GONE = 1363041
WRONG_OFFSET = 1363037
INCOMPLETE = 1363030


@dataclass(slots=True)
class Video:
    """One video, from the start of its upload on."""

    id: str
    page: str
    size: int
    received: int = 0
    sha256: str = ""
    complete: bool = False
    title: str = ""
    description: str = ""
    ready_at: float | None = None
    failing: bool = False
    scheduled: float | None = None
    draft: bool = False
    post: str | None = None

    def state(self, now: float) -> str:
        if self.ready_at is None:
            return "upload_complete" if self.complete else "uploading"
        if now < self.ready_at:
            return "processing"
        return "error" if self.failing else "ready"

    def shown(self, now: float) -> dict[str, Any]:
        """Every field that a video has; absent values are None."""
        state = self.state(now)
        errors = [{"code": 1363047, "message": "The video could not be processed."}] if state == "error" else []
        processing = {"processing": "in_progress", "ready": "complete", "error": "error"}.get(state, "not_started")
        publishing: dict[str, Any] = {"status": "complete" if state == "ready" else "not_started"}
        if state == "ready":
            publishing["publish_status"] = "draft" if self.draft else "scheduled" if self.scheduled else "published"
            if self.scheduled or not self.draft:
                publishing["publish_time"] = graph_time(self.scheduled or self.ready_at or now)
        uploaded = self.complete or self.received == self.size
        return {
            "id": self.id,
            "title": self.title or None,
            "description": self.description or None,
            "permalink_url": f"/{self.page}/videos/{self.id}/",
            "post_id": self.post if state == "ready" else None,
            "published": state == "ready" and not self.draft and self.scheduled is None,
            "status": {
                "video_status": state,
                "uploading_phase": {
                    "status": "complete" if uploaded else "in_progress",
                    "bytes_transferred": self.received,
                },
                "processing_phase": {"status": processing, **({"errors": errors} if errors else {})},
                "publishing_phase": publishing,
            },
        }


@dataclass(slots=True)
class _Session:
    video: Video
    digest: Any = field(default_factory=hashlib.sha256)


class Videos:
    """All Pages' videos and the uploads that are under way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: dict[str, _Session] = {}
        self._count = count(1)
        self.known: dict[str, Video] = {}

    def clear(self) -> None:
        self._sessions.clear()
        self.known.clear()

    def phase(self, page: str, args: Mapping[str, Any], files: Mapping[str, Upload]) -> dict[str, Any] | Video:
        """One phase of a resumable upload; the last one gives the finished video.

        Raises:
            GraphError: wrong order, wrong offset, unknown session.
        """
        phase = str(args["upload_phase"])
        if phase == "start":
            return self._start(page, args)
        session = self._sessions.get(str(args.get("upload_session_id")))
        if session is None or session.video.page != page:
            raise GraphError(6000, subcode=SESSION_GONE, user=("Upload session invalid", "Start the upload again."))
        if phase == "transfer":
            return self._transfer(session, args, files)
        if phase == "cancel":
            del self._sessions[str(args["upload_session_id"])]
            self.known.pop(session.video.id, None)
            return {"success": True}
        if phase != "finish":
            raise parameter_error(
                f'Param upload_phase must be one of {{"start", "transfer", "finish", "cancel"}} - got "{phase}".'
            )
        video = session.video
        if video.received < video.size:
            text = f"{video.received} of {video.size} bytes were received."
            raise GraphError(6000, subcode=INCOMPLETE, user=("Upload incomplete", text))
        del self._sessions[str(args["upload_session_id"])]
        video.sha256, video.complete = session.digest.hexdigest(), True
        return video

    def whole(self, page: str, args: Mapping[str, Any], files: Mapping[str, Upload]) -> Video:
        """A video in one request, by `source` or `file_url`. Nothing is fetched.

        Raises:
            GraphError: neither is given, the file is too small, or the URL cannot be fetched.
        """
        upload = files.get("source")
        if upload is None and not args.get("file_url"):
            raise parameter_error("The parameter source or file_url is required.")
        if upload is not None and len(upload.content) < SMALLEST:
            raise GraphError(382)
        url = str(args.get("file_url") or "")
        if upload is None and (not is_web_url(url) or "missing" in url):
            raise GraphError(389)
        video = self._new(page, len(upload.content) if upload is not None else 1_000_000)
        video.received, video.complete = video.size, True
        if upload is not None:
            video.sha256 = hashlib.sha256(upload.content).hexdigest()
        return video

    def _start(self, page: str, args: Mapping[str, Any]) -> dict[str, Any]:
        given = str(args.get("file_size", ""))
        if not given.isdigit():
            raise parameter_error("The parameter file_size is required.")
        size = int(given[:15])
        if size < SMALLEST:
            raise GraphError(382)
        if size > LARGEST:
            raise GraphError(6001, subcode=1363020, user=("Video too large", "Videos have at most 10 GB."))
        video = self._new(page, size)
        session = derived_digits(video.id, "session")
        self._sessions[session] = _Session(video)
        return {"upload_session_id": session, "video_id": video.id, **_offsets(video)}

    def _transfer(self, session: _Session, args: Mapping[str, Any], files: Mapping[str, Upload]) -> dict[str, Any]:
        video, chunk = session.video, files.get("video_file_chunk")
        if chunk is None:
            raise parameter_error("The parameter video_file_chunk is required.")
        allowed = min(CHUNK, video.size - video.received)
        if str(args.get("start_offset")) != str(video.received) or not 0 < len(chunk.content) <= allowed:
            user = ("Chunk out of place", "Send the bytes from start_offset to end_offset.")
            raise GraphError(6000, subcode=WRONG_OFFSET, user=user, data=_offsets(video))
        video.received += len(chunk.content)
        session.digest.update(chunk.content)
        return _offsets(video)

    def _new(self, page: str, size: int) -> Video:
        video = Video(derived_digits(f"{page}:{next(self._count)}", "video", 16), page, size)
        self.known[video.id] = video
        return video


def _offsets(video: Video) -> dict[str, str]:
    return {"start_offset": str(video.received), "end_offset": str(min(video.size, video.received + CHUNK))}
