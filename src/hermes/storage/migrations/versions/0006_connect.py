"""Signing in at vendors, the renewal of tokens, and events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hermes.storage import sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", sql.exact_string(64), nullable=False),
        sa.Column("customer_id", sql.exact_string(64), nullable=False),
        sa.Column("type", sql.exact_string(64), nullable=False),
        sa.Column("payload", sql.Json, nullable=False),
        sa.Column("at", sql.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_events_customer_id_at"), ["customer_id", "at"], unique=False)
    with op.batch_alter_table("connections", schema=None) as batch_op:
        batch_op.add_column(sa.Column("provider", sql.exact_string(32), nullable=True))
        batch_op.add_column(sa.Column("renew_at", sql.UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("renew_failures", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("end_told_at", sql.UtcDateTime(), nullable=True))
        batch_op.create_index(batch_op.f("ix_connections_renew_at"), ["renew_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_connections_expires_at"), ["expires_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("connections", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_connections_expires_at"))
        batch_op.drop_index(batch_op.f("ix_connections_renew_at"))
        batch_op.drop_column("end_told_at")
        batch_op.drop_column("renew_failures")
        batch_op.drop_column("renew_at")
        batch_op.drop_column("provider")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_events_customer_id_at"))

    op.drop_table("events")
