"""The pipeline: the only way to run a tool (design.md, section 4).

find the tool → account and arguments → admit (one round trip) → credential → run → settle (one round trip)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog
from pydantic import BaseModel
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from hermes.audit.redaction import redact_arguments
from hermes.audit.trail import new_call_id
from hermes.billing.plans import plan_of
from hermes.billing.quota import Quotas, month_of
from hermes.errors import HermesError, Internal, MissingCapability
from hermes.gateway.accounts import Accounts
from hermes.gateway.admission import Admission, Admissions, Call
from hermes.gateway.approval_calls import Answered, Cleared, key_of, of_approval, without_account
from hermes.gateway.approval_runs import ApprovalRuns
from hermes.gateway.arguments import check_arguments, digest_of, with_account
from hermes.gateway.asking import NOBODY, Asking, Dialogue, InputRequired, RequestStates
from hermes.gateway.connecting import asked_to_open
from hermes.gateway.documents import DocumentNotices
from hermes.gateway.execution import execute
from hermes.gateway.fence import fence_text
from hermes.gateway.grants import is_forbidden, require_grant, shows, unknown
from hermes.gateway.idempotency import Answers, idempotency_key, refusal
from hermes.gateway.long_calls import LongCalls, Run
from hermes.gateway.outcomes import Observer
from hermes.gateway.own_tools import GATEWAY, OwnTools
from hermes.gateway.refusals import limit_refusal
from hermes.gateway.results import TASKS, CallOptions, CallResult, ToolView
from hermes.gateway.settlement import Settlement, Witness
from hermes.identity.caller import Caller
from hermes.identity.callers import Callers
from hermes.platforms.asks import Asked
from hermes.platforms.base import Effect, RateLimit, Tool
from hermes.platforms.catalog import Catalog
from hermes.platforms.context import ToolContext

log = structlog.get_logger(__name__)

METHOD = "tools/call"
"""What a request state of a call is sealed for, by whichever door the call came."""

_ADMIT_TRIES = 6


@dataclass(frozen=True, slots=True)
class _Run:
    """One call on its way through the pipeline."""

    caller: Caller
    options: CallOptions
    started: float
    call: Call
    tool: Tool
    arguments: BaseModel
    account: str | None
    """The account that was asked for; None for the caller's default."""
    digest: str
    pinned: str | None = None
    """The account that the caller's rules were held against, where they depend on it."""
    refreshed: bool = False
    """The caller was read from SQL a moment ago, so no cached version can be newer."""
    asking: Asking = NOBODY
    request: Any = None
    """What the client sends the same each time it is asked; binds the request's state."""


class Gateway:
    """Runs tools for callers. Every transport goes through `call`."""

    def __init__(
        self,
        catalog: Catalog,
        accounts: Accounts,
        admissions: Admissions,
        quotas: Quotas,
        callers: Callers,
        answers: Answers,
        *,
        observe: Observer | None = None,
        long_calls: LongCalls | None = None,
        own: OwnTools | None = None,
        states: RequestStates | None = None,
        documents: DocumentNotices | None = None,
        witness: Witness | None = None,
        approvals: ApprovalRuns | None = None,
    ) -> None:
        self.catalog = catalog
        self._accounts = accounts
        self._admissions = admissions
        self._quotas = quotas
        self._callers = callers
        self._answers = answers
        self._settlement = Settlement(admissions, answers, observe, witness)
        self._long_calls = long_calls
        self._own = own
        self._states = states
        self._tools: Mapping[str, Tool] = {**catalog.tools, **(own.tools if own is not None else {})}
        self._unlisted: Mapping[str, Tool] = {
            name: tool for platform in catalog for name, tool in platform.unlisted.items()
        }
        self._documents = documents
        self._approvals = approvals
        self._limits: Mapping[str, RateLimit | None] = {
            platform.id: next((limit for limit in platform.limits if limit.enforced), None) for platform in catalog
        }

    async def tools(self, caller: Caller) -> list[ToolView]:
        """The tools that this caller may call, or could by asking for more, in catalogue order; the gateway's own stand
        last."""
        labels = await self._accounts.labels(caller)
        return [
            ToolView(
                tool,
                with_account(tool.input_schema, labels[tool.platform])
                if len(labels.get(tool.platform, ())) > 1
                else tool.input_schema,
            )
            for tool in self._tools.values()
            if shows(caller, tool) and not is_forbidden(caller, tool)
        ]

    async def accounts(self, caller: Caller, platform: str) -> Sequence[str]:
        """Labels of the caller's accounts on a platform, the one that is used by default first."""
        return (await self._accounts.labels(caller)).get(platform, ())

    async def current(self, caller: Caller) -> Caller:
        """The caller as they are now, whatever a process remembers; raises as `Callers.refresh`."""
        return await self._callers.refresh(caller)

    async def call(self, caller: Caller, name: str, arguments: Mapping[str, Any], options: CallOptions) -> CallResult:
        """Run one tool for one caller.

        Raises:
            HermesError: whatever stopped it; `UnknownTool` when there is no such tool for this caller. Its `data`
                has `call_id`, by which `GET /api/calls/{id}` tells what became of the call.
            InputRequired: the client has to be asked first; only where the options have a dialogue. Nothing is charged.
        """
        begun = await self.start(caller, name, arguments, options)
        return begun if isinstance(begun, CallResult) else await begun.wait()

    async def start(
        self, caller: Caller, name: str, arguments: Mapping[str, Any], options: CallOptions
    ) -> CallResult | Run:
        """As `call`, but a tool that may take minutes is only begun: what comes back is its run, by then durable."""

        async def work(fresh: Caller, permitted: CallOptions) -> CallResult | Run:
            return await self.start_once(fresh, name, arguments, permitted)

        while True:
            try:
                return await self.start_once(caller, name, arguments, options)
            except Cleared as cleared:
                row = cleared.row
            if self._approvals is None:
                raise TypeError("a call was approved although nobody can approve")
            begun = await self._approvals.in_place(work, caller, row, options)
            if begun is not None:
                return begun
            # Another run was faster, so the next look finds it running, or done.

    async def start_once(
        self, caller: Caller, name: str, arguments: Mapping[str, Any], options: CallOptions
    ) -> CallResult | Run:
        """As `start`, for whoever runs what was approved.

        Raises:
            Cleared: the customer has said yes meanwhile; the call is the catcher's to run.
        """
        started = time.perf_counter()
        call = self._new_call(caller, name, arguments, options)
        try:
            run = await self._prepare(caller, call, name, arguments, options, started)
            call = run.call
            run, label, admission = await self._admit(await self._allowed(run))
        except HermesError as error:
            await self._settlement.close_unrun(of_approval(call, error), "denied", options, started, error)
            raise
        except InputRequired:
            await self._settlement.close_unrun(call, "input_required", options, started)
            raise
        except Answered as answered:
            return await self._answer_again(call, answered, options, started)
        except asyncio.CancelledError:
            self._settlement.give_up(call, "cancelled", options, started)
            raise
        except (RedisError, SQLAlchemyError, TimeoutError) as error:
            raise self._store_failed(call, options, started, error) from None
        if admission.status == "idempotency_done":
            return await self._replay(run, admission)
        if run.tool.long and self._long_calls is not None:
            await self._ask_first(run)
            return await asyncio.shield(
                self._settlement.finish(self._begin(self._long_calls, run, label, admission.detail[0]))
            )
        if run.tool.effect is Effect.READ:
            return await self._run(run, label, admission.detail[0])
        # A write that has begun is finished and settled even when the client goes away.
        return await asyncio.shield(self._settlement.finish(self._run(run, label, admission.detail[0])))

    async def _begin(self, long_calls: LongCalls, run: _Run, label: str, sealed: str) -> Run:
        try:
            return await long_calls.begin(
                run.caller,
                run.call,
                run.tool,
                run.arguments,
                label=label,
                sealed=sealed,
                options=run.options,
                asking=run.asking,
                required=partial(self._required, run),
            )
        except (SQLAlchemyError, TimeoutError) as error:
            raise self._store_failed(run.call, run.options, run.started, error) from None

    async def _ask_first(self, run: _Run) -> None:
        """Have a long tool ask what it needs before it is begun; as `_run`."""
        if run.tool.first is None:
            return
        try:
            await run.tool.first(ToolContext(run.call.id, None, asks=run.asking), run.arguments)
        except Asked as asked:
            await self._settlement.close_unrun(run.call, "input_required", run.options, run.started)
            raise self._required(run, asked) from None
        except HermesError as error:
            error.data.setdefault("call_id", run.call.id)
            await self._settlement.settle(run.call, error, run.options, run.started)
            raise

    def _store_failed(self, call: Call, options: CallOptions, started: float, error: Exception) -> Internal:
        log.error("store_unavailable", error=type(error).__name__)
        self._settlement.give_up(call, "error", options, started)
        return Internal(
            "The gateway's own store did not answer; nothing was sent. Try again shortly.",
            detail=type(error).__name__,
            nothing_sent=True,
            call_id=call.id,
        )

    async def close(self) -> None:
        """Give long calls back, and wait until every other write that has begun is settled."""
        if self._long_calls is not None:
            await self._long_calls.close()
        if self._approvals is not None:
            await self._approvals.close()
        await self._settlement.close()

    def _new_call(self, caller: Caller, name: str, arguments: Mapping[str, Any], options: CallOptions) -> Call:
        tool = self._find(name, options)
        free = tool is not None and (tool.platform == GATEWAY or options.unlisted)
        now = self._admissions.now()
        call_id = new_call_id()
        shown = fence_text(name[:128])
        entry = {
            "id": call_id,
            "at": now.isoformat(),
            "caller": {"kind": caller.kind, "id": caller.key_id, "client": caller.client or options.client},
            "tool": shown,
            "account": None,
            "arguments": redact_arguments(arguments, tool.redactions) if tool else {},
            "request_id": options.request_id,
        }
        if (permit := options.permit) is not None:
            entry["approval"] = {"id": permit.id, "by": permit.by, "via": permit.via}
        return Call(
            id=call_id,
            customer_id=caller.customer_id,
            tool=shown,
            platform=tool.platform if tool else "",
            month=month_of(now),
            counted=not caller.single_user and not free,
            audit_days=plan_of(caller.plan).audit_days,
            entry=entry,
            billable=not free,
        )

    def _find(self, name: str, options: CallOptions) -> Tool | None:
        return (self._unlisted if options.unlisted else self._tools).get(name)

    async def _prepare(
        self,
        caller: Caller,
        call: Call,
        name: str,
        arguments: Mapping[str, Any],
        options: CallOptions,
        started: float,
    ) -> _Run:
        """Find the tool, the account and the arguments. Nothing is reserved yet."""
        tool = self._find(name, options)
        if tool is None:
            raise unknown(name)
        require_grant(caller, tool)
        if tool.task_only and not options.task:
            raise MissingCapability(
                f"{tool.name} takes so long that it only runs as a task: it takes a client that declares {TASKS}.",
                required_capabilities={"extensions": {TASKS: {}}},
            )
        if tool.platform == GATEWAY:
            return _Run(caller, options, started, call, tool, check_arguments(tool, arguments, query=False), None, "")
        permit = options.permit
        if permit is None:
            account, rest = await self._accounts.choose(caller, tool.platform, arguments)
        else:
            account, rest = permit.account, without_account(arguments, permit)
        checked = check_arguments(tool, rest, query=options.query)
        key, digest = "", ""
        if options.idempotency_key is not None or permit is not None:
            key = idempotency_key(caller.customer_id, tool.name, key_of(options))
            asked = account if permit is None else permit.asked
            digest = digest_of(asked or "", checked.model_dump(mode="json"))
        label = account or self._accounts.default(caller, tool.platform)
        call = replace(call, idempotency_key=key, entry={**call.entry, "account": label})
        request = [name, arguments]
        asking = NOBODY
        if self._states is not None:
            asking = self._states.opened(caller, METHOD, request, options.dialogue)
        return _Run(caller, options, started, call, tool, checked, account, digest, asking=asking, request=request)

    def ask_to_open(
        self, caller: Caller, name: str, arguments: Mapping[str, Any], dialogue: Dialogue, error: HermesError
    ) -> InputRequired | None:
        """What to ask because a person has to open a page of ours first; None when the client is not to be asked.

        Raises:
            BadInput: the client's answer, or the state that came with it, does not fit.
        """
        if self._states is None:
            return None
        asking = self._states.opened(caller, METHOD, [name, arguments], dialogue)
        asked = asked_to_open(asking, error)
        return None if asked is None else self._states.required(caller, METHOD, [name, arguments], asking, asked)

    async def _allowed(self, run: _Run) -> _Run:
        """The run, held against the caller's rules.

        Raises:
            HermesError, Cleared, Answered: as `Approvals.stop`.
            InputRequired: the client has to be asked first.
        """
        if self._approvals is None or run.tool.platform == GATEWAY or not run.caller.approval_rules.each:
            return run
        approvals = self._approvals.approvals
        rule, pinned = await approvals.rule_for(run.caller, run.tool, run.account)
        if rule is not None and not run.refreshed:
            # Only what the database says now stops a call: a rule that was loosened counts at once.
            return await self._refreshed(run)
        if rule is not None:
            account = (run.account, pinned)
            try:
                await approvals.stop(
                    rule, run.caller, run.call.id, run.tool, account, run.arguments, run.asking, run.options
                )
            except Asked as asked:
                raise self._required(run, asked) from None
        return run if pinned is None else _on(replace(run, pinned=pinned), pinned)

    def _required(self, run: _Run, asked: Asked) -> InputRequired:
        """What the client has to be asked before the call can be run."""
        if self._states is None:
            raise TypeError("a tool asked although nobody can be asked")
        return self._states.required(run.caller, METHOD, run.request, run.asking, asked)

    async def _admit(self, run: _Run) -> tuple[_Run, str, Admission]:
        """Reserve the call. What is missing (a fresh caller, the credential, the month's count) is fetched, once each.

        Returns:
            The run with the caller as they are now, the account's label, and the script's answer: `admitted` with the
            sealed credential, or `idempotency_done` with the first answer.
        """
        label = self._meant(run)
        for _ in range(_ADMIT_TRIES):
            plan = plan_of(run.caller.plan)
            admission = await self._admissions.admit(
                run.call,
                run.caller,
                plan,
                credential_key=self._credential_key(run, label),
                vendor_limit=self._limits.get(run.tool.platform),
                account=label,
                digest=run.digest,
                timeout=run.tool.timeout,
                check_version=not run.refreshed and not run.caller.single_user,
            )
            match admission.status:
                case "admitted" | "idempotency_done":
                    return run, label, admission
                case "stale":
                    run = await self._refreshed(run)
                    label = self._meant(run)
                    run = _on(run, label)
                case "no_credential":
                    label = await self._accounts.fill(run.caller, run.tool.platform, run.account or run.pinned)
                    run = _on(run, label)
                case "quota_unknown":
                    await self._quotas.restore(run.call.customer_id, run.call.month)
                case "quota_exceeded" | "rate_limited" | "vendor_limited":
                    raise limit_refusal(admission, self._admissions, plan, run.tool)
                case _:
                    raise refusal(admission.status, admission.detail[0])
        raise Internal(
            "The account is being changed right now; nothing was sent. Try again shortly.", nothing_sent=True
        )

    def _meant(self, run: _Run) -> str:
        """The label of the account that the call asks for, or else of the caller's default one."""
        return run.account or run.pinned or self._accounts.default(run.caller, run.tool.platform)

    def _credential_key(self, run: _Run, label: str) -> str:
        if run.tool.platform == GATEWAY:
            return ""
        return self._accounts.credential_key(run.caller, run.tool.platform, label)

    async def _refreshed(self, run: _Run) -> _Run:
        """The run with the caller as the database has them now; their plan or grants may have changed."""
        caller = await self._callers.refresh(run.caller)
        require_grant(caller, run.tool)
        return await self._allowed(replace(run, caller=caller, refreshed=True))

    async def _run(self, run: _Run, label: str, sealed: str) -> CallResult:
        """Run an admitted call and settle it, whatever happens; one that has to ask is settled too, and not charged."""
        try:
            structured = await self._execute(run, label, sealed)
        except HermesError as error:
            error.data.setdefault("call_id", run.call.id)
            await self._settlement.settle(run.call, error, run.options, run.started)
            raise
        except asyncio.CancelledError:
            await asyncio.shield(self._settlement.close_unrun(run.call, "cancelled", run.options, run.started))
            raise
        except Asked as asked:
            await self._settlement.close_unrun(run.call, "input_required", run.options, run.started)
            raise self._required(run, asked) from None
        await self._settlement.settle(run.call, structured, run.options, run.started)
        if self._documents is not None:
            self._documents.after(run.caller, run.tool, label, structured)
        return CallResult(run.call.id, structured, run.tool.shows_blocks, run.call.entry["account"])

    async def _execute(self, run: _Run, label: str, sealed: str) -> dict[str, Any]:
        context = ToolContext(run.call.id, run.options.report, asks=run.asking, log=run.options.log)
        if self._own is not None and run.tool.platform == GATEWAY:
            return await self._own.run(run.caller, run.tool, run.arguments, context)
        return await execute(self._accounts, run.caller, run.tool, run.arguments, context, label=label, sealed=sealed)

    async def _answer_again(self, call: Call, answered: Answered, options: CallOptions, started: float) -> CallResult:
        """Give what came of the approved call; audited, not charged."""
        call = replace(call, idempotency_key="", entry={**call.entry, "approval": {"id": answered.approval_id}})
        if isinstance(answered.result, CallResult):
            await self._settlement.close_unrun(call, "replayed", options, started)
            return answered.result
        await self._settlement.close_unrun(call, "replayed", options, started, answered.result)
        raise answered.result

    async def _replay(self, run: _Run, admission: Admission) -> CallResult:
        """Give the first answer again; audited, not charged."""
        call = replace(run.call, idempotency_key="", counted=False)
        try:
            result = self._answers.replay(run.call.idempotency_key, admission.detail[1], run.tool.shows_blocks)
        except HermesError as error:
            await self._settlement.close_unrun(call, "replayed", run.options, run.started, error)
            raise
        await self._settlement.close_unrun(call, "replayed", run.options, run.started)
        return result


def _on(run: _Run, label: str) -> _Run:
    """The run, whose audit line names the account that is used; the gateway's own tools use none."""
    if run.tool.platform == GATEWAY:
        return run
    return replace(run, call=replace(run.call, entry={**run.call.entry, "account": label}))
