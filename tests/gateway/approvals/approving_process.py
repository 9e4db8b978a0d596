"""A process in which a person approves a call on our page, and which is killed at a point of it; see `main`."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

from hermes.app import build_house
from hermes.gateway.approvals import Approvals
from hermes.gateway.settlement import Settlement
from hermes.platforms.catalog import load_catalog
from hermes.sandbox_mode import on_sandbox
from hermes.settings import load_settings
from hermes.storage.redis import connect_redis
from hermes.storage.sql import Database
from hermes.storage.stores import Stores

POINTS: dict[str, tuple[type, str, bool]] = {
    "approved": (Approvals, "claim", True),
    "claimed": (Approvals, "claim", False),
    "sent": (Settlement, "settle", True),
    "settled": (Approvals, "finish", True),
    "finished": (Approvals, "finish", False),
}
"""Point → the function that it lies before (True) or behind."""


def kill_at(point: str) -> None:
    """Arrange that the process is gone at this point."""
    owner, name, before = POINTS[point]
    inner: Callable[..., Any] = getattr(owner, name)

    async def run(*args: Any, **kwargs: Any) -> Any:
        if not before:
            await inner(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, run)


async def main(
    point: str, token: str, approval_id: str, environ: Mapping[str, str], origin: str, database_url: str, redis_url: str
) -> None:
    """Approve, and be killed.

    Args:
        token: the person's session; environ, origin: settings, and where the stand-ins answer.
    """
    catalog = load_catalog()
    settings = on_sandbox(load_settings(dict(environ), env_file=None), origin, catalog)
    stores = Stores(Database(database_url), connect_redis(redis_url), redis_url)
    house = build_house(settings, stores, catalog)
    person = await house.sessions.verify(token)
    assert person is not None
    kill_at(point)
    await house.approvals.decide(person, approval_id, yes=True, request_id="request")
    raise AssertionError("the process should be gone")
