"""Looks whether everything that hermes needs is there and works. Each check says what it found and what to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from redis.exceptions import RedisError
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from hermes.app import House, open_house
from hermes.errors import HermesError
from hermes.keys.seals import Progress, Report
from hermes.keys.service import provider_of
from hermes.media.places import PlaceUnavailable
from hermes.platforms.catalog import AnyPlatform
from hermes.rekeying import check_all
from hermes.settings import Settings, SettingsError
from hermes.storage.data_folder import DataFolderError
from hermes.storage.redis import EvictingRedisError
from hermes.storage.revisions import MigrationError

_CLOCK_SECONDS = 2.0
_REACH_SECONDS = 5.0
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `state`: `ok`, `warning`, `failed`. `details`: figures and ids, for scripts."""

    name: str
    state: Literal["ok", "warning", "failed"]
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
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
        tell("clocks")
        checks.append(await _clocks(house))
        checks += await _seals(house, tell)
        tell("connections")
        checks.append(await _connections(house))
        tell("media")
        checks.append(await _media(house))
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


async def _seals(house: House, tell: Callable[[str], object]) -> list[Check]:
    """Everything that is kept sealed must open with the keys at hand: every value is opened."""

    def telling(what: str) -> Progress:
        return lambda done, total: tell(f"{what} {done}/{total}")

    reports = await check_all(house.stores.database, house.stores.redis, house.keyring, telling)
    return [_keys(house, reports), *map(_opened, reports)]


def _keys(house: House, reports: list[Report]) -> Check:
    used = {key_id: sum(report.keys.get(key_id, 0) for report in reports) for key_id in house.keyring.key_ids}
    named = ", ".join(f"{provider_of(key_id)} {key_id}: {count}" for key_id, count in used.items())
    keys = [{"id": key_id, "provider": provider_of(key_id), "values": count} for key_id, count in used.items()]
    return Check("keys", "ok", f"{named}; {house.keyring.current_id} seals", {"keys": keys})


def _opened(report: Report) -> Check:
    details = {"total": report.total, "by_key": report.keys}
    if not report.unreadable:
        return Check(report.what, "ok", f"all {report.total} open", details)
    ids = [item.id for item in report.unreadable]
    shown = ", ".join(ids[:_MOST_NAMED]) + (" …" if len(ids) > _MOST_NAMED else "")
    reasons = [{"id": item.id, "reason": item.reason} for item in report.unreadable]
    return Check(
        report.what,
        "failed",
        f"{len(ids)} of {report.total} do not open ({shown}); {report.remedy}",
        {**details, "unreadable": reasons},
    )


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
