"""Looks whether everything that hermes needs is there and works. Each check says what it found and what to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from redis.exceptions import RedisError
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from hermes.app import House, open_house
from hermes.connections import rotation
from hermes.errors import HermesError
from hermes.media.places import PlaceUnavailable
from hermes.platforms.catalog import AnyPlatform
from hermes.settings import Settings, SettingsError
from hermes.storage.data_folder import DataFolderError
from hermes.storage.redis import EvictingRedisError
from hermes.storage.revisions import MigrationError

_CLOCK_SECONDS = 2.0
_REACH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `state`: `ok`, `warning`, `failed`."""

    name: str
    state: Literal["ok", "warning", "failed"]
    message: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


async def examine(read: Callable[[], Settings], tell: Callable[[str], object]) -> list[Check]:
    """Run every check; one that cannot run because an earlier one failed is left out.

    Args:
        read: gives the settings.
        tell: told the name of each check when it begins.
    """
    checks: list[Check] = []
    async with AsyncExitStack() as stack:
        try:
            tell("settings and stores")
            settings = read()
            house = await stack.enter_async_context(open_house(settings, holder="command"))
        except (SettingsError, DataFolderError, EvictingRedisError, MigrationError, HermesError) as error:
            return [Check("settings and stores", "failed", str(error))]
        except (RedisError, SQLAlchemyError, OSError) as error:
            return [Check("settings and stores", "failed", f"a store does not answer ({type(error).__name__})")]
        checks.append(Check("settings", "ok", f"public URL {settings.public_url}"))
        checks.append(Check("schema", "ok", f"{house.stores.database.dialect}, newest"))
        for name, check in (
            ("clocks", _clocks),
            ("credentials", _credentials),
            ("connections", _connections),
            ("media", _media),
        ):
            tell(name)
            checks.append(await check(house))
        tell("platforms")
        checks += await asyncio.gather(*(_reachable(platform, house.settings) for platform in house.catalog))
    return checks


async def _clocks(house: House) -> Check:
    """Tokens and webhooks are judged by the clock: the machines' must agree."""
    before = time.time()
    seconds, microseconds = await house.stores.redis.time()
    redis_now = int(seconds) + int(microseconds) / 1e6
    apart = abs(redis_now - (before + time.time()) / 2)
    async with house.stores.database.reading() as session:
        await session.execute(select(func.now()))
    if apart > _CLOCK_SECONDS:
        return Check("clocks", "failed", f"Redis's clock is {apart:.1f} s away from this machine's; set up NTP on both")
    return Check("clocks", "ok", f"{apart * 1000:.0f} ms apart")


async def _credentials(house: House) -> Check:
    """Every stored credential must open with the keys that are set."""
    report = await rotation.check(house.stores.database, house.stores.redis, house.keyring)
    if report.unreadable:
        named = ", ".join(f"{item.customer_id} {item.platform} {item.account}" for item in report.unreadable[:5])
        return Check(
            "credentials",
            "failed",
            f"{len(report.unreadable)} of {report.total} do not open ({named}…); put the key they were sealed with "
            "into CREDENTIAL_ENCRYPTION_KEYS_OLD, or have the customers reconnect",
        )
    return Check("credentials", "ok", f"all {report.total} open")


async def _connections(house: House) -> Check:
    """How many accounts there are and how they stand. Names no customer."""
    counts = await house.health_rows.counts(datetime.now(UTC))
    if not counts:
        return Check("connections", "ok", "none yet")
    by_platform: dict[str, list[str]] = {}
    for (platform, status), number in sorted(counts.items()):
        by_platform.setdefault(platform, []).append(f"{number} {status}")
    told = "; ".join(f"{platform}: {', '.join(each)}" for platform, each in by_platform.items())
    return Check("connections", "ok", told)


async def _media(house: House) -> Check:
    """Uploads need a place to lie in."""
    try:
        return Check("media", "ok", await house.media.check())
    except PlaceUnavailable as error:
        return Check("media", "failed", f"{error}; check MEDIA_S3_… or DATA_DIR")


async def _reachable(platform: AnyPlatform, settings: Settings) -> Check:
    url = platform.api_base_url(settings)
    name = f"platform {platform.id}"
    if not url:
        return Check(name, "ok", "needs no network")
    parts: Any = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(_REACH_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, port, ssl=parts.scheme == "https")
    except (OSError, TimeoutError) as error:
        return Check(name, "warning", f"{parts.hostname} cannot be reached ({type(error).__name__}); check the network")
    writer.close()
    return Check(name, "ok", f"{parts.hostname} answers")
