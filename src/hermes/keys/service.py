"""The keys of one process: those of the settings, and the data keys that a KMS wraps, kept up to date.

A data key is unwrapped once and then held in memory, so the KMS is asked at the start and when a new key appears,
never for a call. A new data key waits before it seals (`activate`): by then every server has read the table again and
can open what it seals. A server that meets a key id it does not know looks into the table at once (`learn`).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from hermes.cancellation import cancel
from hermes.crypto import WRAPPED_KIND, Key, Keyring
from hermes.errors import Conflict
from hermes.keys.data_keys import current_of, open_keyring, prepared_of, read_data_keys, unwrapped
from hermes.keys.models import DataKeyRow
from hermes.keys.wrapping import CannotUnwrap, KeyWrapping, wrapping_of
from hermes.settings import Settings
from hermes.storage.sql import Database

REFRESH_SECONDS: Final = 10.0
SETTLED_AFTER: Final = timedelta(seconds=3 * REFRESH_SECONDS)
"""So long after it was made, every server knows a data key."""
_ASK_AGAIN_SECONDS: Final = 10.0
_MOST_UNKNOWN: Final = 1000
_WRAPPED_ID = re.compile(WRAPPED_KIND + r"[0-9a-f]{12}", re.ASCII)

log = structlog.get_logger(__name__)


class Keys:
    """Fills a keyring, and has it follow the table of data keys."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        wrapping: KeyWrapping | None,
        keyring: Keyring,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take a keyring that is filled; `open_keys` fills one.

        Args:
            wrapping: the KMS, if the settings name one.
            now: the time by which keys are made, activated and retired.
            monotonic: seconds, by which repeated questions are put off.
        """
        self.keyring = keyring
        self._database = database
        self._provider = settings.encryption_key_provider
        self._wrapping = wrapping
        self._now = now
        self._monotonic = monotonic
        self._turn = asyncio.Lock()
        self._unknown: dict[str, float] = {}
        if wrapping is not None:
            keyring.learn = self.learn

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Within the block, new data keys are learned as they appear. Without a KMS nothing is done."""
        if self._wrapping is None:
            yield
            return
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            await cancel(task)

    async def refresh(self) -> None:
        """Read the table again: learn its new keys, and seal with the one that is the current one by now.

        Raises:
            CannotUnwrap: a key that is in use does not open.
        """
        if self._wrapping is None:
            return
        async with self._turn:
            rows = await read_data_keys(self._database)
            new = [row for row in rows if row.id not in self.keyring.key_ids]
            for key in await unwrapped(self._wrapping, new, self._now()):
                self.keyring.add(key)
            current_id = current_of(rows)
            if self._provider != "local" and current_id in self.keyring.key_ids:
                self.keyring.seal_with(current_id)

    async def learn(self, key_id: str) -> None:
        """Look for a key that came into use a moment ago; asked for the same id again and again, not each time."""
        if self._wrapping is None or not _WRAPPED_ID.fullmatch(key_id):
            return
        async with self._turn:
            if key_id in self.keyring.key_ids or not self._may_ask(key_id):
                return
            try:
                for row in await read_data_keys(self._database):
                    if row.id == key_id:
                        self.keyring.add(Key(await self._wrapping.unwrap(row.id, row.wrapped), row.id))
                        log.info("data_key_learned", key_id=row.id)
            except (CannotUnwrap, SQLAlchemyError) as error:
                log.error("data_key_not_learned", key_id=key_id, error=str(error))

    async def waiting(self) -> timedelta | None:
        """How long until the newest data key may be activated; zero: now. None: none waits, or none is to seal."""
        if self._provider == "local":
            return None
        newest = prepared_of(await read_data_keys(self._database))
        return None if newest is None else max(newest.created_at + SETTLED_AFTER - self._now(), timedelta())

    async def activate(self) -> None:
        """Have the newest data key that waits seal from now on: here at once, elsewhere within `REFRESH_SECONDS`.

        Raises:
            Conflict: it was made a moment ago, and not every server knows it yet.
        """
        newest = prepared_of(await read_data_keys(self._database))
        if newest is not None:
            if newest.created_at + SETTLED_AFTER > self._now():
                raise Conflict(f"The data key {newest.id} is too new; try again in {SETTLED_AFTER.seconds} seconds.")
            claim = update(DataKeyRow).where(DataKeyRow.id == newest.id, DataKeyRow.activated_at.is_(None))
            async with self._database.session() as session:
                await session.execute(claim.values(activated_at=self._now()))
        await self.refresh()

    async def retire_others(self) -> None:
        """Once nothing that lasts needs them, let go of all active data keys but the current one."""
        others = (
            DataKeyRow.id != self.keyring.current_id,
            DataKeyRow.activated_at.is_not(None),
            DataKeyRow.retired_at.is_(None),
        )
        async with self._database.session() as session:
            await session.execute(update(DataKeyRow).where(*others).values(retired_at=self._now()))

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
            except (CannotUnwrap, SQLAlchemyError, TimeoutError) as error:
                # The keys at hand go on to work; the next look may find what is missing.
                log.warning("data_keys_not_read", error=str(error))

    def _may_ask(self, key_id: str) -> bool:
        now = self._monotonic()
        if now - self._unknown.get(key_id, -_ASK_AGAIN_SECONDS) < _ASK_AGAIN_SECONDS:
            return False
        if len(self._unknown) >= _MOST_UNKNOWN:
            self._unknown.clear()
        self._unknown[key_id] = now
        return True


async def open_keys(database: Database, settings: Settings) -> Keys:
    """The keys of a process. Nothing is written.

    Raises:
        SettingsError: a key that is in use cannot be had; the message says which, why, and the way out.
    """
    wrapping = wrapping_of(settings)
    return Keys(database, settings, wrapping, await open_keyring(database, settings, wrapping))


def provider_of(key_id: str) -> str:
    """The name in `ENCRYPTION_KEY_PROVIDER` under which the key was given or wrapped."""
    return "aws-kms" if key_id.startswith(WRAPPED_KIND) else "local"
