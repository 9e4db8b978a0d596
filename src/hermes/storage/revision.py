"""For developers: `python -m hermes.storage.revision "what changes"` writes a migration from the rooms' models.

The next number is taken, all existing migrations are applied to a fresh SQLite file, and what the models have more
becomes the new one. Read it before committing: a rename looks like a drop and an add.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData
from sqlalchemy.dialects import mysql

from hermes.storage.migrate import alembic_config, migrate
from hermes.storage.schema import load_models
from hermes.storage.sql import BigId, Database, Json, UtcDateTime


async def write_revision(message: str) -> Path:
    """Write the next migration into the package's source and return its file."""
    metadata = load_models()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite+aiosqlite:///{folder}/schema.db")
        try:
            await migrate(database)
            async with database.engine.connect() as connection:
                return await connection.run_sync(_write, message, metadata)
        finally:
            await database.close()


def _write(connection: Connection, message: str, metadata: MetaData) -> Path:
    config = alembic_config(connection, metadata=metadata, render_item=_render)
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    number = len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1
    script: Any = command.revision(config, message, autogenerate=True, rev_id=f"{number:04d}")
    return Path(script.path)


def _render(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our column types by the names they have in `storage/sql.py`; False leaves the rest to Alembic."""
    if kind != "type":
        return False
    if isinstance(item, UtcDateTime):
        return "sql.UtcDateTime()"
    if item is Json or item is BigId:
        return "sql.Json" if item is Json else "sql.BigId"
    on_mysql = item.dialect_impl(mysql.dialect())
    if getattr(on_mysql, "collation", None) != "utf8mb4_bin":
        return False
    return f"sql.exact_string({on_mysql.length})" if isinstance(on_mysql, mysql.VARCHAR) else "sql.long_text()"


def main() -> None:
    """The developer's command."""
    if len(sys.argv) != 2:
        sys.exit('usage: python -m hermes.storage.revision "what changes"')
    sys.stdout.write(f"{asyncio.run(write_revision(sys.argv[1]))}\n")


if __name__ == "__main__":
    main()
