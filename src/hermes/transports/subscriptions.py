"""`subscriptions/listen`: one open answer per subscription, on which the customer's own changes are told.

Source: MCP 2026-07-28, basic/patterns/subscriptions; ext-tasks, Task Status Notifications. Every notification says
"look again", so what waits to be sent is a set: however slow a client reads, nothing piles up and nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import orjson
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import INVALID_PARAMS, INVALID_REQUEST, SubscriptionFilter, SubscriptionsListenRequestParams

from hermes.errors import HermesError, RateLimited
from hermes.identity.caller import Caller
from hermes.storage.notices import Notice, Notices
from hermes.transports.inbound import Inbound, inbound_of
from hermes.transports.problem_handlers import STORE_ERRORS
from hermes.transports.tasks import McpTasks

_log = logging.getLogger(__name__)

METHOD: Final = "subscriptions/listen"
PER_CUSTOMER: Final = 32
MOST_NAMES: Final = 100
"""Resources, and tasks, that one subscription may name."""

CHECK_SECONDS: Final = 20.0
"""How often it is looked whether the caller's credential still counts, when nothing is heard of it."""

RECHECK_SECONDS: Final = 5.0
"""When it is looked once more after something was heard: as long as anybody may remember what was."""

SEND_SECONDS: Final = 30.0
"""A client that does not read for so long is taken for gone."""

TOOLS: Final = "notifications/tools/list_changed"
PROMPTS: Final = "notifications/prompts/list_changed"
RESOURCES: Final = "notifications/resources/list_changed"
UPDATED: Final = "notifications/resources/updated"
TASK: Final = "notifications/tasks"

_LISTS: Final = (TOOLS, PROMPTS, RESOURCES)

Refresh = Callable[[Caller], Awaitable[Caller]]
"""The caller as they are now; raises when they may not call any more."""

Readable = Callable[[Caller, str], bool]
"""Whether there may be a resource with this address for the caller."""


class Subscriptions:
    """The handler, and this process's open subscriptions.

    Args:
        notices: tells what changed.
        refresh: reads the caller anew.
        readable: which resources a caller may name.
        tasks: shows tasks, where they are offered.
        per_customer: how many subscriptions one customer may have open in this process.
    """

    def __init__(
        self,
        notices: Notices,
        refresh: Refresh,
        readable: Readable,
        tasks: McpTasks | None = None,
        *,
        per_customer: int = PER_CUSTOMER,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._notices = notices
        self._refresh = refresh
        self._readable = readable
        self._tasks = tasks
        self._per_customer = per_customer
        self._check_seconds = check_seconds
        self._open: set[_Subscription] = set()
        self._count: Counter[str] = Counter()

    def register(self, server: Server[Any]) -> None:
        """Have the SDK's server answer the method, and so declare what can be subscribed to."""
        server.add_request_handler(METHOD, SubscriptionsListenRequestParams, self.listen)

    async def listen(self, context: Any, params: SubscriptionsListenRequestParams) -> dict[str, Any]:
        """Serve one subscription until the client goes, its credential ends, or the server stops.

        Raises:
            MCPError: -32600, the client takes no stream; -32602, it names too much; -32021, it names tasks without
                knowing them.
            RateLimited: the customer has too many open.
            NotAuthenticated, Suspended: the caller may not call any more.
        """
        inbound = inbound_of(context)
        notify = inbound.notify
        if notify is None:
            raise MCPError(code=INVALID_REQUEST, message="Accept must list text/event-stream")
        # A process may remember a caller for five seconds; what stays open begins with what is true now.
        inbound = replace(inbound, caller=await self._refresh(inbound.caller))
        customer_id = inbound.caller.customer_id
        if self._count[customer_id] >= self._per_customer:
            raise RateLimited(
                f"There are {self._per_customer} open subscriptions already; close some.", limited_by="plan"
            )
        meta = {SUBSCRIPTION_ID_META_KEY: context.request_id}
        self._count[customer_id] += 1
        try:
            honoured = await self._honoured(context, inbound, params.notifications)
            subscription = _Subscription(inbound, notify, honoured, meta, self._refresh, self._readable, self._tasks)
            await self._serve(subscription, customer_id)
        finally:
            self._count[customer_id] -= 1
            if not self._count[customer_id]:
                del self._count[customer_id]
        return {"_meta": meta, "resultType": "complete"}

    def end(self) -> None:
        """End every subscription with its result: the server is about to stop."""
        for subscription in list(self._open):
            subscription.end()

    async def _serve(self, subscription: _Subscription, customer_id: str) -> None:
        self._open.add(subscription)
        try:
            await self._notices.listen(customer_id, subscription.hear)
            await subscription.run(self._check_seconds)
        finally:
            self._notices.leave(customer_id, subscription.hear)
            self._open.discard(subscription)

    async def _honoured(self, context: Any, inbound: Inbound, asked: SubscriptionFilter) -> dict[str, Any]:
        """What of the asked this caller will be told: resources that they may read, tasks of their own."""
        uris = asked.resource_subscriptions or []
        task_ids = (asked.model_extra or {}).get("taskIds") or []
        if not isinstance(task_ids, list) or not all(isinstance(each, str) for each in task_ids):
            raise MCPError(code=INVALID_PARAMS, message="taskIds must be a list of task ids")
        if len(uris) > MOST_NAMES or len(task_ids) > MOST_NAMES:
            raise MCPError(code=INVALID_PARAMS, message=f"A subscription names at most {MOST_NAMES} of a kind")
        honoured: dict[str, Any] = {
            name: True
            for name, wanted in (
                ("toolsListChanged", asked.tools_list_changed),
                ("promptsListChanged", asked.prompts_list_changed),
                ("resourcesListChanged", asked.resources_list_changed),
            )
            if wanted
        }
        if readable := [uri for uri in dict.fromkeys(uris) if self._readable(inbound.caller, uri)]:
            honoured["resourceSubscriptions"] = readable
        if task_ids and self._tasks is not None and (known := await self._tasks.known(context, task_ids)):
            honoured["taskIds"] = known
        return honoured


class _Subscription:
    """One open subscription."""

    def __init__(
        self,
        inbound: Inbound,
        notify: Callable[[bytes], Awaitable[None]],
        honoured: dict[str, Any],
        meta: dict[str, Any],
        refresh: Refresh,
        readable: Readable,
        tasks: McpTasks | None,
    ) -> None:
        self._caller = inbound.caller
        self._again = inbound.again
        self._notify = notify
        self._honoured = honoured
        self._meta = meta
        self._refresh = refresh
        self._readable = readable
        self._tasks = tasks
        flags = zip(_LISTS, ("toolsListChanged", "promptsListChanged", "resourcesListChanged"), strict=True)
        self._lists = frozenset(method for method, flag in flags if flag in honoured)
        self._uris = frozenset(honoured.get("resourceSubscriptions", ()))
        self._task_ids = frozenset(honoured.get("taskIds", ()))
        self._waiting: dict[tuple[str, str], None] = {}
        self._caller_changed = False
        self._wake = asyncio.Event()
        self._ended = False

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    def hear(self, notice: Notice) -> None:
        """Take a notice of this customer's changes; what comes of it is sent by `run`."""
        match notice.kind:
            case "caller":
                self._caller_changed = True
            case "accounts":
                self._add_lists(TOOLS, RESOURCES)
            case "notes":
                self._add_lists(RESOURCES)
                self._add_resource(notice.name)
            case "note":
                self._add_resource(notice.name)
            case "call":
                if notice.name in self._task_ids:
                    self._waiting[TASK, notice.name] = None
            case "anything":
                self._add_everything()
        self._wake.set()

    async def run(self, check_seconds: float) -> None:
        """Acknowledge, then tell what changes, until `end` or until the caller may not call any more."""
        clock = asyncio.get_running_loop().time
        look_at = clock() + min(RECHECK_SECONDS, check_seconds)
        await self._send("notifications/subscriptions/acknowledged", notifications=self._honoured)
        while not self._ended:
            await self._woken(look_at - clock())
            if self._caller_changed:
                self._caller_changed, look_at = False, clock() + min(RECHECK_SECONDS, check_seconds)
                look = self._refresh(self._caller)
            elif clock() >= look_at:
                look_at, look = clock() + check_seconds, self._again()
            else:
                look = None
            if look is not None and not await self._still_may(look):
                return
            await self._tell_all()

    async def _woken(self, seconds: float) -> None:
        """Wait for a notice, but not longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _still_may(self, look: Awaitable[Caller]) -> bool:
        """Look at the caller again; what they can do may be another now. False: they may not call any more."""
        try:
            fresh = await look
        except HermesError:
            return False
        except STORE_ERRORS:
            _log.warning("the caller of a subscription could not be looked at again")
            return True
        if _rights(fresh) != _rights(self._caller):
            self._add_lists(*_LISTS)
        self._caller = fresh
        return True

    async def _tell_all(self) -> None:
        while self._waiting and not self._ended and not self._caller_changed:
            method, name = next(iter(self._waiting))
            del self._waiting[method, name]
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await self._tell(method, name)
            except TimeoutError:
                self.end()

    def _add_lists(self, *methods: str) -> None:
        self._waiting.update(dict.fromkeys((method, "") for method in methods if method in self._lists))

    def _add_resource(self, uri: str) -> None:
        if uri in self._uris:
            self._waiting[UPDATED, uri] = None

    def _add_everything(self) -> None:
        self._caller_changed = True
        self._add_lists(*_LISTS)
        self._waiting.update(dict.fromkeys((UPDATED, uri) for uri in self._uris))
        self._waiting.update(dict.fromkeys((TASK, task_id) for task_id in self._task_ids))

    async def _tell(self, method: str, name: str) -> None:
        if method == UPDATED:
            if self._readable(self._caller, name):
                await self._send(method, uri=name)
        elif method != TASK:
            await self._send(method)
        elif self._tasks is not None and (task := await self._tasks.shown(self._caller, name)) is not None:
            await self._send(method, **task)

    async def _send(self, method: str, **params: Any) -> None:
        frame = {"jsonrpc": "2.0", "method": method, "params": {**params, "_meta": self._meta}}
        await self._notify(orjson.dumps(frame))


def _rights(caller: Caller) -> tuple[Any, ...]:
    """What the lists of a caller depend on."""
    return caller.plan, caller.grants, caller.obtainable
