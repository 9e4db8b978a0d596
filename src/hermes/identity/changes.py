"""Transactions that a cached caller must not outlive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.errors import NotFound
from hermes.identity.models import Customer
from hermes.identity.versions import Versions
from hermes.storage.sql import Database, rows_matched


class CustomerChanges:
    """Changes of a customer, and of the sessions and tokens by which they are recognised."""

    def __init__(self, database: Database, versions: Versions) -> None:
        self._database = database
        self._versions = versions

    @asynccontextmanager
    async def change(self, customer_id: str) -> AsyncIterator[AsyncSession]:
        """One transaction that counts the customer's version up first: their row is locked before any other, so two
        changes cannot wait crosswise. When the block has ended, no caller from before is served anywhere, except from a
        process's own memory (five seconds).

        Raises:
            NotFound: there is no such customer.
            RedisError, TimeoutError: as `Versions.change`.
        """
        mine = Customer.id == customer_id
        async with self._versions.change(customer_id) as change, self._database.session() as session:
            if not await rows_matched(session, update(Customer).where(mine).values(version=Customer.version + 1)):
                raise NotFound("This customer is no longer there.")
            yield session
            change.version = await session.scalar(select(Customer.version).where(mine))
