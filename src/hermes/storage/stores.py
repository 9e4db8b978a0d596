"""The one door to the stores: the embedded ones in the data folder, or the servers that the settings name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final

from pydantic import SecretStr
from redis.exceptions import RedisError
from sqlalchemy.exc import ArgumentError

from hermes.settings import Settings, SettingsError
from hermes.storage.data_folder import DataFolder, DataFolderError, DataFolderInUseError, Holder
from hermes.storage.embedded import EmbeddedValkey, socket_url
from hermes.storage.redis import Redis, connect_redis, refuse_eviction
from hermes.storage.revisions import MigrationError, require_newest_schema
from hermes.storage.sql import Database

_WAIT_SECONDS: Final = 30.0
_LOOK_EVERY: Final = 0.05


@dataclass(frozen=True)
class Stores:
    """What is open. `data_folder` is None with servers of one's own; `embedded` is the Valkey that this process runs
    (None when another process of the same data folder does)."""

    database: Database
    redis: Redis = field(repr=False)
    redis_url: str = field(repr=False)
    """For clients that connect by themselves: the job queue, blocking readers."""
    data_folder: DataFolder | None = None
    embedded: EmbeddedValkey | None = None


@asynccontextmanager
async def open_stores(
    settings: Settings, *, holder: Holder = "command", pool_size: int = 8, redis_connections: int = 64
) -> AsyncIterator[Stores]:
    """Open the database and Redis for as long as the block lasts.

    In the embedded default the first process takes the data folder, starts its Valkey and brings the database to the
    newest schema. A command (or a worker process of the server) that finds a server there uses its Valkey; one that
    finds another command waits for it to end. A server that finds a server is refused.

    Args:
        settings: `DATABASE_URL` and `REDIS_URL` both set, or neither.
        holder: `server` for `hermes serve`'s main process, `command` for everything else.
        pool_size: connections to the database.
        redis_connections: connections to Redis.

    Raises:
        SettingsError: only one of the two URLs is set, or one is malformed.
        DataFolderInUseError: another hermes has the data folder; names its pid.
        DataFolderError: the data folder or its Valkey cannot be used.
        EvictingRedisError: Redis may drop keys.
        RedisError: Redis cannot be reached.
    """
    async with AsyncExitStack() as stack:
        folder: DataFolder | None = None
        embedded: EmbeddedValkey | None = None
        if settings.embedded:
            folder = DataFolder(settings.data_dir)
            embedded, redis_url = await _open_folder(folder, holder, stack)
            database_url = folder.database_url
        else:
            database_url, redis_url = _given(settings)
        database = _database(database_url, pool_size)
        stack.push_async_callback(database.close)
        redis = _redis(redis_url, redis_connections)
        stack.push_async_callback(redis.aclose)
        await refuse_eviction(redis)
        if embedded is not None:
            await _migrate_if_older(database)
        yield Stores(database, redis, redis_url, folder, embedded)


async def _migrate_if_older(database: Database) -> None:
    try:
        await require_newest_schema(database)
    except MigrationError:
        from hermes.storage.migrate import migrate  # noqa: PLC0415  (slow and large, and few processes need it)

        await migrate(database)


async def _open_folder(folder: DataFolder, holder: Holder, stack: AsyncExitStack) -> tuple[EmbeddedValkey | None, str]:
    deadline = monotonic() + _WAIT_SECONDS
    while True:
        try:
            folder.acquire(holder)
        except DataFolderInUseError as in_use:
            running = None if holder == "server" or in_use.holder != "server" else await _running_valkey(folder)
            if running is not None:
                return None, running
            if (holder, in_use.holder) == ("server", "server") or monotonic() > deadline:
                raise
            await asyncio.sleep(_LOOK_EVERY)  # a lock of another process can only be looked at
        else:
            stack.callback(folder.release)
            embedded = EmbeddedValkey(folder)
            stack.push_async_callback(embedded.stop)
            await embedded.start()
            return embedded, embedded.url


async def _running_valkey(folder: DataFolder) -> str | None:
    socket = folder.published_socket()
    if socket is None:
        return None
    redis = connect_redis(socket_url(socket), max_connections=1)
    try:
        await redis.ping()
    except RedisError:
        return None
    finally:
        await redis.aclose()
    return socket_url(socket)


def _given(settings: Settings) -> tuple[str, str]:
    return _url(settings.database_url, "DATABASE_URL", "REDIS_URL"), _url(
        settings.redis_url, "REDIS_URL", "DATABASE_URL"
    )


def _url(value: SecretStr | None, name: str, other: str) -> str:
    if value is None:
        example = (Settings.model_fields[name.lower()].examples or ["…"])[0]
        raise SettingsError(
            f"{name} is missing: {other} is set, and either both or neither must be (example: {name}={example})"
        )
    return value.get_secret_value()


def _database(url: str, pool_size: int) -> Database:
    try:
        database = Database(url, pool_size=pool_size)
    except (ValueError, ArgumentError, ImportError):  # their own message may quote the URL with its password
        raise SettingsError(
            "DATABASE_URL is malformed (example: DATABASE_URL=mysql+asyncmy://hermes:secret@db/hermes)"
        ) from None
    file = database.url.database
    if database.dialect == "sqlite" and file and not Path(file).parent.is_dir():
        raise SettingsError(f"DATABASE_URL names {file}, and there is no such folder; make it first.")
    return database


def _redis(url: str, connections: int) -> Redis:
    try:
        return connect_redis(url, max_connections=connections)
    except ValueError:
        raise SettingsError("REDIS_URL is malformed (example: REDIS_URL=redis://:secret@redis:6379/0)") from None


__all__ = ["DataFolderError", "DataFolderInUseError", "Stores", "open_stores"]
