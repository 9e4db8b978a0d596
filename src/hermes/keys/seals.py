"""Columns of sealed values: opening each value to see whether it does, and sealing each with the current key.

A room declares what it keeps sealed in SQL as a `Seal`; `hermes.rekeying` has them all. What is left to do stands in
the values themselves, so whatever was stopped goes on where it was, and a value is replaced only if it is still the
one that was read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import InstrumentedAttribute

from hermes.crypto import Keyring, Undecryptable, key_id_of
from hermes.storage.sql import Database, rows_matched

_BATCH: Final = 100

Progress = Callable[[int, int], object]
"""Told how many values are done, of how many."""


@dataclass(frozen=True, slots=True)
class Seal:
    """A column of sealed values.

    Attributes:
        what: what they are, for operators; plural.
        id: the table's primary key, which holds nothing personal.
        sealed: the column; NULL and '' are no values.
        name: a row with `id` and `reads` → the name under which its value is sealed.
        reads: further columns that the name needs.
        remedy: what to do for a value that does not open.
    """

    what: str
    id: InstrumentedAttribute[Any]
    sealed: InstrumentedAttribute[Any]
    name: Callable[[Any], str]
    remedy: str
    reads: Sequence[InstrumentedAttribute[Any]] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value that does not open; it is left as it is. Nothing here is a secret or a person's address.

    Attributes:
        id: its row's.
    """

    id: str
    reason: str


@dataclass(slots=True)
class Report:
    """What a check or a move found in one column.

    Attributes:
        what: what the values are, as in the column's `Seal`.
        remedy: what to do for one that does not open.
        total: values that were to be looked at; of a move: those under another key than the current one.
        done: those that open; of a move: those that were sealed anew (of a dry run: that would be).
        remaining: those that are still under another key although they open: changed again and again meanwhile.
        keys: key id → how many values are sealed with it; of a move: were.
        unreadable: those that do not open.
    """

    what: str
    remedy: str
    total: int = 0
    done: int = 0
    remaining: int = 0
    keys: dict[str, int] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return self.remaining == 0 and not self.unreadable

    def count(self, sealed: str) -> None:
        """Count a value under its key."""
        key_id = key_id_of(sealed)
        self.keys[key_id] = self.keys.get(key_id, 0) + 1

    def say(self, progress: Progress | None) -> None:
        """Tell how far the work is."""
        if progress is not None:
            progress(self.done + len(self.unreadable), self.total)


async def check_seal(database: Database, keyring: Keyring, seal: Seal, progress: Progress | None = None) -> Report:
    """For operators: open every value of the column, whosever it is. Nothing is changed."""
    present = _present(seal)
    report = Report(seal.what, seal.remedy, total=await _count(database, seal, *present))
    after = None
    while batch := await _batch(database, seal, after, *present):
        after = batch[-1][0]
        for row in batch:
            report.count(row[1])
            if await _opened(keyring, seal, row, report) is not None:
                report.done += 1
        report.say(progress)
    return report


async def move_seal(
    database: Database, keyring: Keyring, seal: Seal, progress: Progress | None = None, *, dry_run: bool = False
) -> Report:
    """For operators: seal every value of the column, whosever it is, with the current key. What is written meanwhile is
    newer than what was read, and stays."""
    outdated = (*_present(seal), ~seal.sealed.startswith(f"{keyring.current_id}."))
    report = Report(seal.what, seal.remedy, total=await _count(database, seal, *outdated))
    after = None
    while batch := await _batch(database, seal, after, *outdated):
        after = batch[-1][0]
        resealed = []
        for row in batch:
            report.count(row[1])
            plain = await _opened(keyring, seal, row, report)
            if plain is not None:
                resealed.append((row, keyring.seal(plain, seal.name(row))))
        report.done += len(resealed) if dry_run else await _write(database, seal, resealed)
        report.say(progress)
    if not dry_run:
        report.remaining = max(await _count(database, seal, *outdated) - len(report.unreadable), 0)
    return report


def _present(seal: Seal) -> tuple[ColumnElement[bool], ...]:
    return seal.sealed.is_not(None), seal.sealed != ""


async def _opened(keyring: Keyring, seal: Seal, row: Any, report: Report) -> bytes | None:
    try:
        return await keyring.open_stored(row[1], seal.name(row))
    except Undecryptable as error:
        report.unreadable.append(Unreadable(str(row[0]), error.reason))
        return None


async def _batch(database: Database, seal: Seal, after: Any, *conditions: ColumnElement[bool]) -> Sequence[Any]:
    """For operators: the next values, whosever they are."""
    query = select(seal.id, seal.sealed, *seal.reads).where(*conditions).order_by(seal.id).limit(_BATCH)
    if after is not None:
        query = query.where(seal.id > after)
    async with database.reading() as session:
        return (await session.execute(query)).all()


async def _count(database: Database, seal: Seal, *conditions: ColumnElement[bool]) -> int:
    """For operators: how many values there are, whosever they are."""
    async with database.reading() as session:
        return int((await session.execute(select(func.count(seal.id)).where(*conditions))).scalar_one())


async def _write(database: Database, seal: Seal, resealed: Sequence[tuple[Any, str]]) -> int:
    """For operators: change the values that are still as they were read; returns how many."""
    written = 0
    async with database.session() as session:
        for row, sealed in resealed:
            same = (seal.id == row[0], seal.sealed == row[1])
            change = update(seal.id.class_).where(*same).values({seal.sealed: sealed})
            written += await rows_matched(session, change)
    return written
