"""Taking tokens back at the vendor when an account is unlinked, and saying what could not be taken back."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
import structlog

from hermes.connections.names import key_name
from hermes.connections.renewal_rows import Renewable, RenewalRows
from hermes.connections.store import CredentialStore
from hermes.connections.vendor import VendorClient
from hermes.crypto import Undecryptable
from hermes.platforms.catalog import AnyPlatform
from hermes.platforms.onboarding import Step

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Unlinked:
    """An account that is no longer linked.

    Attributes:
        account: its label.
        revoked: whether the vendor confirmed that the access has ended; None where there was none to take back.
        left: what the customer has to do at the vendor themselves, if anything.
        default_account: the label of the account that is used from now on when none is named; None when there is none.
        steps: how each step of setting the account up was undone, where there were any.
    """

    account: str
    revoked: bool | None = None
    left: str | None = None
    default_account: str | None = None
    steps: tuple[Step, ...] = ()


class Revocation:
    """Ends at the vendor what a person allowed there."""

    def __init__(self, store: CredentialStore, rows: RenewalRows, vendor: VendorClient) -> None:
        self._store = store
        self._rows = rows
        self._vendor = vendor

    async def before(self, customer_id: str, platform: str, label: str) -> Renewable | None:
        """What is to be taken back once the account is unlinked; None: it was linked by pasting."""
        return await self._rows.read(customer_id, platform, label)

    async def after(self, platform: AnyPlatform, account: Renewable | None, label: str, *, alone: bool) -> Unlinked:
        """Take it back, as far as that can be done: the account is unlinked by now in any case.

        Args:
            account: what `before` gave.
            label: the account's label.
            alone: the customer has no other account of the platform, which might live by the same permission.
        """
        connect = platform.sign_in(account.provider) if account is not None else None
        if account is None or connect is None:
            by_hand = f"What was pasted works at {platform.title} until you withdraw it there."
            return Unlinked(label, None, by_hand if platform.base_url else None)
        if not alone:
            return Unlinked(
                label,
                False,
                f"The permission at {connect.title} was left as it is, for your other {platform.title} accounts may "
                f"need it. To end it: {connect.revoke_by_hand}.",
            )
        name = key_name(account.customer_id, account.platform, account.label)
        try:
            credentials = orjson.loads(await self._store.open(name, account.sealed))
        except Undecryptable as error:
            log.error("credential_does_not_open", key=name, reason=error.reason)
            credentials = {}
        if await self._vendor.revoke(connect, credentials):
            return Unlinked(label, True)
        return Unlinked(
            label, False, f"{connect.title} could not be told that its permission ends: {connect.revoke_by_hand}."
        )
