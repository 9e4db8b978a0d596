"""Whether a database has this program's schema, without the migration tool: it takes ten megabytes to load."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from hermes.storage.sql import Database

_VERSIONS: Final = "hermes.storage.migrations.versions"


class MigrationError(Exception):
    """The database does not have this program's schema; the message says what to do."""


def newest_revision() -> str:
    """The number of the newest migration; their files are named `NNNN_what_it_does.py`."""
    names = (entry.name for entry in files(_VERSIONS).iterdir())
    return max(name[:4] for name in names if name[:4].isdigit())


async def require_newest_schema(database: Database) -> None:
    """Check that the database is neither older nor newer than this program.

    Raises:
        MigrationError: it is; says how to go on.
        SQLAlchemyError: the database does not answer.
    """
    wanted = newest_revision()
    await database.ping()
    try:
        async with database.reading() as session:
            found = (await session.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
    except DatabaseError:
        found = None  # the table is not there yet
    if found is None or found < wanted:
        raise MigrationError(f"The database has schema {found or 'none'} of {wanted}; run `hermes migrate` first.")
    if found > wanted:
        raise MigrationError(
            f"The database has schema {found}, newer than this program's {wanted}; start the newer version of hermes."
        )
