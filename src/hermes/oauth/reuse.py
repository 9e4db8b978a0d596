"""What happens when a code or a refresh token comes back that was used before: one of its two holders stole it."""

from __future__ import annotations

import structlog
from sqlalchemy import select

from hermes.errors import NotFound
from hermes.identity.actions import ActionAudit, audit_action
from hermes.identity.changes import CustomerChanges
from hermes.identity.models import Customer
from hermes.oauth.grants import as_assistant, end_chain
from hermes.oauth.models import OAuthAuthorization

log = structlog.get_logger(__name__)


class Reuse:
    """Ends what was given out, within five seconds everywhere, and leaves a line in the customer's trail."""

    def __init__(self, changes: CustomerChanges, audit: ActionAudit) -> None:
        self._changes = changes
        self._audit = audit

    async def of_code(self, customer_id: str, chain_id: str, authorization_id: str) -> None:
        """A code came a second time (RFC 6749, 4.1.2)."""
        await self._end(customer_id, chain_id, authorization_id, "code")

    async def of_refresh(self, customer_id: str, chain_id: str, authorization_id: str) -> None:
        """A refresh token came again that has a successor (OAuth 2.1, 4.3.1)."""
        await self._end(customer_id, chain_id, authorization_id, "refresh_token")

    async def _end(self, customer_id: str, chain_id: str, authorization_id: str, what: str) -> None:
        mine = (OAuthAuthorization.customer_id == customer_id, OAuthAuthorization.id == authorization_id)
        try:
            async with self._changes.change(customer_id) as session:
                agreed = (await session.scalars(select(OAuthAuthorization).where(*mine))).one_or_none()
                customer = await session.get_one(Customer, customer_id)
                ended = await end_chain(session, customer_id, chain_id)
        except NotFound:  # the customer is gone, and everything with them
            return
        if ended and agreed is not None:
            log.warning("oauth_reuse_detected", customer_id=customer_id, chain=chain_id, what=what)
            caller = as_assistant(customer_id, authorization_id, agreed.client_name, customer.plan)
            await audit_action(
                self._audit,
                customer_id,
                caller,
                "oauth.reuse_detected",
                outcome="denied",
                client=agreed.client_id,
                what=what,
            )
