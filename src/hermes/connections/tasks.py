"""Background work on linked accounts."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Final

from hermes.connections.renewal import Renewals
from hermes.connections.renewal_rows import RenewalRows
from hermes.storage.queue import JobQueue

RENEW: Final = "connections.renew"
_BATCH: Final = 500


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
