"""Which account a call uses that names none, and when accounts are looked at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hermes.storage import sql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("customers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("default_accounts", sql.Json, nullable=True))
    with op.batch_alter_table("connections", schema=None) as batch_op:
        batch_op.add_column(sa.Column("check_at", sql.UtcDateTime(), nullable=True))
        batch_op.create_index(batch_op.f("ix_connections_check_at"), ["check_at"], unique=False)
    op.execute("UPDATE connections SET check_at = updated_at WHERE ciphertext IS NOT NULL")


def downgrade() -> None:
    with op.batch_alter_table("connections", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_connections_check_at"))
        batch_op.drop_column("check_at")
    with op.batch_alter_table("customers", schema=None) as batch_op:
        batch_op.drop_column("default_accounts")
