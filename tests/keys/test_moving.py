"""Everything that is sealed moves between local keys and data keys, also when the move is killed, and is proven."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from conftest import RedisServer
from forked import Forked
from hermes.connections.key_check import WrongKeyError, verify_key_check
from hermes.connections.models import ConnectionRow
from hermes.connections.names import key_name
from hermes.connections.store import CredentialStore
from hermes.crypto import Key, Keyring, key_id_of, parse_key
from hermes.events.models import MailRow
from hermes.gateway.models import ApprovalRow, CallStepRow, LongCallRow
from hermes.identity.models import Customer, SecondFactor
from hermes.keys.seals import Report
from hermes.keys.service import Keys
from hermes.media.models import MediaRow
from hermes.rekeying import SEALS, check_all, move_all
from hermes.storage.redis import Redis
from hermes.storage.schema import load_models
from hermes.storage.sql import Database
from keys import rotate_process
from keys.conftest import LOCAL, Kms, change, data_keys

pytestmark = pytest.mark.storage

CUSTOMERS = [f"cus_{number:02}" for number in range(30)]
CREDENTIALS = [(customer, "telegram", label) for customer in CUSTOMERS for label in ("default", "work")]
STALE_SECONDS = 15
"""So long at most a copy in Redis outlives a change that was announced and not finished."""
EACH = 3
"""Values of each further kind."""


def quiet(_what: str) -> Any:
    return lambda _done, _total: None


def rows_of(keyring: Keyring) -> Iterable[tuple[Any, dict[str, Any]]]:
    """Rows of everything that is sealed beside credentials."""
    now = datetime.now(UTC)
    by_name = {seal.sealed: seal for seal in SEALS}

    def sealed(column: Any, **row: Any) -> dict[str, Any]:
        seal = by_name[column]
        name = seal.name(type("Row", (), row))
        return {**row, column.key: keyring.seal(f"plain {name}".encode(), name)}

    for number in range(EACH):
        whose = {"customer_id": CUSTOMERS[number]}
        yield (
            SecondFactor,
            sealed(SecondFactor.sealed_secret, **whose) | {"confirmed_at": now, "last_step": 0, "created_at": now},
        )
        times = {"next_try_at": now, "created_at": now, "finished_at": None}
        yield MailRow, sealed(MailRow.sealed, id=f"mail_{number}") | times | {
            "kind": "k", "state": "waiting", "tries": 0
        }  # fmt: skip
        yield MediaRow, sealed(MediaRow.sealed_key, id=f"media_{number}", **whose) | {
            "filename": "a", "content_type": "b", "size": 1, "sha256": "c", "created_at": now, "expires_at": now
        }  # fmt: skip
        call = {"id": f"call_{number}", **whose}
        yield LongCallRow, sealed(LongCallRow.sealed_arguments, **call) | sealed(LongCallRow.sealed_outcome, **call) | {
            "tool": "t", "account": "a", "caller": {}, "record": {}, "publish_state": "done", "cancel_requested": False,
            "attempts": 1, "claimed_until": now, "created_at": now, "updated_at": now, "finished_at": None,
        }  # fmt: skip
        waits = {"id": f"apr_{number}", **whose}
        waits = sealed(ApprovalRow.sealed_arguments, **waits) | sealed(ApprovalRow.sealed_result, **waits)
        yield ApprovalRow, waits | {
            "call_id": "c", "tool": "t", "platform": "p", "account": "a", "digest": "d", "open_key": None, "caller": {},
            "key_id": "k", "status": "done", "created_at": now, "expires_at": now,
        }  # fmt: skip
        step = {"call_id": f"call_{number}", "at": now, **whose}
        kept = {"name": "ask:who", "state": "asked"} if number else {"name": "upload", "state": "done"}
        yield CallStepRow, sealed(CallStepRow.sealed_result, **step, **kept)


async def fill(database: Database, redis: Redis, keyring: Keyring) -> None:
    await verify_key_check(database, keyring)
    now = datetime.now(UTC)
    async with database.session() as session:
        for number, account in enumerate(CREDENTIALS):
            sealed = keyring.seal(repr(account).encode(), key_name(*account))
            session.add(
                ConnectionRow(
                    id=f"con_{number:03}", customer_id=account[0], platform=account[1], label=account[2], version=1,
                    status="connected", scopes=[], ciphertext=sealed, key_id=keyring.current_id, created_at=now,
                    updated_at=now,
                )
            )  # fmt: skip
        for one in CUSTOMERS[:EACH]:
            mail = f"{one}@example.com"
            session.add(
                Customer(
                    id=one, email=mail, email_key=mail, plan="free", role="customer", status="active", version=1,
                    password_hash=None, created_at=now,
                )
            )  # fmt: skip
        await session.flush()
        for model, values in rows_of(keyring):
            await session.execute(insert(model).values(**values))
        sent = {"tries": 1, "next_try_at": now, "created_at": now, "finished_at": now}
        await session.execute(insert(MailRow).values(id="mail_sent", kind="k", sealed="", state="sent", **sent))
    for account in CREDENTIALS[:5]:
        await CredentialStore(database, redis, keyring).load(*account)


async def assert_all_under(database: Database, redis: Redis, key: Key) -> None:
    """Everything opens with this key alone, to what it was at first."""
    alone = Keyring(key)
    reports = await check_all(database, redis, alone, quiet)
    assert [report.unreadable for report in reports] == [[]] * len(reports)
    assert reports[0].keys == {key.id: len(CREDENTIALS)}
    assert {report.what: report.keys for report in reports[1:]} == {seal.what: {key.id: EACH} for seal in SEALS}
    for seal in SEALS:
        async with database.reading() as session:
            for row in (await session.execute(select(seal.id, seal.sealed, *seal.reads))).all():
                if row[1]:
                    assert alone.open(row[1], seal.name(row)).decode() == f"plain {seal.name(row)}"
    for account in CREDENTIALS:
        store = CredentialStore(database, redis, alone)
        sealed = await redis.get(key_name(*account)) or await store.load(*account)
        assert alone.open(str(sealed), key_name(*account)) == repr(account).encode()
    await verify_key_check(database, alone)


async def rotate(database: Database, redis: Redis, keys: Keys) -> list[Report]:
    """As `hermes keys rotate` does once every server knows the new key."""
    for row in await data_keys(database):
        await change(database, row.id, created_at=row.created_at - timedelta(minutes=5))
    await keys.activate()
    reports = await move_all(database, redis, keys.keyring, quiet)
    assert all(report.complete for report in reports)
    await keys.retire_others()
    return reports


def test_every_sealed_column_is_moved_and_checked() -> None:
    columns = {
        f"{table.name}.{column.name}"
        for table in load_models().tables.values()
        for column in table.columns
        if column.name.startswith("sealed") or column.name == "ciphertext"
    }
    listed = {f"{seal.id.class_.__tablename__}.{seal.sealed.key}" for seal in SEALS}
    elsewhere = {"connections.ciphertext", "key_check.sealed", "oauth_refresh_tokens.sealed_successor"}
    assert columns == listed | elsewhere, "declare a Seal; successors of refresh tokens live for half a minute"


async def test_everything_moves_to_a_kms_to_a_new_data_key_and_back(kms: Kms, database: Database, redis: Redis) -> None:
    local = Key(parse_key(LOCAL))
    await fill(database, redis, Keyring(local))
    first = await kms.generate(database)
    keys = await kms.open(database, CREDENTIAL_ENCRYPTION_KEY=LOCAL)
    reports = await rotate(database, redis, keys)
    assert [report.done for report in reports] == [len(CREDENTIALS), *[EACH] * len(SEALS)]
    assert [report.done for report in await rotate(database, redis, keys)] == [0] * len(reports)
    [row] = await data_keys(database)
    await assert_all_under(database, redis, Key(kms.plain(row), first.id))
    without_local = await kms.open(database)
    await verify_key_check(database, without_local.keyring)

    second = await kms.generate(database)
    keys = await kms.open(database)
    await rotate(database, redis, keys)
    _, row = await data_keys(database)
    await assert_all_under(database, redis, Key(kms.plain(row), second.id))
    retired = {row.id: row.retired_at is not None for row in await data_keys(database)}
    assert retired == {first.id: True, second.id: False}

    keys = await kms.open(database, "local", CREDENTIAL_ENCRYPTION_KEY=LOCAL)
    await rotate(database, redis, keys)
    await assert_all_under(database, redis, local)
    alone = await kms.open(database, "local", CREDENTIAL_ENCRYPTION_KEY=LOCAL, AWS_KMS_KEY_ID="")
    assert alone.keyring.key_ids == (local.id,)


async def test_a_server_that_lacks_the_data_key_of_what_is_stored_does_not_start(
    kms: Kms, database: Database, redis: Redis
) -> None:
    await fill(database, redis, Keyring(parse_key(LOCAL)))
    made = await kms.generate(database)
    await rotate(database, redis, await kms.open(database, CREDENTIAL_ENCRYPTION_KEY=LOCAL))
    with pytest.raises(WrongKeyError, match=f"{made.id}.*data_keys"):
        await verify_key_check(database, Keyring(parse_key(LOCAL)))


@pytest.mark.parametrize(("point", "count"), rotate_process.POINTS)
async def test_a_move_that_is_killed_goes_on_where_it_was_and_loses_nothing(
    kms: Kms, database: Database, redis: Redis, valkey: RedisServer, point: str, count: int
) -> None:
    local = Key(parse_key(LOCAL))
    await fill(database, redis, Keyring(local))
    made = await kms.generate(database)
    environ = kms.environ(CREDENTIAL_ENCRYPTION_KEY=LOCAL)
    url = database.url.render_as_string(hide_password=False)
    process = Forked(rotate_process.main, point, count, environ, url, valkey.url)
    assert await asyncio.to_thread(process.wait, 60) == -signal.SIGKILL
    keys = await kms.open(database, CREDENTIAL_ENCRYPTION_KEY=LOCAL)
    halfway = await check_all(database, redis, keys.keyring, quiet)
    assert all(report.complete for report in halfway), "both keys together open everything at any moment"
    moved = [report.keys.get(made.id, 0) for report in halfway]
    again = await rotate(database, redis, keys)
    for report, before, total in zip(again, moved, [len(CREDENTIALS), *[EACH] * len(SEALS)], strict=True):
        assert report.done == total - before, "only what was left"
    for name in [key_name(*account) for account in CREDENTIALS]:
        if 0 < await redis.ttl(name) <= STALE_SECONDS:
            await redis.delete(name)
    [row] = await data_keys(database)
    await assert_all_under(database, redis, Key(kms.plain(row), made.id))


async def test_what_changes_meanwhile_wins_over_the_move(kms: Kms, database: Database, redis: Redis) -> None:
    keyring = Keyring(parse_key(LOCAL))
    await fill(database, redis, keyring)
    await kms.generate(database)
    keys = await kms.open(database, CREDENTIAL_ENCRYPTION_KEY=LOCAL)
    newer = keyring.seal(b"newer", f"second_factors:{CUSTOMERS[0]}")
    replaced = False

    class Between:
        """A keyring beside whose work somebody sets up another app."""

        current_id = keys.keyring.current_id

        async def open_stored(self, sealed: str, name: str) -> bytes:
            nonlocal replaced
            if name == f"second_factors:{CUSTOMERS[0]}" and not replaced:
                replaced = True
                mine = SecondFactor.customer_id == CUSTOMERS[0]
                async with database.session() as session:
                    await session.execute(update(SecondFactor).where(mine).values(sealed_secret=newer))
            return await keys.keyring.open_stored(sealed, name)

        def seal(self, plain: bytes, name: str) -> str:
            return keys.keyring.seal(plain, name)

    reports = await move_all(database, redis, Between(), quiet)  # type: ignore[arg-type]
    factors = next(report for report in reports if report.what == "second factors")
    assert (factors.done, factors.remaining) == (EACH - 1, 1)
    async with database.reading() as session:
        row = await session.get_one(SecondFactor, CUSTOMERS[0])
    assert row.sealed_secret == newer
    await rotate(database, redis, keys)
    async with database.reading() as session:
        row = await session.get_one(SecondFactor, CUSTOMERS[0])
    assert key_id_of(row.sealed_secret) == keys.keyring.current_id
    assert keys.keyring.open(row.sealed_secret, f"second_factors:{CUSTOMERS[0]}") == b"newer"


async def test_what_does_not_open_is_told_by_its_id_and_keeps_its_key_in_use(
    kms: Kms, database: Database, redis: Redis
) -> None:
    await fill(database, redis, Keyring(parse_key(LOCAL)))
    await kms.generate(database)
    keys = await kms.open(database, CREDENTIAL_ENCRYPTION_KEY=LOCAL)
    async with database.session() as session:
        wrong = (ConnectionRow.customer_id == CUSTOMERS[5], ConnectionRow.label == "work")
        connection_id = (await session.scalars(select(ConnectionRow.id).where(*wrong))).one()
        foreign = Keyring(b"x" * 32).seal(b"?", "elsewhere")
        await session.execute(update(ConnectionRow).where(*wrong).values(ciphertext=foreign))
        await session.execute(
            update(MediaRow).where(MediaRow.id == "media_1").values(sealed_key="k1" + "0" * 12 + ".00")
        )
    reports = await move_all(database, redis, keys.keyring, quiet)
    by_what = {report.what: report for report in reports}
    assert [item.id for item in by_what["credentials"].unreadable] == [connection_id]
    assert [(item.id, "unknown key" in item.reason) for item in by_what["keys of kept files"].unreadable] == [
        ("media_1", True)
    ]
    with pytest.raises(WrongKeyError):
        await verify_key_check(database, Keyring(Key(bytes(32))))
    await verify_key_check(database, Keyring(parse_key(LOCAL), [keys.keyring._current]))
