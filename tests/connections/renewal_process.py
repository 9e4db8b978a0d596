"""A process that renews one account and is killed at a point of it; see `main` for its arguments."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import datetime
from typing import Any

from connections.oauth_bench import Bench, bench_settings
from hermes.connections.served import ServedCredentials
from hermes.connections.store import CredentialStore
from hermes.connections.vendor import VendorClient
from hermes.settings import load_settings
from hermes.storage.redis import connect_redis
from hermes.storage.sql import Database

POINTS = ("before_asking", "answered", "before_commit", "committed", "served")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(point: str) -> None:
    """Arrange that the process is gone at this point."""

    def around(owner: type, name: str, *, before: bool) -> None:
        inner: Callable[..., Any] = getattr(owner, name)

        async def run(*args: Any, **kwargs: Any) -> Any:
            if before:
                die()
            result = await inner(*args, **kwargs)
            die()
            return result

        setattr(owner, name, run)

    match point:
        case "before_asking":
            around(VendorClient, "renew", before=True)
        case "answered":
            around(VendorClient, "renew", before=False)
        case "before_commit":
            around(ServedCredentials, "announce", before=True)
        case "committed":
            around(ServedCredentials, "offer", before=True)
        case "served":
            around(CredentialStore, "renew", before=False)


async def main(point: str, connection_id: str, origin: str, database_url: str, redis_url: str, ahead: str) -> None:
    settings, catalog = bench_settings(load_settings({}, env_file=None), origin)
    database, redis = Database(database_url), connect_redis(redis_url)
    bench = Bench(None, settings, catalog, database, redis, redis_url, None)  # type: ignore[arg-type]  # the sandbox is elsewhere
    replica = bench.replica(now=lambda: datetime.fromisoformat(ahead))
    kill_at(point)
    await replica.renewals.renew(connection_id)
    raise AssertionError("the process should be gone")
