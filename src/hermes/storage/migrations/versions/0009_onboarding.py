"""What accounts share at their vendor, and how the steps of setting them up stand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hermes.storage import sql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("connections", schema=None) as batch_op:
        batch_op.add_column(sa.Column("shared_id", sql.exact_string(255), nullable=True))
        batch_op.add_column(sa.Column("steps", sql.Json, nullable=True))
        batch_op.create_index(batch_op.f("ix_connections_platform_shared_id"), ["platform", "shared_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("connections", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_connections_platform_shared_id"))
        batch_op.drop_column("steps")
        batch_op.drop_column("shared_id")
