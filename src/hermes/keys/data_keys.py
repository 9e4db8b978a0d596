"""Data keys in their table: made, read, unwrapped; and the keyring that a process begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import select

from hermes.crypto import Key, Keyring, local_keys, new_wrapped_key_id
from hermes.keys.models import DataKeyRow
from hermes.keys.wrapping import CannotUnwrap, KeyWrapping
from hermes.settings import Settings, SettingsError
from hermes.storage.sql import Database

_LOADED_AFTER_RETIREMENT: Final = timedelta(days=2)
"""What is sealed for a short while (first answers, tokens on their way) is gone by then."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DataKey:
    """What may be shown of a data key.

    Attributes:
        active: whether it may seal; else it waits for `hermes keys rotate`.
    """

    id: str
    provider: str
    wrapped_by: str
    active: bool


async def make_data_key(database: Database, wrapping: KeyWrapping) -> DataKey:
    """Make a data key and store it wrapped. The first one may seal at once; a later one waits until it is activated.

    Raises:
        CannotUnwrap: the KMS gives no key.
    """
    key_id = new_wrapped_key_id()
    made = await wrapping.make(key_id)
    now, first = datetime.now(UTC), current_of(await read_data_keys(database)) is None
    async with database.session() as session:
        session.add(
            DataKeyRow(
                id=key_id,
                provider=wrapping.provider,
                wrapped_by=made.wrapped_by,
                wrapped=made.wrapped,
                created_at=now,
                activated_at=now if first else None,
                retired_at=None,
            )
        )
    return DataKey(key_id, wrapping.provider, made.wrapped_by, active=first)


async def open_keyring(database: Database, settings: Settings, wrapping: KeyWrapping | None) -> Keyring:
    """The keys of the settings and of the table, unwrapped. Nothing is written.

    Raises:
        SettingsError: a key that is in use cannot be had; the message says which, why, and the way out.
    """
    rows = await read_data_keys(database)
    if wrapping is None:
        _require_none_in_use(rows)
        return Keyring.from_settings(settings)
    provider, current_id = settings.encryption_key_provider, current_of(rows)
    if provider != "local" and current_id is None:
        raise SettingsError(
            f"ENCRYPTION_KEY_PROVIDER={provider}, but there is no data key yet (make one with "
            f"`hermes keys generate --provider {provider}`)"
        )
    keys = await unwrapped(wrapping, rows, datetime.now(UTC))
    if provider == "local":
        keyring = Keyring.from_settings(settings)
    else:
        keyring = Keyring(next(key for key in keys if key.id == current_id), local_keys(settings))
    for key in keys:
        keyring.add(key)
    return keyring


async def read_data_keys(database: Database) -> Sequence[DataKeyRow]:
    """The data keys, the newest first."""
    query = select(DataKeyRow).order_by(DataKeyRow.created_at.desc(), DataKeyRow.id)
    async with database.reading() as session:
        return list(await session.scalars(query))


async def unwrapped(wrapping: KeyWrapping, rows: Sequence[DataKeyRow], now: datetime) -> list[Key]:
    """The keys of the rows. Those that were retired are left out when that is long ago, or when they do not open.

    Raises:
        CannotUnwrap: one that is not retired does not open.
    """
    keys = []
    for row in rows:
        if row.retired_at is not None and row.retired_at <= now - _LOADED_AFTER_RETIREMENT:
            continue
        try:
            keys.append(Key(await wrapping.unwrap(row.id, row.wrapped), row.id))
        except CannotUnwrap as error:
            if row.retired_at is None:
                raise
            log.warning("retired_data_key_does_not_open", key_id=row.id, error=str(error))
    return keys


def current_of(rows: Sequence[DataKeyRow]) -> str | None:
    """The id of the data key that was activated last, of those in use."""
    active = [(row.activated_at, row.id) for row in rows if row.activated_at is not None and row.retired_at is None]
    return max(active)[1] if active else None


def prepared_of(rows: Sequence[DataKeyRow]) -> DataKeyRow | None:
    """The newest data key (the first of the rows), if it has not sealed yet."""
    return rows[0] if rows and rows[0].activated_at is None and rows[0].retired_at is None else None


def _require_none_in_use(rows: Sequence[DataKeyRow]) -> None:
    in_use = [row.id for row in rows if row.activated_at is not None and row.retired_at is None]
    if in_use:
        raise SettingsError(
            f"AWS_KMS_KEY_ID: is missing, but data keys that a KMS wraps are in use ({', '.join(in_use)}); name the "
            "KMS's key again (example: AWS_KMS_KEY_ID=alias/hermes). Nothing was changed."
        )
