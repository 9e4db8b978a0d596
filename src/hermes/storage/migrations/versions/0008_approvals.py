"""Approvals, and customers' rules for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hermes.storage import sql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sql.exact_string(64), nullable=False),
        sa.Column("customer_id", sql.exact_string(64), nullable=False),
        sa.Column("call_id", sql.exact_string(64), nullable=False),
        sa.Column("tool", sql.exact_string(128), nullable=False),
        sa.Column("platform", sql.exact_string(64), nullable=False),
        sa.Column("account", sql.exact_string(32), nullable=False),
        sa.Column("sealed_arguments", sql.long_text(), nullable=False),
        sa.Column("digest", sql.exact_string(64), nullable=False),
        sa.Column("open_key", sql.exact_string(64), nullable=True),
        sa.Column("caller", sql.Json, nullable=False),
        sa.Column("key_id", sql.exact_string(64), nullable=False),
        sa.Column("status", sql.exact_string(20), nullable=False),
        sa.Column("created_at", sql.UtcDateTime(), nullable=False),
        sa.Column("expires_at", sql.UtcDateTime(), nullable=False),
        sa.Column("decided_at", sql.UtcDateTime(), nullable=True),
        sa.Column("decided_by", sql.exact_string(64), nullable=True),
        sa.Column("decided_via", sql.exact_string(8), nullable=True),
        sa.Column("run_id", sql.exact_string(64), nullable=True),
        sa.Column("claimed_until", sql.UtcDateTime(), nullable=True),
        sa.Column("outcome", sql.exact_string(20), nullable=True),
        sa.Column("sealed_result", sql.long_text(), nullable=True),
        sa.Column("finished_at", sql.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sa.UniqueConstraint("open_key", name=op.f("uq_approvals_open_key")),
    )
    with op.batch_alter_table("approvals", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_approvals_customer_id_id"), ["customer_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_approvals_finished_at"), ["finished_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_approvals_status_expires_at"), ["status", "expires_at"], unique=False)
    with op.batch_alter_table("customers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("approval_rules", sql.Json, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("customers", schema=None) as batch_op:
        batch_op.drop_column("approval_rules")
    with op.batch_alter_table("approvals", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_approvals_status_expires_at"))
        batch_op.drop_index(batch_op.f("ix_approvals_finished_at"))
        batch_op.drop_index(batch_op.f("ix_approvals_customer_id_id"))

    op.drop_table("approvals")
