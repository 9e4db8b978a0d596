"""The schema: migrations make what the models say, one process at a time, and never go where they cannot come from."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from hermes.storage import migrations
from hermes.storage.migrate import migrate, pending
from hermes.storage.revisions import MigrationError
from hermes.storage.schema import load_models
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

ENV = Path(next(iter(migrations.__path__))) / "env.py"
REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down}
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("t{revision}", sa.Column("id", sa.Integer(), primary_key=True))
"""


@pytest.fixture
def location(tmp_path: Path) -> str:
    """A folder of two migrations."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(ENV.read_text())
    _add(folder, "0001", None)
    _add(folder, "0002", "0001")
    return str(folder)


def _add(folder: Path, revision: str, down: str | None) -> None:
    (folder / "versions" / f"{revision}.py").write_text(REVISION.format(revision=revision, down=repr(down)))


async def test_models_and_migrations_agree(database: Database) -> None:
    metadata = load_models()

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    assert await pending(database) == []


async def test_what_is_missing_is_applied_once(empty_database: Database, location: str) -> None:
    assert await pending(empty_database, location=location) == ["0001", "0002"]
    assert await migrate(empty_database, location=location) == ["0001", "0002"]
    assert await pending(empty_database, location=location) == []
    assert await migrate(empty_database, location=location) == []
    _add(Path(location), "0003", "0002")
    assert await migrate(empty_database, location=location) == ["0003"]
    async with empty_database.reading() as session:
        assert (await session.execute(text("SELECT count(*) FROM t0003"))).scalar() == 0


async def test_processes_that_migrate_at_once_take_turns(empty_database: Database, location: str) -> None:
    done = await asyncio.gather(*(migrate(empty_database, location=location) for _ in range(3)))
    assert sorted(done) == [[], [], ["0001", "0002"]]


async def test_a_database_of_a_newer_hermes_is_refused(empty_database: Database, location: str) -> None:
    await migrate(empty_database, location=location)
    async with empty_database.session() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '0099'"))
    with pytest.raises(MigrationError, match="0099"):
        await migrate(empty_database, location=location)
    with pytest.raises(MigrationError, match="0099"):
        await pending(empty_database, location=location)
