"""Bringing a database to the newest schema, from the installed package, by one process at a time."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from hermes.storage.revisions import MigrationError
from hermes.storage.sql import MIGRATION_SECONDS, Database

MIGRATIONS: Final = "hermes.storage:migrations"


async def migrate(database: Database, *, location: str = MIGRATIONS) -> list[str]:
    """Bring the database to the newest schema. Processes that do this at once do it one after the other.

    Args:
        database: which one.
        location: the migrations, as Alembic names a folder.

    Returns:
        The revisions that were applied, oldest first; empty if it was up to date.

    Raises:
        MigrationError: the database is newer than this program, or another process took too long.
    """
    migrating = Database(database.url.render_as_string(hide_password=False), pool_size=1, migrating=True)
    try:
        async with migrating.engine.connect() as connection, _alone(connection, database):
            return await connection.run_sync(_upgrade, location)
    finally:
        await migrating.close()


async def pending(database: Database, *, location: str = MIGRATIONS) -> list[str]:
    """The revisions that `migrate` would apply, oldest first.

    Raises:
        MigrationError: the database is newer than this program.
    """
    async with database.reading() as session:
        return await (await session.connection()).run_sync(_pending, location)


@contextlib.asynccontextmanager
async def _alone(connection: AsyncConnection, database: Database) -> AsyncIterator[None]:
    if database.dialect == "sqlite":
        # BEGIN IMMEDIATE is the lock, and the whole migration is one transaction
        async with connection.begin():
            yield
        return
    # names of locks are the server's, not the database's, and at most 64 characters long
    name = "hermes-migrate-" + hashlib.sha256((database.url.database or "").encode()).hexdigest()[:32]
    taken = await connection.scalar(
        text("SELECT GET_LOCK(:name, :seconds)"), {"name": name, "seconds": MIGRATION_SECONDS}
    )
    if taken != 1:
        raise MigrationError("Another process has been migrating this database for five minutes; try again later.")
    try:
        yield
        await connection.commit()
    finally:
        await connection.rollback()
        await connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name})


def alembic_config(connection: Connection, location: str = MIGRATIONS, **attributes: Any) -> Config:
    """Alembic's configuration, without an ini file; `attributes` are for `migrations/env.py`."""
    config = Config()
    config.set_main_option("script_location", location)
    config.attributes.update(connection=connection, **attributes)
    return config


def _upgrade(connection: Connection, location: str) -> list[str]:
    applied: list[str] = []

    def note(*, step: Any, **_: Any) -> None:
        applied.append(step.up_revision_id)

    missing = _pending(connection, location)
    if missing:
        command.upgrade(alembic_config(connection, location, on_version_apply=note), "head")
        _check_references(connection)
    return applied


def _pending(connection: Connection, location: str) -> list[str]:
    scripts = ScriptDirectory.from_config(alembic_config(connection, location))
    heads = tuple(scripts.get_heads())
    if not heads:
        return []
    current = MigrationContext.configure(connection).get_current_heads()
    try:
        steps = list(scripts.iterate_revisions(heads, current or "base"))
    except (CommandError, RevisionError) as error:
        raise MigrationError(
            f"The database's schema ({', '.join(current)}) is not known to this version of hermes: a newer one has "
            "used it. Start that version, or put back a copy of the database."
        ) from error
    return [step.revision for step in reversed(steps)]


def _check_references(connection: Connection) -> None:
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise MigrationError("The migration would leave rows that refer to nothing; nothing was changed.")
