"""Knowing whether a database has this program's schema."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from hermes.storage.migrate import migrate
from hermes.storage.revisions import MigrationError, newest_revision, require_newest_schema
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage


async def test_the_schema_of_an_empty_an_older_and_a_newer_database(empty_database: Database) -> None:
    with pytest.raises(MigrationError, match="hermes migrate"):
        await require_newest_schema(empty_database)
    applied = await migrate(empty_database)
    assert applied[-1] == newest_revision()
    await require_newest_schema(empty_database)
    for version, remedy in (("0000", "hermes migrate"), ("9999", "newer version")):
        async with empty_database.session() as session:
            await session.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
        with pytest.raises(MigrationError, match=remedy):
            await require_newest_schema(empty_database)
