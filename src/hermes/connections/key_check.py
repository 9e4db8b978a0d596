"""The check at start: are these the keys that the stored credentials were sealed with?"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import func, select, update

from hermes.connections.models import ConnectionRow, KeyCheck
from hermes.crypto import WRAPPED_KIND, Keyring, Undecryptable, key_id_of
from hermes.settings import SettingsError
from hermes.storage.sql import Database, insert_once

_ID = "credentials"
_NAME = "key_check:credentials"
_PLAINTEXT = b"hermes seals credentials with this key"


class WrongKeyError(SettingsError):
    """The encryption keys are not those that the stored credentials were sealed with."""


async def verify_key_check(database: Database, keyring: Keyring) -> None:
    """Compare the keys with what is stored. At the very first start, the check value is made; else nothing is written.

    Raises:
        WrongKeyError: a stored value needs a key that is not here; the message names it by its id.
    """
    sealed = await _check_value(database)
    missing = await _missing_keys(database, keyring)
    for key_id in missing:
        if keyring.learn is not None:
            await keyring.learn(key_id)
    missing = [key_id for key_id in missing if key_id not in keyring.key_ids]
    if sealed is None and not missing:
        sealed = await _make_check_value(database, keyring)
    if sealed is not None and not await _opens(keyring, sealed):
        missing = sorted({*missing, key_id_of(sealed) or "(unreadable)"})
    if missing:
        raise WrongKeyError(
            f"CREDENTIAL_ENCRYPTION_KEY does not fit: stored credentials need the key with id {', '.join(missing)}, "
            f"and the keys given have the ids {', '.join(keyring.key_ids)}. Put the right key back (a former one into "
            f"CREDENTIAL_ENCRYPTION_KEYS_OLD; an id that begins with {WRAPPED_KIND} is a data key: put back the table "
            "data_keys as it was, and name its KMS key in AWS_KMS_KEY_ID); nothing was changed."
        )


async def reseal_key_check(database: Database, keyring: Keyring) -> None:
    """Seal the check value with the current key, so that the old one can go once everything else is re-encrypted."""
    sealed = await _check_value(database)
    if sealed is None or key_id_of(sealed) == keyring.current_id or not await _opens(keyring, sealed):
        return
    async with database.session() as session:
        await session.execute(
            update(KeyCheck)
            .where(KeyCheck.id == _ID, KeyCheck.sealed == sealed)
            .values(sealed=keyring.seal(_PLAINTEXT, _NAME))
        )


async def sealed_by(database: Database) -> dict[str, int]:
    """For operators: id of a key → how many stored credentials are sealed with it."""
    query = (
        select(ConnectionRow.key_id, func.count())
        .where(ConnectionRow.key_id.is_not(None))
        .group_by(ConnectionRow.key_id)
    )
    async with database.reading() as session:
        return {str(key_id): count for key_id, count in (await session.execute(query)).all()}


async def _missing_keys(database: Database, keyring: Keyring) -> list[str]:
    return sorted(set(await sealed_by(database)) - set(keyring.key_ids))


async def _check_value(database: Database) -> str | None:
    async with database.reading() as session:
        return (await session.execute(select(KeyCheck.sealed).where(KeyCheck.id == _ID))).scalar_one_or_none()


async def _make_check_value(database: Database, keyring: Keyring) -> str | None:
    sealed = keyring.seal(_PLAINTEXT, _NAME)
    async with database.session() as session:
        await insert_once(session, KeyCheck, id=_ID, sealed=sealed, created_at=datetime.now(UTC))
    return await _check_value(database)


async def _opens(keyring: Keyring, sealed: str) -> bool:
    try:
        return await keyring.open_stored(sealed, _NAME) == _PLAINTEXT
    except Undecryptable:
        return False
