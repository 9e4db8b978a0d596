"""Everything that is kept sealed: moving it to the current key while the gateway serves, and proving that it opens.

What lives in Redis for a day or two at most (first answers of idempotency keys, tokens whose row could not be written)
is not moved: an old key has to stay that long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from redis.asyncio import Redis

from hermes.connections import rotation
from hermes.connections.key_check import reseal_key_check
from hermes.crypto import Keyring
from hermes.events import mail
from hermes.gateway import seals as gateway_seals
from hermes.identity import second_factor
from hermes.keys.seals import Progress, Report, check_seal, move_seal
from hermes.keys.service import REFRESH_SECONDS, Keys
from hermes.media import store as media
from hermes.storage.sql import Database

SEALS: Final = (second_factor.SEAL, mail.SEAL, media.SEAL, *gateway_seals.SEALS)
"""What is sealed in SQL beside the credentials, which Redis serves too."""

Telling = Callable[[str], Progress]
"""Given what comes next, gives who is told how far it is."""


async def move_all(
    database: Database, redis: Redis, keyring: Keyring, telling: Telling, *, dry_run: bool = False
) -> list[Report]:
    """Seal everything with the current key. It can be stopped and started again at any moment.

    Args:
        database: where it is.
        redis: where credentials are served from.
        keyring: the current key, and those under which things are now.
        telling: told how far it is.
        dry_run: only see what would be done, and what does not open.

    Returns:
        What was done, and what was not: first the credentials, then each of `SEALS`.
    """
    reports = [await rotation.rotate(database, redis, keyring, telling(rotation.WHAT), dry_run=dry_run)]
    for seal in SEALS:
        reports.append(await move_seal(database, keyring, seal, telling(seal.what), dry_run=dry_run))
    if not dry_run and all(report.complete for report in reports):
        await reseal_key_check(database, keyring)
    return reports


async def check_all(database: Database, redis: Redis, keyring: Keyring, telling: Telling) -> list[Report]:
    """Open everything that is kept sealed, in the order of `move_all`. Nothing is changed."""
    reports = [await rotation.check(database, redis, keyring, telling(rotation.WHAT))]
    for seal in SEALS:
        reports.append(await check_seal(database, keyring, seal, telling(seal.what)))
    return reports


async def begin_newest(
    keys: Keys, tell: Callable[[str], object], *, pause: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> None:
    """If a new data key waits, have it seal: once every server knows it, and until every server does so.

    Args:
        keys: of this process.
        tell: told what is waited for.
        pause: waits seconds.
    """
    left = await keys.waiting()
    if left is None:
        return
    tell("Waiting until every server knows the new key")
    await pause(left.total_seconds())
    await keys.activate()
    tell("Waiting until every server seals with the new key")
    await pause(2 * REFRESH_SECONDS)
