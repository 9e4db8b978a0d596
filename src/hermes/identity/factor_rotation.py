"""Re-encrypting the secrets of authenticator apps with the current key: part of `hermes keys rotate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select, update

from hermes.crypto import Keyring, Undecryptable, key_id_of
from hermes.identity.models import SecondFactor
from hermes.identity.second_factor import factor_name
from hermes.storage.sql import Database, rows_matched

_BATCH: Final = 100


@dataclass(slots=True)
class FactorReport:
    """What was re-encrypted, and whose secrets do not open: those customers need a recovery code."""

    done: int = 0
    unreadable: list[str] = field(default_factory=list)


async def reseal_second_factors(database: Database, keyring: Keyring, *, dry_run: bool = False) -> FactorReport:
    """For operators: re-encrypt every secret that is not under the current key. A secret that is replaced meanwhile is
    newer than what was read, and stays."""
    report, after = FactorReport(), ""
    while batch := await _batch(database, after):
        after = batch[-1].customer_id
        for row in batch:
            if key_id_of(row.sealed_secret) == keyring.current_id:
                continue
            try:
                secret = keyring.open(row.sealed_secret, factor_name(row.customer_id))
            except Undecryptable:
                report.unreadable.append(row.customer_id)
                continue
            sealed = keyring.seal(secret, factor_name(row.customer_id))
            report.done += 1 if dry_run else await _replace(row.customer_id, database, row.sealed_secret, sealed)
    return report


async def _batch(database: Database, after: str) -> list[SecondFactor]:
    """For operators: the next secrets, whosever they are."""
    query = select(SecondFactor).where(SecondFactor.customer_id > after).order_by(SecondFactor.customer_id)
    async with database.reading() as session:
        return list(await session.scalars(query.limit(_BATCH)))


async def _replace(customer_id: str, database: Database, old: str, new: str) -> int:
    same = (SecondFactor.customer_id == customer_id, SecondFactor.sealed_secret == old)
    async with database.session() as session:
        return await rows_matched(session, update(SecondFactor).where(*same).values(sealed_secret=new))
