"""Long calls and their steps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hermes.storage import sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "call_steps",
        sa.Column("number", sql.BigId, autoincrement=True, nullable=False),
        sa.Column("call_id", sql.exact_string(64), nullable=False),
        sa.Column("customer_id", sql.exact_string(64), nullable=False),
        sa.Column("name", sql.exact_string(128), nullable=False),
        sa.Column("state", sql.exact_string(8), nullable=False),
        sa.Column("sealed_result", sql.long_text(), nullable=True),
        sa.Column("at", sql.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_call_steps")),
        sa.UniqueConstraint("call_id", "name", name=op.f("uq_call_steps_call_id_name")),
    )
    op.create_table(
        "long_calls",
        sa.Column("id", sql.exact_string(64), nullable=False),
        sa.Column("customer_id", sql.exact_string(64), nullable=False),
        sa.Column("tool", sql.exact_string(128), nullable=False),
        sa.Column("account", sql.exact_string(32), nullable=False),
        sa.Column("caller", sql.Json, nullable=False),
        sa.Column("record", sql.Json, nullable=False),
        sa.Column("sealed_arguments", sql.long_text(), nullable=False),
        sa.Column("publish_state", sql.exact_string(20), nullable=False),
        sa.Column("progress", sql.Json, nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("outcome", sql.exact_string(20), nullable=True),
        sa.Column("sealed_outcome", sql.long_text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sql.exact_string(64), nullable=True),
        sa.Column("claimed_until", sql.UtcDateTime(), nullable=False),
        sa.Column("created_at", sql.UtcDateTime(), nullable=False),
        sa.Column("updated_at", sql.UtcDateTime(), nullable=False),
        sa.Column("finished_at", sql.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_long_calls")),
    )
    with op.batch_alter_table("long_calls", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_long_calls_customer_id_id"), ["customer_id", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_long_calls_finished_at_claimed_until"), ["finished_at", "claimed_until"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("long_calls", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_long_calls_finished_at_claimed_until"))
        batch_op.drop_index(batch_op.f("ix_long_calls_customer_id_id"))

    op.drop_table("long_calls")
    op.drop_table("call_steps")
