"""How people sign in: sessions, mailed links, second factors, accounts at the sign-in provider; and the own mail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hermes.storage import sql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox_mails",
        sa.Column("id", sql.exact_string(64), nullable=False),
        sa.Column("kind", sql.exact_string(32), nullable=False),
        sa.Column("sealed", sql.long_text(), nullable=False),
        sa.Column("state", sql.exact_string(16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sql.UtcDateTime(), nullable=False),
        sa.Column("created_at", sql.UtcDateTime(), nullable=False),
        sa.Column("finished_at", sql.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_mails")),
    )
    with op.batch_alter_table("outbox_mails", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_outbox_mails_state_next_try_at"), ["state", "next_try_at"], unique=False)
    op.create_table(
        "external_identities",
        sa.Column("id", sql.exact_string(64), nullable=False),
        sa.Column("customer_id", sql.exact_string(64), nullable=False),
        sa.Column("issuer", sql.exact_string(255), nullable=False),
        sa.Column("subject", sql.exact_string(255), nullable=False),
        sa.Column("email", sql.exact_string(254), nullable=True),
        sa.Column("created_at", sql.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
            name=op.f("fk_external_identities_customer_id_customers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_external_identities")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_external_identities_issuer_subject")),
    )
    with op.batch_alter_table("external_identities", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_external_identities_customer_id"), ["customer_id"], unique=False)
    op.create_table(
        "mailed_tokens",
        sa.Column("id", sql.exact_string(64), nullable=False),
        sa.Column("digest", sql.exact_string(64), nullable=False),
        sa.Column("purpose", sql.exact_string(16), nullable=False),
        sa.Column("customer_id", sql.exact_string(64), nullable=True),
        sa.Column("email", sql.exact_string(254), nullable=False),
        sa.Column("plan", sql.exact_string(16), nullable=True),
        sa.Column("created_at", sql.UtcDateTime(), nullable=False),
        sa.Column("expires_at", sql.UtcDateTime(), nullable=False),
        sa.Column("used_at", sql.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_mailed_tokens_customer_id_customers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailed_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_mailed_tokens_digest")),
    )
    with op.batch_alter_table("mailed_tokens", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_mailed_tokens_customer_id_purpose"), ["customer_id", "purpose"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_mailed_tokens_expires_at"), ["expires_at"], unique=False)
    op.create_table(
        "recovery_codes",
        sa.Column("customer_id", sql.exact_string(64), nullable=False),
        sa.Column("digest", sql.exact_string(64), nullable=False),
        sa.Column("used_at", sql.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_recovery_codes_customer_id_customers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("customer_id", "digest", name=op.f("pk_recovery_codes")),
    )
    op.create_table(
        "second_factors",
        sa.Column("customer_id", sql.exact_string(64), nullable=False),
        sa.Column("sealed_secret", sql.exact_string(512), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sql.UtcDateTime(), nullable=False),
        sa.Column("confirmed_at", sql.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_second_factors_customer_id_customers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_second_factors")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sql.exact_string(64), nullable=False),
        sa.Column("customer_id", sql.exact_string(64), nullable=False),
        sa.Column("client", sql.exact_string(200), nullable=False),
        sa.Column("created_at", sql.UtcDateTime(), nullable=False),
        sa.Column("last_used_at", sql.UtcDateTime(), nullable=True),
        sa.Column("expires_at", sql.UtcDateTime(), nullable=False),
        sa.Column("ended_at", sql.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_sessions_customer_id_customers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sessions_customer_id_id"), ["customer_id", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_sessions_expires_at"), ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_table("sessions")
    op.drop_table("second_factors")
    op.drop_table("recovery_codes")
    op.drop_table("mailed_tokens")
    op.drop_table("external_identities")
    op.drop_table("outbox_mails")
