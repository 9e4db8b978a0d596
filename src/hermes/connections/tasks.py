"""Background work on linked accounts."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Final

from hermes.connections.health import Health
from hermes.connections.health_rows import HealthRows
from hermes.connections.renewal import Renewals
from hermes.connections.renewal_rows import RenewalRows
from hermes.storage.queue import JobQueue

RENEW: Final = "connections.renew"
CHECK: Final = "connections.check"
_BATCH: Final = 500


_CHECKS: Final = 500
"""Accounts that begin to be looked at in a minute, at most."""


def register_checks(queue: JobQueue, rows: HealthRows, health: Health) -> None:
    """Every minute queue the accounts that are to be looked at."""

    async def queue_checks() -> None:
        ahead: Counter[str] = Counter()
        now = datetime.now(UTC)
        for connection_id, platform in await rows.claim_due(now, health.unasked, _CHECKS):
            delay = ahead[platform] * health.seconds_each
            await queue.enqueue(CHECK, connection_id, int(now.timestamp() * 1000), delay=delay)
            ahead[platform] += 1

    queue.task(CHECK, health.check)
    queue.cron("connections.queue_checks", "* * * * *", queue_checks)


def register_tasks(queue: JobQueue, rows: RenewalRows, renewals: Renewals) -> None:
    """Every minute queue the accounts whose tokens are due; once an hour tell of those that end."""

    async def queue_due() -> None:
        ahead: Counter[str] = Counter()
        while due := await rows.claim_due(datetime.now(UTC), _BATCH):
            for connection_id, provider in due:
                # Spread over the time that the vendor's limit makes them take, so that workers need not wait for it.
                await queue.enqueue(RENEW, connection_id, delay=ahead[provider] * renewals.seconds_each(provider))
                ahead[provider] += 1

    async def announce_ends() -> None:
        while await rows.announce_ends(datetime.now(UTC), _BATCH):
            pass

    queue.task(RENEW, renewals.renew)
    queue.cron("connections.queue_due", "* * * * *", queue_due)
    queue.cron("connections.announce_ends", "17 * * * *", announce_ends)
