"""Kept media."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hermes.storage import sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "media",
        sa.Column("id", sql.exact_string(64), nullable=False),
        sa.Column("customer_id", sql.exact_string(64), nullable=False),
        sa.Column("filename", sql.exact_string(255), nullable=False),
        sa.Column("content_type", sql.exact_string(255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sql.exact_string(64), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("sealed_key", sql.long_text(), nullable=False),
        sa.Column("created_at", sql.UtcDateTime(), nullable=False),
        sa.Column("expires_at", sql.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media")),
    )
    with op.batch_alter_table("media", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_media_customer_id"), ["customer_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_media_expires_at"), ["expires_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("media", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_media_expires_at"))
        batch_op.drop_index(batch_op.f("ix_media_customer_id"))

    op.drop_table("media")
