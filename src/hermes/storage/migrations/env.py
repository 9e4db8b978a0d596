"""Run by Alembic with the connection, and the tables when a revision is written, that `migrate` and `revision` give."""

from __future__ import annotations

from alembic import context

given = context.config.attributes
context.configure(
    connection=given["connection"],
    target_metadata=given.get("metadata"),
    render_as_batch=True,
    compare_type=True,
    compare_server_default=True,
    render_item=given.get("render_item"),
    on_version_apply=given.get("on_version_apply"),
)
with context.begin_transaction():
    context.run_migrations()
