"""A kept file as it is shown to whoever owns it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from hermes.media.store import KeptMedia


class KeptFile(BaseModel):
    """A file that is kept for 24 hours; tools take its handle where they take a photo or video."""

    handle: str
    filename: str
    content_type: str
    size: int
    sha256: str
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    expires_at: datetime

    @classmethod
    def of(cls, kept: KeptMedia) -> KeptFile:
        return cls(
            handle=kept.id,
            filename=kept.filename,
            content_type=kept.content_type,
            size=kept.size,
            sha256=kept.sha256,
            width=kept.width,
            height=kept.height,
            seconds=kept.seconds,
            expires_at=kept.expires_at,
        )
