"""A process that moves everything to the current key and is killed at a point of it; see `main` for its arguments."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from hermes.connections.served import ServedCredentials
from hermes.keys import seals
from hermes.keys.service import open_keys
from hermes.rekeying import move_all
from hermes.settings import load_settings
from hermes.storage.redis import connect_redis
from hermes.storage.sql import Database

POINTS = (("announce", 1), ("announce", 55), ("offer", 1), ("offer", 55), ("write", 1), ("write", 4))
"""Before a batch of credentials is committed; after that, before Redis has it; among the rest."""


def kill_at(point: str, count: int) -> None:
    """Arrange that the process is gone at the moment before something is done for the n-th time."""
    owner: Any = seals if point == "write" else ServedCredentials
    name = "_write" if point == "write" else point
    inner: Callable[..., Any] = getattr(owner, name)
    done = 0

    async def run(*args: Any, **kwargs: Any) -> Any:
        nonlocal done
        done += 1
        if done == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return await inner(*args, **kwargs)

    setattr(owner, name, run)


async def main(point: str, count: int, environ: dict[str, str], database_url: str, redis_url: str) -> None:
    database, redis = Database(database_url), connect_redis(redis_url)
    keys = await open_keys(database, load_settings(environ, env_file=None))
    kill_at(point, count)
    await move_all(database, redis, keys.keyring, lambda _what: lambda _done, _total: None)
    raise AssertionError("the process should be gone")
