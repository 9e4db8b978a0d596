"""Where people see what waits for them, and decide; programs see the same and decide nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hermes.audit.redaction import redact_arguments
from hermes.errors import Conflict, NotFound
from hermes.gateway.approval_rows import MOST_SHOWN, Shown
from hermes.gateway.approval_rules import require_person
from hermes.gateway.approval_runs import ApprovalRuns
from hermes.gateway.call import Gateway
from hermes.gateway.models import ApprovalRow
from hermes.identity.actions import ActionAudit, audit_action
from hermes.identity.caller import Caller, Via
from hermes.platforms.catalog import Catalog


class ApprovalDesk:
    """The approvals of a caller's customer."""

    def __init__(self, runs: ApprovalRuns, gateway: Gateway, catalog: Catalog, audit: ActionAudit) -> None:
        self.approvals = runs.approvals
        self.runs = runs
        self._gateway = gateway
        self._catalog = catalog
        self._audit = audit

    async def page(
        self, caller: Caller, *, status: str | None = None, before: str | None = None, limit: int = 50
    ) -> Sequence[ApprovalRow]:
        """Approvals that the caller may see, newest first; see `ApprovalRows.page`."""
        most = min(max(limit, 1), MOST_SHOWN)
        return await self.approvals.rows.page(
            caller.customer_id, self._shown(caller), status=status, before=before, limit=most
        )

    async def find(self, caller: Caller, approval_id: str) -> ApprovalRow:
        """One of them.

        Raises:
            NotFound: there is none of this id that the caller may see.
        """
        row = await self.approvals.current(caller.customer_id, approval_id)
        if row is None or not self._shown(caller).includes(row):
            raise NotFound("There is no such approval; those that are through are kept for 24 hours.")
        return row

    async def decide(self, person: Caller, approval_id: str, *, yes: bool, request_id: str) -> ApprovalRow:
        """Say yes or no, and after a yes run the call.

        Args:
            person: who decides, signed in.
            request_id: of the HTTP request by which they do.

        Returns:
            The approval as it stands then.

        Raises:
            NotGranted: it is no person who is signed in.
            NotFound: as `find`.
            Conflict: it is decided already, or its time is over.
        """
        require_person(person)
        row = await self.find(person, approval_id)
        if not await self.approvals.decide(person, row, yes=yes, via="page"):
            row = await self.find(person, approval_id)
            raise Conflict(f"This is decided already: it is {row.status.replace('_', ' ')}.", status=row.status)
        if yes:
            await self.runs.behind_page(self._gateway.start_once, row, request_id)
        return await self.find(person, approval_id)

    async def run_left(self, customer_id: str, approval_id: str) -> None:
        """The job: run an approved call that no run has taken. Does nothing when there is nothing to do."""
        row = await self.approvals.current(customer_id, approval_id)
        if row is not None:
            await self.runs.left(self._gateway.start_once, row)

    def redacted(self, row: ApprovalRow) -> dict[str, Any]:
        """Its arguments as the audit trail shows them."""
        tool = self._catalog.tools.get(row.tool)
        return redact_arguments(self.approvals.kept(row), tool.redactions) if tool is not None else {}

    async def is_strangers(self, person: Caller, approval_id: str) -> bool:
        """For the house: whether it is another customer's, who is told in their trail that somebody else opened it, but
        not who: that is another customer's business."""
        owner = await self.approvals.rows.owner(approval_id)
        if owner is None or owner == person.customer_id:
            return False
        stranger = replace(person, customer_id=owner, key_id="another-person", email=None, client=None)
        await audit_action(self._audit, owner, stranger, "approval.open", None, "denied", approval=approval_id)
        return True

    def _shown(self, caller: Caller) -> Shown:
        """Which approvals a caller sees: a person all; a program those of what it may call; an assistant its own."""
        if caller.via is Via.SESSION or caller.kind == "operator":
            return Shown()
        platforms = [platform.id for platform in self._catalog if caller.grants.allow(platform.id, "write")]
        return Shown(platforms, caller.key_id if caller.via is Via.OAUTH else None)
