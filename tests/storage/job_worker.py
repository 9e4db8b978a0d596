"""A job worker as a process; it tells what it does in the Redis list `events`, and its name where it may be ended."""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection

from hermes.storage.queue import JobQueue, RetryLater
from hermes.storage.redis import connect_redis

CLAIM_AFTER = 2.0


async def main(url: str, name: str, parent: Connection) -> None:
    redis = connect_redis(url)
    blocking = connect_redis(url, blocking=True)

    async def say(what: str) -> None:
        await redis.rpush("events", f"{name} {what}")

    async def gated(job: str) -> None:
        await say(f"begins {job}")
        await blocking.blpop([f"gate:{job}"])
        await say(f"ends {job}")

    async def again(job: str) -> None:
        tries = await redis.incr(f"tries:{job}")
        await say(f"try {tries} {job}")
        if tries == 1:
            raise RetryLater(0.5)

    async def broken(job: str) -> None:
        await say(f"breaks {job}")
        raise ValueError(job)

    async def tick() -> None:
        if await redis.get("hold ticks"):
            await say("holds")
            await blocking.blpop(["gate:tick"])
        await say("ticks")

    queue = JobQueue(redis, url, claim_after=CLAIM_AFTER, grace=1)
    for job, function in {"gated": gated, "again": again, "broken": broken}.items():
        queue.task(job, function, max_tries=1 if job == "broken" else 8)
    queue.cron("tick", "* * * * * * *", tick)
    async with queue:
        queue.start()
        parent.send(name)
        await asyncio.to_thread(parent.recv)
    await redis.aclose()
    await blocking.aclose()
