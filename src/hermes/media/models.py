"""The table of kept media."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Double, Integer
from sqlalchemy.orm import Mapped, mapped_column

from hermes.storage.sql import Base, exact_string, id_string, long_text


class MediaRow(Base):
    """One file of one customer's, until it expires. Its bytes lie encrypted under `sealed_key` (media/sealed.py).

    What the columns say of the content was found in the content itself, never taken from a name or a header, except
    `content_type` where the content is neither photo nor video.
    """

    __tablename__ = "media"

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    customer_id: Mapped[str] = mapped_column(id_string(), index=True)
    filename: Mapped[str]
    content_type: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(exact_string(64))
    width: Mapped[int | None] = mapped_column(Integer)
    height: Mapped[int | None] = mapped_column(Integer)
    seconds: Mapped[float | None] = mapped_column(Double)
    sealed_key: Mapped[str] = mapped_column(long_text())
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
