"""Re-encrypting every credential with the current key, while the gateway serves.

What is left to do is what stands in the rows themselves (`key_id`), so a rotation that was stopped goes on where it
was. Each row is changed only if it still has the version that was read: a credential that is linked meanwhile is newer
than what was re-encrypted, and wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from redis.asyncio import Redis
from sqlalchemy import CursorResult, func, select, update

from hermes.connections.models import USABLE, ConnectionRow
from hermes.connections.names import key_name
from hermes.connections.served import ServedCredentials
from hermes.crypto import Keyring, Undecryptable
from hermes.keys.seals import Progress, Report, Unreadable
from hermes.storage.sql import Database

_BATCH = 50
_ROUNDS = 5

WHAT: Final = "credentials"
REMEDY: Final = (
    "put the key they were sealed with into CREDENTIAL_ENCRYPTION_KEYS_OLD (a data key: into the table data_keys), or "
    "have the customers connect those accounts again"
)


@dataclass(frozen=True, slots=True)
class UnreadableCredential(Unreadable):
    """A credential that does not open. Its customer has to link the account again."""

    customer_id: str
    platform: str
    account: str


async def rotate(
    database: Database, redis: Redis, keyring: Keyring, progress: Progress | None = None, *, dry_run: bool = False
) -> Report:
    """Re-encrypt what is not under the current key, in SQL and in Redis.

    Args:
        database: where the credentials are.
        redis: where they are served from.
        keyring: the new key as the current one, those before it as old ones.
        progress: told after each batch.
        dry_run: only see what would be done, and what does not open.

    Returns:
        What was done, and what was not.
    """
    rotation = _Rotation(database, ServedCredentials(redis), keyring, progress, dry_run=dry_run)
    return await rotation.run()


async def check(database: Database, redis: Redis, keyring: Keyring, progress: Progress | None = None) -> Report:
    """Open every stored credential, and the copy that is served of it, and report what does not. Nothing is changed."""
    stored = ConnectionRow.ciphertext.is_not(None)
    report = Report(WHAT, REMEDY, total=await _count(database, stored))
    after = ""
    while batch := await _batch(database, after, stored):
        after = batch[-1].id
        copies = await redis.mget([_name(row) for row in batch])
        for row, copy in zip(batch, copies, strict=True):
            report.count(row.ciphertext)
            problem = await _problem(keyring, row, copy)
            if problem is None:
                report.done += 1
            else:
                report.unreadable.append(problem)
        report.say(progress)
    return report


class _Rotation:
    def __init__(
        self,
        database: Database,
        served: ServedCredentials,
        keyring: Keyring,
        progress: Progress | None,
        *,
        dry_run: bool,
    ) -> None:
        self._database = database
        self._served = served
        self._keyring = keyring
        self._progress = progress
        self._dry_run = dry_run
        self._outdated = (ConnectionRow.ciphertext.is_not(None), ConnectionRow.key_id != keyring.current_id)
        self._report = Report(WHAT, REMEDY)

    async def run(self) -> Report:
        self._report.total = await _count(self._database, *self._outdated)
        for _ in range(1 if self._dry_run else _ROUNDS):
            self._report.unreadable.clear()
            await self._round()
            left = await _count(self._database, *self._outdated) - len(self._report.unreadable)
            self._report.remaining = 0 if self._dry_run else max(left, 0)
            if not self._report.remaining:
                break
        return self._report

    async def _round(self) -> None:
        after = ""
        while batch := await _batch(self._database, after, *self._outdated):
            after = batch[-1].id
            resealed = [(row, sealed) for row in batch if (sealed := await self._reseal(row)) is not None]
            self._report.done += len(resealed) if self._dry_run else await self._write(resealed)
            self._report.say(self._progress)

    async def _reseal(self, row: Any) -> str | None:
        opened = await _open(self._keyring, row, row.ciphertext)
        if isinstance(opened, Unreadable):
            self._report.unreadable.append(opened)
            return None
        return self._keyring.seal(opened, _name(row))

    async def _write(self, resealed: Sequence[tuple[Any, str]]) -> int:
        """For operators: change the rows that are still as they were read; returns how many."""
        written: list[tuple[Any, str]] = []
        async with self._database.session() as session:
            for row, sealed in resealed:
                changed = await session.execute(
                    update(ConnectionRow)
                    .where(ConnectionRow.id == row.id, ConnectionRow.version == row.version)
                    .values(ciphertext=sealed, key_id=self._keyring.current_id, version=row.version + 1)
                )
                if cast("CursorResult[Any]", changed).rowcount == 1:
                    written.append((row, sealed))
            for row, _ in written:
                await self._served.announce(_name(row), row.version + 1)
        for row, sealed in written:
            if row.status in USABLE:
                await self._served.offer(_name(row), row.version + 1, sealed)
        return len(written)


async def _batch(database: Database, after: str, *conditions: Any) -> Sequence[Any]:
    """For operators: the next credentials, whosever they are."""
    columns = (
        ConnectionRow.id,
        ConnectionRow.customer_id,
        ConnectionRow.platform,
        ConnectionRow.label,
        ConnectionRow.status,
        ConnectionRow.ciphertext,
        ConnectionRow.version,
    )
    query = select(*columns).where(ConnectionRow.id > after, *conditions).order_by(ConnectionRow.id).limit(_BATCH)
    async with database.reading() as session:
        return (await session.execute(query)).all()


async def _count(database: Database, *conditions: Any) -> int:
    """For operators: how many credentials there are, whosever they are."""
    query = select(func.count()).select_from(ConnectionRow).where(*conditions)
    async with database.reading() as session:
        return int((await session.execute(query)).scalar_one())


async def _problem(keyring: Keyring, row: Any, copy: Any) -> Unreadable | None:
    opened = await _open(keyring, row, row.ciphertext)
    if isinstance(opened, bytes) and copy is not None:
        opened = await _open(keyring, row, copy, "the copy in Redis: ")
    return opened if isinstance(opened, Unreadable) else None


async def _open(keyring: Keyring, row: Any, sealed: str, which: str = "") -> bytes | Unreadable:
    try:
        return await keyring.open_stored(sealed, _name(row))
    except Undecryptable as error:
        return UnreadableCredential(row.id, which + error.reason, row.customer_id, row.platform, row.label)


def _name(row: Any) -> str:
    return key_name(row.customer_id, row.platform, row.label)
