"""Looking at an account because somebody asks: bounded, for it costs the platform a request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hermes.connections.health import Health
from hermes.connections.models import Connection, Status
from hermes.connections.service import Connections
from hermes.errors import RateLimited
from hermes.identity.caller import Caller
from hermes.storage.rates import Rate, Rates

_ASKED: Final = Rate("connections.check", 10, 60)
_FRESH: Final = timedelta(seconds=30)
"""What was found within this time is told again."""


class ConnectionChecks:
    """Answers whether an account works."""

    def __init__(
        self,
        connections: Connections,
        health: Health,
        rates: Rates,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._connections = connections
        self._health = health
        self._rates = rates
        self._now = now

    async def check(self, caller: Caller, platform: str, label: str | None = None) -> dict[str, Any]:
        """Try an account's credential at its platform, and write down what came of it.

        Args:
            caller: whose account it is.
            platform: the platform's id.
            label: which account; None for the one that is used by default.

        Returns:
            `platform`, `account`, `outcome` (`works`, `ended`: connect again, `trouble`: it could not be found out),
            `error` in words, and `checked_at`.

        Raises:
            NotFound: no such platform or account.
            NotGranted: the key does not reach it, or the caller is the operator in single-user mode.
            RateLimited: more than ten times in a minute.
        """
        account = await self._connections.chosen(caller, platform, label)
        where = (caller.customer_id, platform, account.label)
        shown = {"platform": platform, "account": account.label}
        known = await self._known(account)
        if known is not None:
            return {**shown, **known}
        try:
            await self._rates.take(_ASKED, caller.customer_id)
        except RateLimited as limited:
            limited.message = "Connections are checked ten times in a minute at most; wait a little before the next."
            raise
        found = await self._health.look(*where)
        if found is not None:
            return {**shown, **found.as_dict()}
        return {**shown, "outcome": "ended", "error": account.last_error, "checked_at": self._now().isoformat()}

    async def _known(self, account: Connection) -> dict[str, Any] | None:
        """What was found a moment ago, if the account is still the same."""
        if account.status in (Status.NEEDS_RECONNECT, Status.INCOMPLETE) or account.last_checked_at is None:
            return None
        last = await self._health.last(account.customer_id, account.platform, account.label)
        if last is None:
            return None
        checked_at = datetime.fromisoformat(last["checked_at"])
        fresh = account.last_checked_at <= checked_at and self._now() - checked_at < _FRESH
        return last if fresh else None
