"""What SQLite and MySQL must do alike: times, text, JSON, duplicates, claims and transactions."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, ForeignKey, MetaData, Table, func, insert, select, update
from sqlalchemy.exc import IntegrityError, StatementError

from hermes.storage.sql import (
    BigId,
    Database,
    Json,
    UtcDateTime,
    exact_string,
    id_string,
    insert_ignore,
    insert_once,
    long_text,
    rows_matched,
)

pytestmark = pytest.mark.storage

metadata = MetaData()
things = Table(
    "test_things",
    metadata,
    Column("id", id_string(), primary_key=True),
    Column("name", exact_string(255), unique=True),
    Column("at", UtcDateTime()),
    Column("data", Json),
    Column("note", long_text()),
)
counters = Table(
    "test_counters", metadata, Column("id", BigId, primary_key=True), Column("value", BigId, nullable=False)
)
parts = Table(
    "test_parts",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("thing_id", ForeignKey("test_things.id", ondelete="CASCADE"), nullable=False),
)


@pytest.fixture
async def db(empty_database: Database) -> Database:
    async with empty_database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    return empty_database


async def _put(db: Database, **values: Any) -> None:
    async with db.session() as session:
        await session.execute(insert(things).values(**values))


async def _get(db: Database, column: Column[Any], **where: Any) -> list[Any]:
    async with db.reading() as session:
        found = await session.scalars(select(column).filter_by(**where))
        return list(found)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC),
        datetime(2026, 11, 20, 12, 0, 0, 999999, tzinfo=timezone(timedelta(hours=5, minutes=45))),
        datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=-11))),
    ],
)
async def test_a_moment_comes_back_as_the_same_moment_in_utc(db: Database, moment: datetime) -> None:
    await _put(db, id="a", at=moment)
    (back,) = await _get(db, things.c.at, id="a")
    assert back == moment
    assert back.utcoffset() == timedelta(0)
    async with db.reading() as session:
        later = await session.scalar(select(things.c.id).where(things.c.at > moment - timedelta(microseconds=1)))
    assert later == "a"


async def test_a_naive_moment_is_refused(db: Database) -> None:
    with pytest.raises(StatementError, match="aware"):
        await _put(db, id="a", at=datetime(2026, 1, 1))  # noqa: DTZ001  (naive on purpose)


async def test_text_and_ids_match_byte_for_byte(db: Database) -> None:
    await _put(db, id="Abc", name="Zoë")
    await _put(db, id="abc", name="zoe")
    await _put(db, id="ABC", name="ZOE")
    assert await _get(db, things.c.name, id="abc") == ["zoe"]
    assert await _get(db, things.c.id, name="Zoë") == ["Abc"]
    assert await _get(db, things.c.id, name="zoë") == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text("aü😀'\"\\", max_size=5), inner, max_size=3)
        ),
    ).filter(lambda data: data is not None)
)
async def test_json_and_long_text_come_back(db: Database, data: Any) -> None:
    async with db.session() as session:
        await session.execute(things.delete())
        await session.execute(insert(things).values(id="a", data=data, note="ü😀" * 1000))
    assert await _get(db, things.c.data) == [data]
    assert await _get(db, things.c.note) == ["ü😀" * 1000]


async def test_json_is_found_by_a_key_that_is_not_ascii(db: Database) -> None:
    await _put(db, id="a", data={"größe": "groß"})
    async with db.reading() as session:
        found = await session.scalar(select(things.c.id).where(things.c.data["größe"].as_string() == "groß"))
    assert found == "a"


async def test_a_snapshot_is_of_one_moment_and_leaves_its_connection_as_it_was(db: Database) -> None:
    count = select(func.count()).select_from(things)
    async with db.snapshot() as session:
        assert await session.scalar(count) == 0
        await _put(db, id="a")
        assert await session.scalar(count) == 0
    async with db.session() as session:
        assert await session.scalar(count) == 1
        if db.dialect == "mysql":
            assert await (await session.connection()).get_isolation_level() == "READ COMMITTED"


async def test_a_new_database_is_opened_by_many_at_once(tmp_path: Path) -> None:
    for number in range(20):
        opened = [Database(f"sqlite+aiosqlite:///{tmp_path / str(number)}.db") for _ in range(4)]
        await asyncio.gather(*(db.ping() for db in opened))
        await asyncio.gather(*(db.close() for db in opened))


async def test_a_connection_that_is_given_up_within_a_query_does_not_keep_others_from_writing(tmp_path: Path) -> None:
    db = Database(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    async with db.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    async with db.engine.connect() as given_up:
        await given_up.begin()
        driver: Any = (await given_up.get_raw_connection()).driver_connection
        rows = await driver.execute("SELECT 1 UNION SELECT 2")
        await given_up.invalidate()
    async with asyncio.timeout(5):
        await _put(db, id="a")
    assert rows is not None, "as an error keeps it"
    await db.close()


async def test_insert_ignore_leaves_the_row_that_is_there(db: Database) -> None:
    async with db.session() as session:
        await session.execute(insert_ignore(things).values(id="a", name="first"))
        await session.execute(insert_ignore(things).values(id="a", name="second"))
        await session.execute(insert_ignore(things).values(id="b", name="first"))
        await session.execute(insert_ignore(things), [{"id": "a", "name": "third"}, {"id": "c", "name": "c"}])
        await session.execute(insert_ignore(things).values([{"id": "c", "name": "x"}, {"id": "d", "name": "d"}]))
    async with db.reading() as session:
        rows = (await session.execute(select(things.c.id, things.c.name).order_by(things.c.id))).all()
    assert [tuple(row) for row in rows] == [("a", "first"), ("c", "c"), ("d", "d")]


async def test_insert_ignore_does_not_ignore_what_is_no_duplicate(db: Database) -> None:
    for values in ({"id": 1, "thing_id": "nobody"}, {"id": 1, "thing_id": None}):
        with pytest.raises(IntegrityError):
            async with db.session() as session:
                await session.execute(insert_ignore(parts).values(**values))


async def test_an_error_says_nothing_of_what_was_to_be_stored(db: Database) -> None:
    await _put(db, id="a", note="first")
    with pytest.raises(IntegrityError) as raised:
        await _put(db, id="a", note="what nobody but its owner may read")
    assert "owner" not in str(raised.value)


async def test_insert_once_says_whether_the_row_is_new(db: Database) -> None:
    async with db.session() as session:
        assert await insert_once(session, things, id="a", name="n")
        assert not await insert_once(session, things, id="a", name="other")
        assert not await insert_once(session, things, id="b", name="n")
        assert await insert_once(session, things, id="c", name="c")
    assert sorted(await _get(db, things.c.id)) == ["a", "c"]
    with pytest.raises(IntegrityError):
        async with db.session() as session:
            await insert_once(session, parts, id=1, thing_id="nobody")


async def test_a_block_that_raises_leaves_nothing(db: Database) -> None:
    async def fail() -> None:
        async with db.session() as session:
            await session.execute(insert(things).values(id="a"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await _get(db, things.c.id) == []


async def test_writers_at_once_lose_no_update(db: Database) -> None:
    async with db.session() as session:
        await session.execute(insert(counters).values(id=1, value=0))

    async def add() -> None:
        async with db.session() as session:
            row = await session.execute(select(counters.c.value).where(counters.c.id == 1).with_for_update())
            await session.execute(update(counters).where(counters.c.id == 1).values(value=row.scalar_one() + 1))

    await asyncio.gather(*(add() for _ in range(40)))
    async with db.reading() as session:
        assert await session.scalar(select(counters.c.value)) == 40


async def test_a_row_is_claimed_by_one(db: Database) -> None:
    await _put(db, id="a", name="free")

    async def claim(who: str) -> int:
        async with db.session() as session:
            claim = update(things).where(things.c.id == "a", things.c.name == "free").values(name=who)
            return await rows_matched(session, claim)

    assert sorted(await asyncio.gather(*(claim(f"w{n}") for n in range(8)))) == [0] * 7 + [1]
    (owner,) = await _get(db, things.c.name)
    async with db.session() as session:
        again = await rows_matched(session, update(things).where(things.c.id == "a").values(name=owner))
    assert again == 1, "rows matched are counted, not rows changed"


async def test_readers_do_not_wait_for_a_writer_nor_see_its_work(db: Database) -> None:
    async with db.session() as session:
        await session.execute(insert(things).values(id="a"))
        assert await asyncio.wait_for(_get(db, things.c.id), 5) == []
    assert await _get(db, things.c.id) == ["a"]


async def test_foreign_keys_hold(db: Database) -> None:
    await _put(db, id="a")
    async with db.session() as session:
        await session.execute(insert(parts).values(thing_id="a"))
        await session.execute(things.delete().where(things.c.id == "a"))
    async with db.reading() as session:
        assert (await session.scalars(select(parts.c.id))).all() == []


async def test_ping_answers(db: Database) -> None:
    await db.ping()


@pytest.mark.parametrize("url", ["postgresql://x/y", "redis://localhost"])
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite\\+aiosqlite"):
        Database(url)
