"""Setting linked accounts up at their vendors, and undoing that when they are unlinked, as each platform declares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog
from sqlalchemy import or_, select, update

from hermes.connections.models import ConnectionRow
from hermes.connections.names import key_name, printable
from hermes.connections.probing import Prober
from hermes.connections.rows import is_account
from hermes.connections.store import CredentialStore
from hermes.crypto import Undecryptable
from hermes.errors import HermesError, NotFound
from hermes.platforms.base import ApiContext, Credentials
from hermes.platforms.catalog import AnyPlatform
from hermes.platforms.onboarding import Step, StepState
from hermes.storage.sql import Database

_LONGEST: Final = 500

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Onboarded:
    """An account as it was before it was unlinked: what is needed to undo its steps. Sealed."""

    customer_id: str
    label: str
    sealed: str
    shared_id: str | None


class Onboardings:
    """Runs the steps of accounts whose platform declares any, and keeps how they stand."""

    def __init__(self, database: Database, store: CredentialStore, prober: Prober) -> None:
        self._database = database
        self._store = store
        self._prober = prober

    async def run(
        self, customer_id: str, platform: AnyPlatform, label: str, credentials: Credentials
    ) -> tuple[Step, ...]:
        """Take an account's steps as far as they can be taken, and keep how they stand. Never raises for a vendor: an
        account works without them."""
        onboarding = platform.onboarding
        if onboarding is None:
            return ()
        steps = await self._asked(
            customer_id, platform, label, lambda context: onboarding.run(platform.open(context, credentials))
        )
        change = update(ConnectionRow).where(
            *is_account(customer_id, platform.id, label), ConnectionRow.ciphertext.is_not(None)
        )
        async with self._database.session() as session:
            await session.execute(change.values(steps=[step.as_dict() for step in steps]))
        return steps

    async def again(self, customer_id: str, platform: AnyPlatform, label: str) -> tuple[Step, ...]:
        """As `run`, for an account that is linked.

        Raises:
            NotFound: no such account is linked.
            NeedsReconnect: it has to be connected again first.
        """
        sealed = await self._store.load(customer_id, platform.id, label)
        if sealed is None:
            raise NotFound(f"No {platform.title} account is linked under that label.", platform=platform.id)
        return await self.run(customer_id, platform, label, await self._opened(customer_id, platform, label, sealed))

    async def before_unlinking(self, customer_id: str, platform: AnyPlatform, label: str) -> Onboarded | None:
        """What is needed to undo an account's steps; None when there are none."""
        if platform.onboarding is None:
            return None
        query = select(ConnectionRow.ciphertext, ConnectionRow.shared_id).where(
            *is_account(customer_id, platform.id, label), ConnectionRow.ciphertext.is_not(None)
        )
        async with self._database.reading() as session:
            row = (await session.execute(query)).one_or_none()
        return None if row is None else Onboarded(customer_id, label, row.ciphertext, row.shared_id)

    async def undo(self, platform: AnyPlatform, account: Onboarded) -> tuple[Step, ...]:
        """Undo the steps of an account that is unlinked here by now, as far as that can be done, and say how each
        stands."""
        onboarding = platform.onboarding
        assert onboarding is not None  # noqa: S101  (else there is no `Onboarded`)
        own = (
            Step("claim", "The account can be linked elsewhere", StepState.DONE),
            Step("credential", "The credential is forgotten here", StepState.DONE),
            Step("access", "The credential no longer works", StepState.MISSING, remedy=onboarding.left),
        )
        try:
            credentials = await self._opened(account.customer_id, platform, account.label, account.sealed)
        except Undecryptable as error:
            log.error("credential_does_not_open", platform=platform.id, reason=error.reason)
            return own

        async def is_shared() -> bool:
            return await self._is_shared(platform.id, account.shared_id)

        undone = await self._asked(
            account.customer_id,
            platform,
            account.label,
            lambda context: onboarding.undo(platform.open(context, credentials), is_shared),
        )
        return (*undone, *own)

    async def _asked(
        self,
        customer_id: str,
        platform: AnyPlatform,
        label: str,
        question: Callable[[ApiContext], Awaitable[Sequence[Step]]],
    ) -> tuple[Step, ...]:
        try:
            steps = await self._prober.ask(customer_id, platform, label, question)
        except HermesError as error:
            log.warning("onboarding_not_finished", customer_id=customer_id, platform=platform.id, error=error.code)
            steps = [
                Step("vendor", f"{platform.title} answers", StepState.UNKNOWN, error.message, "Check again later.")
            ]
        return tuple(_shown(step) for step in steps)

    async def _opened(self, customer_id: str, platform: AnyPlatform, label: str, sealed: str) -> Credentials:
        plaintext = await self._store.open(key_name(customer_id, platform.id, label), sealed)
        credentials: Credentials = platform.credentials.model_validate_json(plaintext)
        return credentials

    async def _is_shared(self, platform: str, shared_id: str | None) -> bool:
        """For the house: whether anybody's account that is linked now lives by the same thing at the vendor. One that
        was linked before that was written down may, and so may any be for one like that."""
        query = select(ConnectionRow.id).where(
            ConnectionRow.platform == platform, ConnectionRow.ciphertext.is_not(None)
        )
        if shared_id is not None:
            query = query.where(or_(ConnectionRow.shared_id == shared_id, ConnectionRow.shared_id.is_(None)))
        async with self._database.reading() as session:
            return (await session.execute(query.limit(1))).first() is not None


def _shown(step: Step) -> Step:
    """A step with texts that may hold a vendor's words, fit to be shown."""
    remedy = printable(step.remedy, _LONGEST) if step.remedy else None
    return replace(step, detail=printable(step.detail, _LONGEST), remedy=remedy)
