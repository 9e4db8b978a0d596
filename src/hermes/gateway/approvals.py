"""Asking the customer first: which calls wait for a yes, the decision, and what the waiting call is told.

A call whose rule is *ask* is written down before anybody is asked. A modern client that shows forms is asked in its own
window; everybody else gets a link to our page, and repeats the call when it was approved there. Whoever decides first
decides, whoever claims the approved call first runs it (approval_rows.py), and it is run as any call is, under an
idempotency key of its own: so it is sent once at most.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import orjson
from mcp_types import ElicitResult
from pydantic import BaseModel, ValidationError

from hermes.crypto import Keyring, Undecryptable
from hermes.errors import Conflict, HermesError, Internal, NotFound
from hermes.gateway import approval_refusals as refusals
from hermes.gateway.accounts import Accounts
from hermes.gateway.approval_calls import Answered, Claimed, Cleared, Wanted, asker, caller_as_json
from hermes.gateway.approval_calls import wanted as wanted_call
from hermes.gateway.approval_rows import APPROVED, DENIED, DONE, EXPIRED, PENDING, UNKNOWN, ApprovalRows
from hermes.gateway.approval_texts import ShownArgument, handles, question, shown_arguments
from hermes.gateway.asking import Asking
from hermes.gateway.fence import fence_text
from hermes.gateway.models import ApprovalRow
from hermes.gateway.outcomes import Result, open_result, outcome_of, seal_result
from hermes.gateway.results import CallOptions, CallResult, Permit
from hermes.gateway.seals import approval_name
from hermes.identity.actions import ActionAudit, audit_action
from hermes.identity.approval_rules import ApprovalRule
from hermes.identity.caller import Caller
from hermes.identity.ids import new_id
from hermes.media.store import KeptMedia
from hermes.platforms.asks import form
from hermes.platforms.base import Effect, Tool
from hermes.platforms.catalog import Catalog

MOST_WAITING: Final = 50
"""Calls of a customer that may wait at once: more than a person can decide on, and no flood."""

_ASK: Final = "approval_"
_FORM: Final = {"type": "object", "properties": {}}
_ANSWER_FOR: Final = timedelta(hours=1)
"""How long a repeated call is told what came of the approval, instead of asking anew."""
_TRIES: Final = 4

Files = Callable[[str, str], Awaitable[KeptMedia]]
"""Customer and handle → what is known of the kept file; raises `NotFound`."""


class Approvals:
    """The customers' approvals."""

    def __init__(
        self,
        rows: ApprovalRows,
        keyring: Keyring,
        catalog: Catalog,
        accounts: Accounts,
        audit: ActionAudit,
        public_url: str,
        *,
        minutes: int = 15,
        files: Files | None = None,
    ) -> None:
        """
        Args:
            minutes: how long a call waits for a decision.
            files: says what handles of kept files stand for.
        """
        self.rows = rows
        self._keyring = keyring
        self._catalog = catalog
        self._accounts = accounts
        self._audit = audit
        self._page = f"{public_url}/approvals"
        self._lifetime = timedelta(minutes=minutes)
        self._files = files

    async def rule_for(self, caller: Caller, tool: Tool, account: str | None) -> tuple[ApprovalRule | None, str | None]:
        """The rule that stops a call, if one does, and the account that it was looked up for (None: as given).

        Args:
            account: the label that the call names; None for the caller's default account.
        """
        label = await self._pinned(caller, tool, account)
        writes = tool.effect is not Effect.READ
        rule = caller.approval_rules.for_call(tool.name, tool.platform, label, writes=writes)
        return (None if rule is None or rule.rule == "allow" else rule), label

    async def stop(
        self,
        rule: ApprovalRule,
        caller: Caller,
        call_id: str,
        tool: Tool,
        account: tuple[str | None, str | None],
        arguments: BaseModel,
        asking: Asking,
        options: CallOptions,
    ) -> None:
        """Have a call do what its rule says; always raises, but for a call that the customer agreed to.

        Args:
            rule: says ask or never.
            caller: as the database has them now.
            account: the label that the call names, and the one that its rule was looked up for.

        Raises:
            ApprovalDenied: the rule says never, or the customer said no.
            ApprovalRequired: the customer has to say yes on our page first.
            Asked: the client has to be asked first.
            Cleared: the customer has said yes; the call is to be run as the approved one.
            Answered: it was approved and run before.
            Conflict: it is being run, or too many wait.
            NotConnected, NeedsReconnect: there is nothing to ask for, as it could not be done.
        """
        if rule.rule == "never":
            raise refusals.never(tool, rule, self._page)
        if options.permit is None:
            asked, pinned = account
            label = await self._accounts.fill(caller, tool.platform, pinned)
            await self._ask(wanted_call(caller, call_id, tool, (label, asked), arguments, options), asking)

    async def current(self, customer_id: str, approval_id: str) -> ApprovalRow | None:
        """One of the customer's approvals as it stands now."""
        row = await self.rows.find(customer_id, approval_id)
        if row is not None and await self.end_if_over(row):
            row = await self.rows.find(customer_id, approval_id)
        return row

    async def decide(self, by: Caller, row: ApprovalRow, *, yes: bool, via: str) -> bool:
        """Say yes or no to one that waits. False: it is decided already, or its time is over.

        Args:
            by: who decides: a person with a session, or the caller whose client was asked.
            via: `page` or `client`.
        """
        status = APPROVED if yes else DENIED
        if not await self.rows.decide(row.customer_id, row.id, status, by=by.key_id, via=via):
            return False
        await self._record(row, by, "approval.approve" if yes else "approval.deny", "success", via=via)
        return True

    async def claim(self, customer_id: str, approval_id: str) -> Claimed | None:
        """Take an approved call to run it; None: another run has it, had it, or it was not approved.

        Raises:
            Internal: what it was to do can no longer be read; it is over with that.
        """
        row = await self.rows.find(customer_id, approval_id)
        if row is None or row.status != APPROVED:
            return None
        tool = self._catalog.tools.get(row.tool)
        until = self.rows.now() + timedelta(seconds=(tool.timeout if tool else 0) + 60)
        if not await self.rows.claim(customer_id, approval_id, until):
            return None
        try:
            if tool is None:
                raise Internal(f"There is no tool {row.tool} any more.", nothing_sent=True)
            kept = self._open(row)
        except HermesError as error:
            await self._end(row, error, None, told=False)
            raise
        permit = Permit(row.id, row.account, kept["account"], row.decided_by or "", row.decided_via or "")
        return Claimed(
            customer_id,
            row.tool,
            permit,
            kept["arguments"],
            asker(row),
            row.caller["transport"],
            kept["idempotency_key"],
        )

    async def finish(self, claim: Claimed, result: Result, run_id: str | None, *, told: bool) -> None:
        """Write down what came of an approved call.

        Args:
            run_id: of the call that it was run by.
            told: the call that waited gets this as its answer, so that the next one like it asks anew.
        """
        row = await self.rows.find(claim.customer_id, claim.permit.id)
        if row is not None:
            await self._end(row, result, run_id, told=told)

    async def refuse(self, claim: Claimed, error: HermesError) -> None:
        """Write down that an approved call was not run, as whoever asked may not call any more."""
        row = await self.rows.find(claim.customer_id, claim.permit.id)
        if row is not None:
            await self._end(row, error, None, told=False)
            await self._record(row, asker(row), "approval.run", "denied", error=error.code)

    async def give_up(self, row: ApprovalRow) -> None:
        """Say of one whose run died that nobody knows what came of it."""
        await self._end(row, refusals.lost_run(row), row.run_id, told=False)

    async def take_over(self, row: ApprovalRow, result: Result | None) -> None:
        """Write down what came of a long call that another process brought to its end."""
        await self._end(row, refusals.lost_run(row) if result is None else result, row.run_id, told=False)

    def result(self, row: ApprovalRow) -> Result | None:
        """What came of one that was run; None for every other."""
        if row.sealed_result is None or row.outcome is None:
            return None
        outcome: Any = row.outcome
        return open_result(self._keyring, _name(row, "result"), outcome, row.sealed_result)

    async def arguments(self, row: ApprovalRow) -> list[ShownArgument]:
        """What will be sent, or was.

        Raises:
            Internal: it can no longer be read.
        """
        tool = self._catalog.tools.get(row.tool)
        try:
            if tool is None:
                raise Internal(f"There is no tool {row.tool} any more.")
            return await self._shown(row.customer_id, tool.validate(self.kept(row)))
        except ValidationError:
            raise refusals.unreadable() from None

    def kept(self, row: ApprovalRow) -> dict[str, Any]:
        """The arguments as they came, without the account.

        Raises:
            Internal: they can no longer be read.
        """
        return dict(self._open(row)["arguments"])

    def url(self, approval_id: str) -> str:
        """The page on which the customer decides."""
        return f"{self._page}/{approval_id}"

    async def _pinned(self, caller: Caller, tool: Tool, account: str | None) -> str | None:
        """The account, where the rules depend on it: the one that was looked at is the one that is used."""
        if account is not None or not caller.approval_rules.by_account(tool.name, tool.platform):
            return account
        labels = (await self._accounts.labels(caller)).get(tool.platform, ())
        default = self._accounts.default(caller, tool.platform)
        return default if default in labels or not labels else labels[0]

    async def _ask(self, wanted: Wanted, asking: Asking) -> None:
        """Bring the call to its end; always raises, see `stop`."""
        row = await self._row(wanted, asking)
        if row.status == PENDING:
            row = await self._decided(wanted, row, asking)
        match row.status:
            case "pending" | "expired":
                raise refusals.required(row, self.url(row.id))
            case "denied":
                await self._told(row)
                raise refusals.denied(row)
            case "approved":
                raise Cleared(row)
            case "running":
                raise refusals.running(row)
            case _:
                await self._told(row)
                raise Answered(row.id, self._answer(row, wanted.tool))

    async def _decided(self, wanted: Wanted, row: ApprovalRow, asking: Asking) -> ApprovalRow:
        """Ask the client, and take its answer for the decision. One that cannot be asked is left to our page."""
        if not asking.can("form"):
            return row
        key = _ASK + row.id
        shown = await self._shown(row.customer_id, wanted.arguments)
        title = self._catalog.platforms[row.platform].title
        asked = {key: form(question(wanted.tool, title, row.account, shown), _FORM)}
        answer = asking.answers(asked, asking.kept, proven=True)[key]
        yes = isinstance(answer, ElicitResult) and answer.action == "accept"
        await self.decide(wanted.caller, row, yes=yes, via="client")
        return await self.current(row.customer_id, row.id) or row

    async def _row(self, wanted: Wanted, asking: Asking) -> ApprovalRow:
        """What this call waits for: what its client was asked before, what an equal call waits for, or a new one."""
        customer_id = wanted.caller.customer_id
        for key in asking.asked:
            before = await self.current(customer_id, key.removeprefix(_ASK)) if key.startswith(_ASK) else None
            if before is not None and before.digest == wanted.digest and before.status != EXPIRED:
                return before
        for _ in range(_TRIES):
            row = await self.rows.with_key(customer_id, wanted.open_key)
            if row is None:
                made = await self._new(wanted)
                if made is not None:
                    return made
            elif row.digest != wanted.digest:
                raise Conflict(
                    "This idempotency key was used before with other arguments. Use a new key for a new action.",
                    first_call_id=row.call_id,
                )
            elif not await self.end_if_over(row):
                return row
        raise Conflict(
            "The same call was made too often at once; try again.", retry_after=refusals.SOON, nothing_sent=True
        )

    async def _new(self, wanted: Wanted) -> ApprovalRow | None:
        """Write a call down that waits; None when an equal one came first."""
        caller, now = wanted.caller, self.rows.now()
        if await self.rows.waiting(caller.customer_id) >= MOST_WAITING:
            raise Conflict(
                f"{MOST_WAITING} calls wait for the customer's yes already; nothing was sent. Ask them to decide at "
                f"{self._page} first.",
                nothing_sent=True,
            )
        approval_id = new_id("apv")
        kept = {
            "arguments": wanted.arguments.model_dump(mode="json", exclude_unset=True),
            "account": wanted.asked,
            "idempotency_key": wanted.options.idempotency_key,
        }
        name = approval_name(caller.customer_id, approval_id, "arguments")
        made = await self.rows.insert(
            caller.customer_id,
            approval_id,
            call_id=wanted.call_id,
            tool=wanted.tool.name,
            platform=wanted.tool.platform,
            account=wanted.account,
            sealed_arguments=self._keyring.seal(orjson.dumps(kept), name),
            digest=wanted.digest,
            open_key=wanted.open_key,
            caller=caller_as_json(caller, wanted.options),
            key_id=caller.key_id,
            expires_at=now + self._lifetime,
        )
        return await self.rows.find(caller.customer_id, approval_id) if made else None

    async def end_if_over(self, row: ApprovalRow) -> bool:
        """End one whose time is over, or whose answer no repeated call is to have any more. False: it is not."""
        now = self.rows.now()
        late = {PENDING: row.expires_at, APPROVED: (row.decided_at or now) + self._lifetime}.get(row.status)
        if late is not None:
            if late > now or not await self.rows.expire(row.customer_id, row.id, row.status):
                return False
            await self._record(row, asker(row), "approval.expire", "denied")
            return True
        if row.finished_at is None or row.caller["keyed"] or row.finished_at + _ANSWER_FOR > now:
            return False
        return await self.rows.answered(row.customer_id, row.id)

    async def _end(self, row: ApprovalRow, result: Result, run_id: str | None, *, told: bool) -> None:
        outcome = outcome_of(result)
        status = UNKNOWN if outcome == "outcome_unknown" else DONE
        values: dict[str, Any] = {"open_key": None} if told and not row.caller["keyed"] else {}
        await self.rows.finish(
            row.customer_id,
            row.id,
            status,
            outcome=outcome,
            sealed_result=seal_result(self._keyring, _name(row, "result"), result),
            run_id=run_id,
            **values,
        )

    async def _told(self, row: ApprovalRow) -> None:
        if not row.caller["keyed"]:
            await self.rows.answered(row.customer_id, row.id)

    def _answer(self, row: ApprovalRow, tool: Tool) -> CallResult | HermesError:
        result = self.result(row) or refusals.lost_run(row)
        return result if isinstance(result, HermesError) else CallResult(row.run_id or "", result, tool.shows_blocks)

    async def _shown(self, customer_id: str, arguments: BaseModel) -> list[ShownArgument]:
        found: dict[str, str] = {}
        if self._files is not None:
            for handle in handles(arguments.model_dump(mode="json")):
                with suppress(NotFound):
                    kept = await self._files(customer_id, handle)
                    found[handle] = f"{fence_text(kept.filename)}, {kept.size} bytes"
        return shown_arguments(arguments, found)

    def _open(self, row: ApprovalRow) -> dict[str, Any]:
        try:
            return dict(orjson.loads(self._keyring.open(row.sealed_arguments, _name(row, "arguments"))))
        except Undecryptable as error:
            raise refusals.unreadable(error.reason) from None

    async def _record(self, row: ApprovalRow, by: Caller, action: str, outcome: Any, **more: str) -> None:
        details = {"approval": row.id, "tool": row.tool, "platform": row.platform, **more}
        await audit_action(self._audit, row.customer_id, by, action, row.account, outcome, **details)


def _name(row: ApprovalRow, part: str) -> str:
    return approval_name(row.customer_id, row.id, part)
