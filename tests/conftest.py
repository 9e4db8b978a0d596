"""The stores every test may use: SQLite and the embedded Valkey, or the servers that the environment names.

With HERMES_TEST_DATABASE_URL (mysql+asyncmy://…) and HERMES_TEST_REDIS_URL the same tests run on those; a database of
its own is made for the run and dropped afterwards, and the Redis database in the URL is emptied before every test.
Tests that run side by side (pytest-xdist) need a Redis for each process: as many URLs, with spaces between them.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
import uvicorn.server
from alembic.config import Config
from alembic.script import ScriptDirectory
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher
from sqlalchemy import URL, MetaData, delete, make_url, text

from hermes.identity import passwords
from hermes.storage.data_folder import DataFolder
from hermes.storage.embedded import EmbeddedValkey
from hermes.storage.migrate import MIGRATIONS, migrate
from hermes.storage.redis import Redis, connect_redis
from hermes.storage.schema import load_models
from hermes.storage.sql import Database

DATABASE_URL = os.environ.get("HERMES_TEST_DATABASE_URL")
REDIS_URLS = os.environ.get("HERMES_TEST_REDIS_URL", "").split()
PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def pytest_configure() -> None:
    """Servers within the tests' process end at once: uvicorn looks only ten times a second whether it is to end, and
    then waits as long again for its connections, which a thousand tests would wait for. Passwords are hashed by the
    same algorithms for next to nothing, but where a test asks for `full_cost`, and in processes of their own."""
    uvicorn.server.asyncio = SimpleNamespace(**vars(asyncio) | {"sleep": _short_sleep})  # type: ignore[assignment]
    passwords._hasher = _quick_hasher


async def _short_sleep(seconds: float) -> None:
    await _sleep(min(seconds, 0.005))


_sleep = asyncio.sleep


@cache
def _quick_hasher() -> PasswordHash:
    return PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1), BcryptHasher()))


@pytest.fixture
def full_cost(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Passwords are hashed at the product's own cost."""
    monkeypatch.setattr(passwords, "_hasher", _product_hasher)
    passwords._nobodys_hash.cache_clear()
    yield
    passwords._nobodys_hash.cache_clear()


_product_hasher = passwords._hasher


def pytest_collection_finish() -> None:
    """Thousands of tests and all that they import stay: the collector need not look through them again and again."""
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class RedisServer:
    """Where the tests' Redis is."""

    url: str


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The Redis of this process: an embedded Valkey, or its part of HERMES_TEST_REDIS_URL."""
    if REDIS_URLS:
        yield RedisServer(REDIS_URLS[PROCESS])
        return
    folder = DataFolder(tmp_path_factory.mktemp("valkey"))
    folder.acquire("server")
    server = EmbeddedValkey(folder)
    asyncio.run(server.start())
    yield RedisServer(server.url)
    asyncio.run(server.stop())
    folder.release()


@pytest.fixture
async def redis(valkey: RedisServer) -> AsyncIterator[Redis]:
    """An empty Redis."""
    async with empty_redis(valkey) as client:
        yield client


@asynccontextmanager
async def empty_redis(valkey: RedisServer) -> AsyncIterator[Redis]:
    """The same for a fixture on another event loop than the test's own."""
    client = connect_redis(valkey.url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """A database with every table, made once for the run: a SQLite file to copy, or a MySQL database to empty."""
    if DATABASE_URL is None:
        url = make_url(f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('schema') / 'hermes.db'}")
        asyncio.run(_make_schema(url))
        yield url
        return
    url = asyncio.run(_create_mysql(DATABASE_URL))
    asyncio.run(_make_schema(url))
    yield url
    asyncio.run(_drop_mysql(DATABASE_URL, url))


@pytest.fixture
async def database(schema: URL, tmp_path: Path) -> AsyncIterator[Database]:
    """A database with every table and no row."""
    async with unfilled_database(schema, tmp_path) as opened:
        yield opened


@asynccontextmanager
async def unfilled_database(schema: URL, tmp_path: Path) -> AsyncIterator[Database]:
    """The same for a fixture on another event loop than the test's own."""
    if schema.get_backend_name() == "sqlite":
        path = tmp_path / "hermes.db"
        shutil.copyfile(str(schema.database), path)
        opened = Database(f"sqlite+aiosqlite:///{path}")
    else:
        opened = Database(schema.render_as_string(hide_password=False))
        await _empty(opened)
    yield opened
    await opened.close()


@pytest.fixture
async def empty_database(tmp_path: Path) -> AsyncIterator[Database]:
    """A database without any table."""
    if DATABASE_URL is None:
        opened = Database(f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}")
        yield opened
        await opened.close()
        return
    url = await _create_mysql(DATABASE_URL)
    opened = Database(url.render_as_string(hide_password=False))
    yield opened
    await opened.close()
    await _drop_mysql(DATABASE_URL, url)


async def _make_schema(url: URL) -> None:
    database = Database(url.render_as_string(hide_password=False))
    metadata = load_models()
    try:
        if _has_migrations():
            await migrate(database)
        else:
            async with database.engine.begin() as connection:
                await connection.run_sync(metadata.create_all)
    finally:
        await database.close()


def _has_migrations() -> bool:
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    return bool(ScriptDirectory.from_config(config).get_heads())


async def _empty(database: Database) -> None:
    metadata: MetaData = load_models()
    async with database.session() as session:
        await session.execute(text("SET FOREIGN_KEY_CHECKS = 0"))
        for table in metadata.sorted_tables:
            await session.execute(delete(table))
        await session.execute(text("SET FOREIGN_KEY_CHECKS = 1"))


async def _create_mysql(given: str) -> URL:
    url = make_url(given).set(database=f"hermes_test_{os.getpid()}_{uuid4().hex[:8]}")
    await _on_server(given, f"CREATE DATABASE {url.database}")
    return url


async def _drop_mysql(given: str, url: URL) -> None:
    await _on_server(given, f"DROP DATABASE {url.database}")


async def _on_server(given: str, statement: str) -> None:
    server = Database(given, pool_size=1)
    async with server.engine.begin() as connection:
        await connection.exec_driver_sql(statement)
    await server.close()
