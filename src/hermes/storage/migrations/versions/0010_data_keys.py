"""Data keys that a KMS wraps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hermes.storage import sql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "data_keys",
        sa.Column("id", sql.exact_string(64), nullable=False),
        sa.Column("provider", sql.exact_string(16), nullable=False),
        sa.Column("wrapped_by", sql.exact_string(2048), nullable=False),
        sa.Column("wrapped", sql.long_text(), nullable=False),
        sa.Column("created_at", sql.UtcDateTime(), nullable=False),
        sa.Column("activated_at", sql.UtcDateTime(), nullable=True),
        sa.Column("retired_at", sql.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_keys")),
    )


def downgrade() -> None:
    op.drop_table("data_keys")
