"""The table of data keys: each as a KMS wrapped it, and how far it is in its life."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from hermes.storage.sql import Base, exact_string, id_string, long_text


class DataKeyRow(Base):
    """A key that seals, wrapped: without the KMS nothing can be done with it. It belongs to no customer.

    Rows are never deleted: a backup of the database may hold what only an old key opens.
    """

    __tablename__ = "data_keys"

    id: Mapped[str] = mapped_column(id_string(), primary_key=True)
    """The key id in front of what it sealed; the KMS opens `wrapped` for no other."""
    provider: Mapped[str] = mapped_column(exact_string(16))
    wrapped_by: Mapped[str] = mapped_column(exact_string(2048))
    """The KMS's name of its own key, to be shown; never used to choose one."""
    wrapped: Mapped[str] = mapped_column(long_text())
    created_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]
    """Since when it may seal. Until then every server has time to learn it."""
    retired_at: Mapped[datetime | None]
    """Since when nothing that lasts needs it any more."""

    def __repr__(self) -> str:
        return f"DataKeyRow({self.id!r})"
