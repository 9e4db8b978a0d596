"""The authorization server: clients, what people agreed to, and what was given out because of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hermes.storage import sql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "oauth_authorizations",
        sa.Column("id", sql.exact_string(64), nullable=False),
        sa.Column("customer_id", sql.exact_string(64), nullable=False),
        sa.Column("client_id", sql.exact_string(512), nullable=False),
        sa.Column("client_name", sql.exact_string(200), nullable=False),
        sa.Column("client_host", sql.exact_string(255), nullable=True),
        sa.Column("client_verified", sa.Boolean(), nullable=False),
        sa.Column("grants", sql.Json, nullable=False),
        sa.Column("created_at", sql.UtcDateTime(), nullable=False),
        sa.Column("used_at", sql.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customers.id"],
            name=op.f("fk_oauth_authorizations_customer_id_customers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_authorizations")),
        sa.UniqueConstraint("customer_id", "client_id", name=op.f("uq_oauth_authorizations_customer_id_client_id")),
    )
    with op.batch_alter_table("oauth_authorizations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_oauth_authorizations_client_id"), ["client_id"], unique=False)

    op.create_table(
        "oauth_clients",
        sa.Column("id", sql.exact_string(512), nullable=False),
        sa.Column("kind", sql.exact_string(16), nullable=False),
        sa.Column("name", sql.exact_string(200), nullable=False),
        sa.Column("details", sql.Json, nullable=False),
        sa.Column("secret_digest", sql.exact_string(64), nullable=True),
        sa.Column("acts_for", sql.exact_string(64), nullable=True),
        sa.Column("created_at", sql.UtcDateTime(), nullable=False),
        sa.Column("used_at", sql.UtcDateTime(), nullable=False),
        sa.Column("fresh_until", sql.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["acts_for"], ["customers.id"], name=op.f("fk_oauth_clients_acts_for_customers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_clients")),
    )
    with op.batch_alter_table("oauth_clients", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_oauth_clients_kind_used_at"), ["kind", "used_at"], unique=False)

    op.create_table(
        "oauth_chains",
        sa.Column("id", sql.exact_string(64), nullable=False),
        sa.Column("authorization_id", sql.exact_string(64), nullable=False),
        sa.Column("customer_id", sql.exact_string(64), nullable=False),
        sa.Column("client_id", sql.exact_string(512), nullable=False),
        sa.Column("resource", sql.exact_string(255), nullable=False),
        sa.Column("grants", sql.Json, nullable=False),
        sa.Column("created_at", sql.UtcDateTime(), nullable=False),
        sa.Column("ends_at", sql.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["authorization_id"],
            ["oauth_authorizations.id"],
            name=op.f("fk_oauth_chains_authorization_id_oauth_authorizations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_chains")),
    )
    with op.batch_alter_table("oauth_chains", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_oauth_chains_authorization_id"), ["authorization_id"], unique=False)

    op.create_table(
        "oauth_codes",
        sa.Column("digest", sql.exact_string(64), nullable=False),
        sa.Column("authorization_id", sql.exact_string(64), nullable=False),
        sa.Column("customer_id", sql.exact_string(64), nullable=False),
        sa.Column("client_id", sql.exact_string(512), nullable=False),
        sa.Column("redirect_uri", sql.exact_string(2048), nullable=False),
        sa.Column("code_challenge", sql.exact_string(64), nullable=False),
        sa.Column("resource", sql.exact_string(255), nullable=False),
        sa.Column("grants", sql.Json, nullable=False),
        sa.Column("refreshable", sa.Boolean(), nullable=False),
        sa.Column("created_at", sql.UtcDateTime(), nullable=False),
        sa.Column("expires_at", sql.UtcDateTime(), nullable=False),
        sa.Column("chain_id", sql.exact_string(64), nullable=True),
        sa.ForeignKeyConstraint(
            ["authorization_id"],
            ["oauth_authorizations.id"],
            name=op.f("fk_oauth_codes_authorization_id_oauth_authorizations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_oauth_codes")),
    )
    with op.batch_alter_table("oauth_codes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_oauth_codes_authorization_id"), ["authorization_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_oauth_codes_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "oauth_access_tokens",
        sa.Column("digest", sql.exact_string(64), nullable=False),
        sa.Column("chain_id", sql.exact_string(64), nullable=False),
        sa.Column("customer_id", sql.exact_string(64), nullable=False),
        sa.Column("grants", sql.Json, nullable=False),
        sa.Column("created_at", sql.UtcDateTime(), nullable=False),
        sa.Column("expires_at", sql.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["chain_id"],
            ["oauth_chains.id"],
            name=op.f("fk_oauth_access_tokens_chain_id_oauth_chains"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_oauth_access_tokens")),
    )
    with op.batch_alter_table("oauth_access_tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_oauth_access_tokens_chain_id"), ["chain_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_oauth_access_tokens_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "oauth_refresh_tokens",
        sa.Column("digest", sql.exact_string(64), nullable=False),
        sa.Column("chain_id", sql.exact_string(64), nullable=False),
        sa.Column("customer_id", sql.exact_string(64), nullable=False),
        sa.Column("created_at", sql.UtcDateTime(), nullable=False),
        sa.Column("expires_at", sql.UtcDateTime(), nullable=False),
        sa.Column("used_at", sql.UtcDateTime(), nullable=True),
        sa.Column("sealed_successor", sql.long_text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["chain_id"],
            ["oauth_chains.id"],
            name=op.f("fk_oauth_refresh_tokens_chain_id_oauth_chains"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_oauth_refresh_tokens")),
    )
    with op.batch_alter_table("oauth_refresh_tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_oauth_refresh_tokens_chain_id"), ["chain_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_oauth_refresh_tokens_expires_at"), ["expires_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("oauth_refresh_tokens", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_oauth_refresh_tokens_expires_at"))
        batch_op.drop_index(batch_op.f("ix_oauth_refresh_tokens_chain_id"))

    op.drop_table("oauth_refresh_tokens")
    with op.batch_alter_table("oauth_access_tokens", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_oauth_access_tokens_expires_at"))
        batch_op.drop_index(batch_op.f("ix_oauth_access_tokens_chain_id"))

    op.drop_table("oauth_access_tokens")
    with op.batch_alter_table("oauth_codes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_oauth_codes_expires_at"))
        batch_op.drop_index(batch_op.f("ix_oauth_codes_authorization_id"))

    op.drop_table("oauth_codes")
    with op.batch_alter_table("oauth_chains", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_oauth_chains_authorization_id"))

    op.drop_table("oauth_chains")
    with op.batch_alter_table("oauth_clients", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_oauth_clients_kind_used_at"))

    op.drop_table("oauth_clients")
    with op.batch_alter_table("oauth_authorizations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_oauth_authorizations_client_id"))

    op.drop_table("oauth_authorizations")
