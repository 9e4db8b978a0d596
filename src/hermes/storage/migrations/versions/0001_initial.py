"""All tables of the first version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from hermes.storage.sql import BigId, Json, UtcDateTime, exact_string, long_text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "connections",
        sa.Column("id", exact_string(64), nullable=False),
        sa.Column("customer_id", exact_string(64), nullable=False),
        sa.Column("platform", exact_string(32), nullable=False),
        sa.Column("label", exact_string(32), nullable=False),
        sa.Column("status", exact_string(20), nullable=False),
        sa.Column("external_id", exact_string(255), nullable=True),
        sa.Column("display_name", exact_string(255), nullable=True),
        sa.Column("routing_id", exact_string(255), nullable=True),
        sa.Column("scopes", Json, nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("last_checked_at", UtcDateTime(), nullable=True),
        sa.Column("last_success_at", UtcDateTime(), nullable=True),
        sa.Column("last_error", exact_string(500), nullable=True),
        sa.Column("ciphertext", long_text(), nullable=True),
        sa.Column("key_id", exact_string(80), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connections")),
        sa.UniqueConstraint("customer_id", "platform", "label", name=op.f("uq_connections_customer_id_platform_label")),
        sa.UniqueConstraint("platform", "routing_id", name=op.f("uq_connections_platform_routing_id")),
    )
    with op.batch_alter_table("connections", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_connections_key_id_id"), ["key_id", "id"], unique=False)

    op.create_table(
        "customers",
        sa.Column("id", exact_string(64), nullable=False),
        sa.Column("email", exact_string(254), nullable=False),
        sa.Column("email_key", exact_string(320), nullable=False),
        sa.Column("plan", exact_string(16), nullable=False),
        sa.Column("role", exact_string(16), nullable=False),
        sa.Column("status", exact_string(16), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("password_hash", exact_string(255), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customers")),
        sa.UniqueConstraint("email_key", name=op.f("uq_customers_email_key")),
    )
    op.create_table(
        "inbound_events",
        sa.Column("id", exact_string(64), nullable=False),
        sa.Column("platform", exact_string(32), nullable=False),
        sa.Column("dedupe_key", exact_string(64), nullable=False),
        sa.Column(
            "body",
            sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mariadb").with_variant(mysql.MEDIUMBLOB(), "mysql"),
            nullable=False,
        ),
        sa.Column("state", exact_string(16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("error", exact_string(255), nullable=True),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound_events")),
        sa.UniqueConstraint("platform", "dedupe_key", name=op.f("uq_inbound_events_platform_dedupe_key")),
    )
    with op.batch_alter_table("inbound_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_inbound_events_state_received_at"), ["state", "received_at"], unique=False)

    op.create_table(
        "key_check",
        sa.Column("id", exact_string(64), nullable=False),
        sa.Column("sealed", long_text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_check")),
    )
    op.create_table(
        "message_statuses",
        sa.Column("customer_id", exact_string(64), nullable=False),
        sa.Column("platform", exact_string(32), nullable=False),
        sa.Column("message_id", exact_string(255), nullable=False),
        sa.Column("account_id", exact_string(64), nullable=False),
        sa.Column("status", exact_string(32), nullable=False),
        sa.Column("status_rank", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("recipient", exact_string(255), nullable=True),
        sa.Column("errors", Json, nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "platform", "message_id", name=op.f("pk_message_statuses")),
    )
    op.create_table(
        "messages",
        sa.Column("number", BigId, autoincrement=True, nullable=False),
        sa.Column("customer_id", exact_string(64), nullable=False),
        sa.Column("platform", exact_string(32), nullable=False),
        sa.Column("account_id", exact_string(64), nullable=False),
        sa.Column("message_id", exact_string(255), nullable=False),
        sa.Column("kind", exact_string(64), nullable=False),
        sa.Column("sender_id", exact_string(255), nullable=True),
        sa.Column("sender_phone", exact_string(64), nullable=True),
        sa.Column("sender_name", exact_string(255), nullable=True),
        sa.Column("reply_to", exact_string(255), nullable=True),
        sa.Column("text", long_text(), nullable=True),
        sa.Column("content", Json, nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_messages")),
        sa.UniqueConstraint(
            "customer_id",
            "platform",
            "account_id",
            "message_id",
            name=op.f("uq_messages_customer_id_platform_account_id_message_id"),
        ),
    )
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_messages_customer_id_platform_number"), ["customer_id", "platform", "number"], unique=False
        )

    op.create_table(
        "usage",
        sa.Column("call_id", exact_string(64), nullable=False),
        sa.Column("customer_id", exact_string(64), nullable=False),
        sa.Column("month", exact_string(7), nullable=False),
        sa.Column("platform", exact_string(64), nullable=False),
        sa.Column("tool", exact_string(128), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_usage")),
    )
    with op.batch_alter_table("usage", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_usage_customer_id_month_tool"), ["customer_id", "month", "tool"], unique=False
        )

    op.create_table(
        "api_keys",
        sa.Column("id", exact_string(64), nullable=False),
        sa.Column("customer_id", exact_string(64), nullable=False),
        sa.Column("name", exact_string(64), nullable=False),
        sa.Column("digest", exact_string(64), nullable=False),
        sa.Column("hint", exact_string(4), nullable=False),
        sa.Column("grants", Json, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("last_used_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_api_keys_customer_id_customers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
    )
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_keys_customer_id_id"), ["customer_id", "id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_keys_customer_id_id"))

    op.drop_table("api_keys")
    with op.batch_alter_table("usage", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_usage_customer_id_month_tool"))

    op.drop_table("usage")
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_messages_customer_id_platform_number"))

    op.drop_table("messages")
    op.drop_table("message_statuses")
    op.drop_table("key_check")
    with op.batch_alter_table("inbound_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_inbound_events_state_received_at"))

    op.drop_table("inbound_events")
    op.drop_table("customers")
    with op.batch_alter_table("connections", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_connections_key_id_id"))

    op.drop_table("connections")
