"""Re-encrypting every credential with the current key, while the gateway serves.

What is left to do is what stands in the rows themselves (`key_id`), so a rotation that was stopped goes on where it
was. Each row is changed only if it still has the version that was read: a credential that is linked meanwhile is newer
than what was re-encrypted, and wins. Other sealed values (first answers of idempotency keys, keys of kept media, what
long calls have done and given) are not rotated: they are gone a day after they were of use, so an old key stays in
CREDENTIAL_ENCRYPTION_KEYS_OLD for two days.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from redis.asyncio import Redis
from sqlalchemy import CursorResult, func, select, update

from hermes.connections.key_check import reseal_key_check
from hermes.connections.models import USABLE, ConnectionRow
from hermes.connections.names import key_name
from hermes.connections.served import ServedCredentials
from hermes.crypto import Keyring, Undecryptable
from hermes.storage.sql import Database

_BATCH = 50
_ROUNDS = 5

Progress = Callable[[int, int], None]
"""Told how many credentials are done, of how many."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A credential that does not open; it is left as it is. Its customer has to link the account again."""

    customer_id: str
    platform: str
    account: str
    reason: str


@dataclass(slots=True)
class Report:
    """What a rotation or check found.

    Attributes:
        total: credentials that were to be re-encrypted (or checked).
        done: those that were.
        remaining: those that are still under an old key although they open: changed again and again meanwhile.
        unreadable: those that do not open.
    """

    total: int = 0
    done: int = 0
    remaining: int = 0
    unreadable: list[Unreadable] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return self.remaining == 0 and not self.unreadable


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
    report = Report(total=await _count(database, stored))
    after = ""
    while batch := await _batch(database, after, stored):
        after = batch[-1].id
        copies = await redis.mget([_name(row) for row in batch])
        for row, copy in zip(batch, copies, strict=True):
            problem = _problem(keyring, row, copy)
            if problem is None:
                report.done += 1
            else:
                report.unreadable.append(problem)
        if progress is not None:
            progress(report.done + len(report.unreadable), report.total)
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
        self._report = Report()

    async def run(self) -> Report:
        self._report.total = await _count(self._database, *self._outdated)
        for _ in range(1 if self._dry_run else _ROUNDS):
            self._report.unreadable.clear()
            await self._round()
            left = await _count(self._database, *self._outdated) - len(self._report.unreadable)
            self._report.remaining = 0 if self._dry_run else max(left, 0)
            if not self._report.remaining:
                break
        if self._report.complete and not self._dry_run:
            await reseal_key_check(self._database, self._keyring)
        return self._report

    async def _round(self) -> None:
        after = ""
        while batch := await _batch(self._database, after, *self._outdated):
            after = batch[-1].id
            resealed = [(row, sealed) for row in batch if (sealed := self._reseal(row)) is not None]
            self._report.done += len(resealed) if self._dry_run else await self._write(resealed)
            if self._progress is not None:
                self._progress(self._report.done + len(self._report.unreadable), self._report.total)

    def _reseal(self, row: Any) -> str | None:
        opened = _open(self._keyring, row, row.ciphertext)
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


def _problem(keyring: Keyring, row: Any, copy: Any) -> Unreadable | None:
    opened = _open(keyring, row, row.ciphertext)
    if isinstance(opened, bytes) and copy is not None:
        opened = _open(keyring, row, copy, "the copy in Redis: ")
    return opened if isinstance(opened, Unreadable) else None


def _open(keyring: Keyring, row: Any, sealed: str, which: str = "") -> bytes | Unreadable:
    try:
        return keyring.open(sealed, _name(row))
    except Undecryptable as error:
        return Unreadable(row.customer_id, row.platform, row.label, which + error.reason)


def _name(row: Any) -> str:
    return key_name(row.customer_id, row.platform, row.label)
