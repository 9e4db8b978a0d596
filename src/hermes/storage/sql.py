"""The SQL side: the base of all tables, column types that mean the same on SQLite and MySQL/MariaDB, and the engine.

Claiming a row (a delivery, an invoice, an inbound event) is a conditional UPDATE whose row count says who got it:

    claim = update(Delivery).where(Delivery.id == id_, Delivery.claimed_until < now).values(claimed_until=until)
    if await rows_matched(session, claim) == 1: ...

`FOR UPDATE SKIP LOCKED` is silently ignored by SQLite and `UPDATE … RETURNING` does not exist on MariaDB, so neither
is used. The row count is the number of rows matched (not changed) on every backend.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal

from sqlalchemy import (
    JSON,
    BigInteger,
    CursorResult,
    DateTime,
    Delete,
    Dialect,
    Insert,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Update,
    event,
    inspect,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeDecorator, TypeEngine
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random_exponential

DialectName = Literal["sqlite", "mysql"]

_BEGIN: Final = "hermes_sqlite_begin"
_BUSY_SECONDS: Final = 10
MIGRATION_SECONDS: Final = 300
_MYSQL_DUPLICATE_KEY: Final = 1062


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware in (any zone), aware UTC out, with microseconds on every backend.

    Raises:
        ValueError: (when bound) the datetime is naive.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(mysql.DATETIME(fsp=6) if dialect.name != "sqlite" else DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  (SQLAlchemy's signature)
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime for the database must be aware, e.g. datetime.now(UTC)")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  (SQLAlchemy's signature)
        return None if value is None else value.replace(tzinfo=UTC)


def exact_string(length: int) -> String:
    """A text column that compares byte for byte everywhere (MySQL's default would ignore case and accents).

    Unique ones must stay at or below 768 characters. MySQL ignores trailing spaces in comparisons: strip before.
    """
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(exact, "mysql", "mariadb")


def id_string() -> String:
    """The type of every string id and of every column that refers to one (both sides must be of the same type)."""
    return exact_string(64)


def long_text() -> Text:
    """Text without a limit worth naming (16 MiB on MySQL), compared byte for byte."""
    exact = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return Text().with_variant(exact, "mysql", "mariadb")


BigId: Final[TypeEngine[int]] = BigInteger().with_variant(Integer, "sqlite")
"""A numeric id that counts up by itself (SQLite does so for INTEGER only)."""

Json: Final[TypeEngine[Any]] = JSON(none_as_null=True)
"""A JSON document, non-ASCII kept readable. MySQL 8 sorts keys: do not rely on their order."""


class Base(DeclarativeBase):
    """Base of all tables. `Mapped[str]` is an exact 255-character text, `Mapped[datetime]` a `UtcDateTime`,
    `Mapped[dict[str, Any]]` and `Mapped[list[Any]]` are JSON."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy reads it from the class)
        str: exact_string(255),
        datetime: UtcDateTime(),
        dict[str, Any]: Json,
        list[Any]: Json,
        list[str]: Json,
    }


class _InsertIgnore(Insert):
    inherit_cache = True


def insert_ignore(table: type[Base] | Table) -> Insert:
    """An INSERT (one row or many) that leaves rows alone whose key is already there.

    Only duplicates are ignored: a missing value or a broken foreign key still fails, as MySQL's `INSERT IGNORE`
    would not. The row count does not say whether a row was new; `insert_once` does.
    """
    return _InsertIgnore(table if isinstance(table, Table) else _table(table))


def _table(model: type[Base]) -> Table:
    table = inspect(model).local_table
    assert isinstance(table, Table)  # noqa: S101  (a declarative class is always mapped to a Table here)
    return table


@compiles(_InsertIgnore, "sqlite")
def _sqlite_insert_ignore(insert: _InsertIgnore, compiler: SQLCompiler, **kw: Any) -> str:
    rendered = compiler.visit_insert(insert, **kw)  # type: ignore[no-untyped-call]  # SQLAlchemy has no types here
    return f"{rendered} ON CONFLICT DO NOTHING"


@compiles(_InsertIgnore, "mysql", "mariadb")
def _mysql_insert_ignore(insert: _InsertIgnore, compiler: SQLCompiler, **kw: Any) -> str:
    table = insert.table
    assert isinstance(table, Table)  # noqa: S101  (insert_ignore makes it so)
    key = compiler.preparer.format_column(next(iter(table.primary_key.columns)))
    rendered = compiler.visit_insert(insert, **kw)  # type: ignore[no-untyped-call]  # SQLAlchemy has no types here
    return f"{rendered} ON DUPLICATE KEY UPDATE {key} = {key}"


async def insert_once(session: AsyncSession, table: type[Base] | Table, **values: Any) -> bool:
    """Insert one row unless its key is taken; true if it was inserted. The transaction stays usable either way.

    Raises:
        IntegrityError: something other than a duplicate key is wrong.
    """
    insert = Insert(table if isinstance(table, Table) else _table(table)).values(**values)
    try:
        await session.execute(insert)
    except IntegrityError as error:
        if _is_duplicate(error):
            return False
        raise
    return True


async def rows_matched(session: AsyncSession, statement: Update | Delete) -> int:
    """Run an UPDATE or DELETE and return how many rows its WHERE matched: the way to claim a row (see above)."""
    result = await session.execute(statement)
    assert isinstance(result, CursorResult)  # noqa: S101  (it is for these two)
    return result.rowcount


def _is_duplicate(error: IntegrityError) -> bool:
    cause = error.orig
    name = getattr(cause, "sqlite_errorname", None) or _driver_error_name(cause)
    return name in ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", _MYSQL_DUPLICATE_KEY)


def _driver_error_name(cause: BaseException | None) -> Any:
    driver = getattr(cause, "__cause__", None)
    args = getattr(cause, "args", ()) or ()
    return getattr(driver, "sqlite_errorname", None) or (args[0] if args else None)


class Database:
    """The engine and its sessions.

    `session()` is one transaction that may write; `reading()` one that only reads and, on SQLite, never waits for a
    writer; `snapshot()` reads several times at one moment. On SQLite writers of one process queue up in memory, because
    SQLite's own waiting is unfair and slow.
    """

    def __init__(self, url: str, *, pool_size: int = 8, migrating: bool = False) -> None:
        """Prepare the engine; nothing is connected yet.

        Args:
            url: `sqlite+aiosqlite:///path` or `mysql+asyncmy://user:password@host/name`.
            pool_size: connections held at most.
            migrating: wait longer for other writers, and let SQLite rebuild tables that others refer to.

        Raises:
            ValueError: the URL is of another kind.
        """
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            self.dialect: DialectName = "sqlite"
            self.engine = _sqlite_engine(parsed, pool_size, migrating)
        elif parsed.get_backend_name() in ("mysql", "mariadb"):
            self.dialect = "mysql"
            self.engine = _mysql_engine(parsed, pool_size)
        else:
            raise ValueError("the database must be sqlite+aiosqlite:///… or mysql+asyncmy://…")
        self.url = parsed
        self._write_lock = asyncio.Lock() if self.dialect == "sqlite" else None
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._reading = async_sessionmaker(
            self.engine.execution_options(**{_BEGIN: "BEGIN"}), expire_on_commit=False, autoflush=False
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Do not open a second one inside: on SQLite it would wait for the first. Call no platform inside either.

        Raises:
            TimeoutError: on SQLite, no turn to write came within ten seconds.
        """
        async with self._turn_to_write(), self._sessions.begin() as session:
            yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A statement that reads; nothing is committed. A second one may see what was committed since the first."""
        async with self._reading() as session:
            yield session

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncSession]:
        """Statements that read, all as of the moment of the first.

        On MySQL it costs two more round trips than `reading` (REPEATABLE READ is set and taken back).
        """
        async with self._reading() as session:
            if self.dialect == "mysql":
                await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    @asynccontextmanager
    async def _turn_to_write(self) -> AsyncIterator[None]:
        if self._write_lock is None:
            yield
            return
        async with asyncio.timeout(_BUSY_SECONDS):
            await self._write_lock.acquire()
        try:
            yield
        finally:
            self._write_lock.release()

    async def ping(self) -> None:
        """Ask the database for an answer.

        Raises:
            SQLAlchemyError: it does not give one.
        """
        async with self.reading() as session:
            await session.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


_json_dumps = partial(json.dumps, ensure_ascii=False)


def _is_busy(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")


class _SqliteConnection(sqlite3.Connection):
    """Keeps a write-ahead log, and ends its transaction when it is closed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._keep_log()

    # Of several that turn a new database's log on at once, all but one are told at once that it is busy: SQLite waits
    # for nobody there (https://sqlite.org/c3ref/busy_handler.html). This runs in the connection's own thread.
    @retry(
        retry=retry_if_exception(_is_busy),
        wait=wait_random_exponential(0.01, max=0.2),
        stop=stop_after_delay(_BUSY_SECONDS),
        reraise=True,
    )
    def _keep_log(self) -> None:
        self.execute("PRAGMA journal_mode = WAL").fetchone()

    def close(self) -> None:
        """Roll back, and close.

        SQLite itself ends the transaction only once no statement is left (https://sqlite.org/c3ref/close.html), and
        what was cancelled between a query and its rows may be kept by its error: nobody else could write until then.
        """
        with suppress(sqlite3.ProgrammingError):  # it is closed already
            self.rollback()
        super().close()


def _sqlite_engine(url: URL, pool_size: int, migrating: bool) -> AsyncEngine:
    engine = create_async_engine(
        url,
        json_serializer=_json_dumps,
        hide_parameters=True,  # an error's text goes to the log; what was to be stored does not
        connect_args={"factory": _SqliteConnection},
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_BUSY_SECONDS,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions: the listener below does
        cursor = connection.cursor()
        for pragma in (
            "synchronous = FULL",
            f"foreign_keys = {'OFF' if migrating else 'ON'}",
            f"busy_timeout = {(MIGRATION_SECONDS if migrating else _BUSY_SECONDS) * 1000}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # a transaction that reads first and then writes cannot wait for another writer (SQLITE_BUSY at once):
        # whoever may write takes the write lock at the start
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN IMMEDIATE"))

    return engine


def _mysql_engine(url: URL, pool_size: int) -> AsyncEngine:
    return create_async_engine(
        url,
        json_serializer=_json_dumps,
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_recycle=300,  # instead of a ping before each use, which would cost every call a round trip
        pool_use_lifo=True,
        connect_args={"charset": "utf8mb4", "init_command": "SET time_zone = '+00:00'"},
    )
