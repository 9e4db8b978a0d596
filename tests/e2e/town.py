"""A town of customers: each uses its own accounts and tries its neighbours' ids, then everything is accounted for."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from sqlalchemy import select
from tenants import DOORS, Stream, Tenant, but_arguments, number
from tricks import Tricks

from hermes.webhooks.models import MessageStatusRow

MARKED_KEY = re.compile(
    r"(creds|creds_version|log_seq|log_ids|logs|quota|rate|idem|pending|lock|sse|customer:version|platform_health"
    r"|limits:\{LIMITER/connections\.check)[:/](cus_[0-9a-z]{26})([:/]|$)"
)
FEW = 10
LONG = (
    "do_ask_first", "do_choose_an_account", "do_connect_again", "do_look_after_accounts",
    "try_accounts", "try_approvals", "try_number",
)  # fmt: skip
"""Only so many customers also look after their accounts, link them again and say yes and no: it takes long, and more
show no more."""
SOME = 60
BESIDES_CALLS = (
    "do_change_keys", "do_keep_a_file", "try_files", "try_keys", "try_operators_routes", "try_to_be_another",
)  # fmt: skip
"""Only so many use the API for more than calls."""
SHARED_KEYS = re.compile(
    r"(lock:)?(jobs|usage:stream|pending:index|wa_phone_id|routing|cron)(:|$)"
    r"|customer:(apikey:[0-9a-f]{64}|session:ses_[0-9a-z]{26})$"
)


class Town(Tricks):
    """All customers on one hermes.

    Args:
        base: where hermes answers; `sandbox`: where its stand-ins do.
        operator_key: makes the customers.
        house: the rooms of a hermes on the same stores.
        redis: its Redis, to hold the keys against contract.md.
    """

    def __init__(
        self, base: str, sandbox: str, operator_key: str, house: Any, redis: Any, *, customers: int, steps: int,
        seed: int = 7,
    ) -> None:  # fmt: skip
        super().__init__(base, sandbox, operator_key)
        self.house, self.redis, self.steps, self.seed = house, redis, steps, seed
        self.tenants = [Tenant(n, "growth" if n % 4 == 1 else "starter") for n in range(customers)]
        self.others: set[str] = set()
        """Customers that are none of ours, and whose keys may lie about."""

    async def run(self) -> None:
        """Everything: settle in, live side by side, and account for what was done."""
        async with AsyncExitStack() as stack:
            await self.open(stack)
            listed = await self.operator("GET", "/api/admin/customers?limit=200")
            self.others |= {customer["id"] for customer in listed["customers"]}
            await self._create(self.tenants[0])
            await self.get(self.tenants[0], "/api/me")
            # What the first one is remembered as in Redis, others might find.
            while not await self.redis.keys("customer:apikey:*"):  # noqa: ASYNC110  (it can only be looked at)
                await asyncio.sleep(0.01)
            await self._all(self._create, self.tenants[1:])
            await self._all(self._settle_in)
            for tenant in self.tenants:
                stack.push_async_callback(tenant.stream.close)
            await self._all(self._live)
            await self._run_at_the_same_time(self.tenants[:3])
            await self.in_sandbox("/_sandbox/advance", {"seconds": 30})
            await self._until_read()
            await self._all(self._learn_status)
            await self._forget_in_redis()
            await self._all(self._go_on)
            await self._all(self._account_for)
            await self._operate()
            await self._look_at_the_platforms()
            await self._look_at_redis()

    async def _all(self, part: Callable[[Tenant], Awaitable[None]], tenants: list[Tenant] | None = None) -> None:
        async with asyncio.TaskGroup() as group:
            for tenant in self.tenants if tenants is None else tenants:
                group.create_task(part(tenant))  # type: ignore[arg-type]  # every part is a coroutine function

    # settling in

    async def _create(self, tenant: Tenant) -> None:
        wanted = {"email": f"tenant{tenant.number}@example.com", "plan": tenant.plan}
        made = await self.operator("POST", "/api/admin/customers", wanted)
        tenant.id, tenant.key = made["id"], made["api_key"]
        self.watch.belongs(tenant)

    async def _settle_in(self, tenant: Tenant) -> None:
        await self._connect(tenant, "obsidian", {"vault": "notes"})
        await self._connect(tenant, "telegram", {"bot_token": tenant.bot_token})
        await self._connect(tenant, "whatsapp", number(tenant.phone, tenant.business, tenant.wa_token))
        if tenant.label:
            await self._connect(tenant, "telegram", {"bot_token": tenant.second_token, "account": tenant.label})
        keys = (await self.get(tenant, "/api/api-keys"))["api_keys"]
        assert len(keys) == 1
        tenant.key_id = keys[0]["id"]
        tenant.keys = [tenant.key_id]
        tenant.stream = Stream(self.streams, self.base, tenant, self.watch)
        await tenant.stream.endpoint
        tenant.session = await self.house.sessions.begin(tenant.id, client="town")
        if tenant.is_asked:
            rule = f"/api/admin/customers/{tenant.id}/approval-rules/obsidian_update_note"
            await self.operator("PUT", rule, {"rule": "ask"})
        await self._person_writes(tenant)

    async def _person_writes(self, tenant: Tenant) -> None:
        told = {"text": f"{tenant.mark} hello", "chat_id": str(tenant.chat), "from_id": str(tenant.chat)}
        await self.in_sandbox("/_sandbox/actions/telegram/message", {"token": tenant.bot_token, **told})
        await self.in_sandbox("/_sandbox/actions/whatsapp/message", {"token": tenant.wa_token, **told})

    # living

    async def _live(self, tenant: Tenant) -> None:
        rng = random.Random(f"{self.seed} {tenant.number}")  # noqa: S311  (only chooses what a customer does)
        deeds = [getattr(self, name) for name in dir(self) if name.startswith("do_")]
        tricks = [getattr(self, name) for name in dir(self) if name.startswith("try_")]
        plan = [*deeds, *tricks, *rng.choices(deeds, k=max(self.steps - len(deeds), 0))]
        left_out = (LONG if tenant.number >= FEW else ()) + (BESIDES_CALLS if tenant.number >= SOME else ())
        plan = [deed for deed in plan if deed.__name__ not in left_out]
        rng.shuffle(plan)
        for deed in plan:
            await deed(tenant, rng)

    async def do_send(self, tenant: Tenant, rng: random.Random) -> None:
        text = f"{tenant.mark} {rng.getrandbits(40):x}"
        door = rng.choice(DOORS)
        sent = await self.call(tenant, door, "telegram_send_message", chat_id=tenant.chat, text=text)
        assert sent.structured["text"] == text, sent
        tenant.sent[text] += 1

    async def do_know_oneself(self, tenant: Tenant, rng: random.Random) -> None:
        second = tenant.label is not None and rng.random() < 0.5
        account = {"account": tenant.label} if second else {}
        me = await self.call(tenant, rng.choice(DOORS), "telegram_get_me", **account)
        assert me.structured["id"] == (tenant.second_bot if second else tenant.bot), me

    async def do_read_updates(self, tenant: Tenant, rng: random.Random) -> None:
        updates = await self.call(tenant, rng.choice(DOORS), "telegram_get_updates")
        assert tenant.mark in json.dumps(updates.structured), updates

    async def do_keep_a_diary(self, tenant: Tenant, rng: random.Random) -> None:
        text, note = f"{tenant.mark} {rng.getrandbits(40):x}", {"path": "Diary.md"}
        written = await self.call(
            tenant, rng.choice(DOORS), "obsidian_append_to_note", content=text, create=True, **note
        )
        assert written.error is None, written
        read = await self.call(tenant, rng.choice(DOORS), "obsidian_read_note", **note)
        assert text in json.dumps(read.structured), read
        found = await self.call(tenant, rng.choice(DOORS), "obsidian_search_notes", query="/mk[0-9]+x/")
        assert tenant.mark in json.dumps(found.structured), found

    async def do_write_by_whatsapp(self, tenant: Tenant, rng: random.Random) -> None:
        text = f"{tenant.mark} {rng.getrandbits(40):x}"
        sent = await self.call(tenant, rng.choice(DOORS), "whatsapp_send_message", to="+4915112345678", text=text)
        assert sent.error is None, sent
        tenant.wamid = sent.structured["message_id"]
        tenant.sent[text] += 1

    async def do_list_tools(self, tenant: Tenant, _rng: random.Random) -> None:
        body = {"jsonrpc": "2.0", "id": next(self.next_ids), "method": "tools/list", "params": {}}
        tools = (await tenant.stream.request(body))["result"]["tools"]
        shown = next(tool for tool in tools if tool["name"] == "telegram_get_me")["inputSchema"]["properties"]
        assert shown.get("account", {}).get("enum", []) == (["default", tenant.label] if tenant.label else []), shown

    async def do_repeat(self, tenant: Tenant, rng: random.Random) -> None:
        """The same idempotency key as everybody else's, twice, with texts of one's own."""
        text = f"{tenant.mark} once"
        if not tenant.sent[text]:
            tenant.sent[text] += 1
            for kind in ("success", "replayed"):
                arguments = {"chat_id": tenant.chat, "text": text}
                sent = await self.call(tenant, rng.choice(DOORS), "telegram_send_message", idem="same", **arguments)
                assert sent.structured["text"] == text, sent
                tenant.done["telegram_send_message", "success"] -= 1
                tenant.done["telegram_send_message", kind] += 1

    async def do_change_keys(self, tenant: Tenant, _rng: random.Random) -> None:
        if len(tenant.keys) == 1:
            made = await self.send(tenant, "POST", "/api/api-keys", {"name": tenant.mark}, 201)
            tenant.keys.append(made["id"])
            assert (await self.get(tenant, f"/api/api-keys/{made['id']}"))["name"] == tenant.mark
            await self.send(tenant, "DELETE", f"/api/api-keys/{made['id']}", None, 204)

    async def do_keep_a_file(self, tenant: Tenant, _rng: random.Random) -> None:
        if not tenant.file:
            tenant.file = (await self.send(tenant, "PUT", "/api/media?filename=a.txt", tenant.mark, 201))["handle"]
        assert (await self.get(tenant, f"/api/media/{tenant.file}"))["handle"] == tenant.file
        assert await self.get(tenant, f"/api/media/{tenant.file}/content") == tenant.mark
        spare = (await self.send(tenant, "PUT", "/api/media?filename=b.txt", tenant.mark, 201))["handle"]
        await self.send(tenant, "DELETE", f"/api/media/{spare}", None, 204)

    async def do_ask_first(self, tenant: Tenant, rng: random.Random) -> None:
        """Half of the customers want to be asked before a note is made, and say yes."""
        if tenant.asked:
            return
        note = {"path": "Asked.md", "content": f"{tenant.mark} asked", "create": True}
        tenant.asked = True
        first = await self.call(tenant, rng.choice(DOORS), "obsidian_update_note", **note)
        assert first.error == ("approval_required" if tenant.is_asked else None), first
        if not tenant.is_asked:
            return
        (waiting,) = (await self.get(tenant, "/api/approvals"))["approvals"]
        tenant.approval = waiting["id"]
        await self.get(tenant, "/api/approval-rules")
        await self._as_person(tenant, "POST", f"/api/approvals/{tenant.approval}/approve")
        for _ in range(300):
            shown = await self.get(tenant, f"/api/approvals/{tenant.approval}")
            if shown["status"] == "done":
                break
            await asyncio.sleep(0.05)
        assert (shown["status"], shown["problem"]) == ("done", None), shown
        tenant.done["obsidian_update_note", "success"] += 1
        again = await self.call(tenant, rng.choice(DOORS), "obsidian_update_note", **note)
        assert again.structured == shown["result"], again
        tenant.done["obsidian_update_note", "success"] -= 1
        tenant.done["obsidian_update_note", "replayed"] += 1
        read = await self.call(tenant, rng.choice(DOORS), "obsidian_read_note", path="Asked.md")
        assert note["content"] in json.dumps(read.structured), read
        third = await self.call(tenant, rng.choice(DOORS), "obsidian_update_note", **note)
        assert third.error == "approval_required", third
        waiting = (await self.get(tenant, "/api/approvals?status=pending"))["approvals"]
        (second,) = (one["id"] for one in waiting)
        await self._as_person(tenant, "POST", f"/api/approvals/{second}/deny")
        await self._as_person(tenant, "DELETE", "/api/approval-rules/obsidian_update_note", 204)
        assert (await self.get(tenant, "/api/approval-rules"))["rules"] == []

    async def do_choose_an_account(self, tenant: Tenant, rng: random.Random) -> None:
        if tenant.label:
            for label, bot in ((tenant.label, tenant.second_bot), ("default", tenant.bot)):
                await self.send(tenant, "PUT", "/api/connections/telegram/default", {"account": label})
                me = await self.call(tenant, rng.choice(DOORS), "telegram_get_me")
                assert me.structured["id"] == bot, me

    async def do_look_after_accounts(self, tenant: Tenant, _rng: random.Random) -> None:
        if not tenant.checked:
            label = tenant.checked = tenant.label or "default"
            before = await self._looks(tenant)
            looks = [await self.send(tenant, "POST", f"/api/connections/telegram/check?account={label}") for _ in "ab"]
            assert (looks[0]["outcome"], looks[0]["account"]) == ("works", label), looks
            assert looks[1] == looks[0], "the second look is not the first one's answer"
            after = await self._looks(tenant)
            assert [name for name in after if after[name] != before[name]] == [("telegram", label)], (before, after)
            tenant.steps = await self._steps(tenant)
            assert tenant.steps, "nothing was set up"
            await self.send(tenant, "POST", "/api/connections/whatsapp/steps")
            assert await self._steps(tenant) == tenant.steps

    async def _steps(self, tenant: Tenant) -> list[Any]:
        """How the steps of the customer's WhatsApp number stand; one of them shows the number."""
        details = (await self.get(tenant, "/api/connections"))["details"]
        return next(one["steps"] for one in details if one["platform"] == "whatsapp")

    async def _looks(self, tenant: Tenant) -> dict[tuple[str, str], str]:
        """Account → when it was looked at last."""
        details = (await self.get(tenant, "/api/connections"))["details"]
        return {(one["platform"], one["account"]): one["last_checked_at"] for one in details}

    async def do_connect_again(self, tenant: Tenant, _rng: random.Random) -> None:
        await self._connect(tenant, "whatsapp", number(tenant.phone, tenant.business, tenant.wa_token))

    # what runs at the same time, and what comes later

    async def _run_at_the_same_time(self, tenants: list[Tenant]) -> None:
        """Calls under way are their customers' own too: seen by nobody else, and filed under their id."""

        firsts = [await self.call(tenant, "rest", "telegram_get_updates", limit=100) for tenant in tenants]

        async def wait_for_update(tenant: Tenant, offset: int) -> None:
            later = await self.call(tenant, "legacy", "telegram_get_updates", offset=offset, timeout=20)
            assert tenant.mark in json.dumps(later.structured), later

        async with asyncio.TaskGroup() as group:
            waiting = [
                group.create_task(wait_for_update(tenant, first.structured["next_offset"]))
                for tenant, first in zip(tenants, firsts, strict=True)
            ]
            pending: list[str] = []
            deadline = asyncio.get_running_loop().time() + 5
            while len(pending) < len(tenants) or None in await self._running(pending):
                pending = await self.redis.zrange("pending:index", 0, -1)
                failed = next((task for task in waiting if task.done()), None)
                assert failed is None, failed
                assert asyncio.get_running_loop().time() < deadline, "the calls under way are not to be found"
                await asyncio.sleep(0.01)
            await self._look_at_redis()
            for member in pending:
                customer_id, _, call_id = member.partition(":")
                for tenant in tenants:
                    mine = tenant.id == customer_id
                    status = await self.get(tenant, f"/api/calls/{call_id}", 200 if mine else 404)
                    assert not mine or status["status"] == "running"
                assert any(tenant.id == customer_id for tenant in tenants), f"{member} is nobody's"
            for tenant in tenants:
                await self._person_writes(tenant)

    async def _running(self, pending: list[str]) -> list[Any]:
        return await self.redis.mget([f"pending:{member}" for member in pending])

    async def _until_read(self) -> None:
        """Wait for the platform to tell that every message was read."""
        sent = {tenant.wamid for tenant in self.tenants}
        read = select(MessageStatusRow.message_id).where(MessageStatusRow.status == "read")
        async with asyncio.timeout(60):
            while True:
                async with self.house.stores.database.reading() as session:
                    if sent <= set(await session.scalars(read)):
                        return
                await asyncio.sleep(0.1)

    async def _learn_status(self, tenant: Tenant) -> None:
        status = await self.call(tenant, "rest", "whatsapp_get_message_status", message_id=tenant.wamid)
        assert status.structured["status"] == "read", status
        other = self.tenants[tenant.number - 1]
        theirs = await self.call(tenant, "rest", "whatsapp_get_message_status", message_id=other.wamid)
        assert theirs.structured["status"] == "unknown", theirs
        texts = [str(message.text) for message in await self.house.inbound.messages(tenant.id)]
        assert texts, "no message was received"
        assert set(texts) == {f"{tenant.mark} hello"}, texts

    async def _forget_in_redis(self) -> None:
        """Lose what Redis only has a copy of: it is found again in SQL, and everybody's own."""
        for pattern in ("creds:*", "quota:*", "wa_phone_id:*", "customer:apikey:*", "customer:version:*"):
            lost = [key async for key in self.redis.scan_iter(pattern, count=5000)]
            await self.redis.delete(*lost)

    async def _go_on(self, tenant: Tenant) -> None:
        await self.do_send(tenant, random.Random(tenant.number))  # noqa: S311  (only chooses a door)
        if tenant.label is None:
            return
        failure = {"platform": "telegram", "token": tenant.second_token, "kind": "error", "code": 401}
        await self.in_sandbox("/_sandbox/failures", failure)
        refused = await self.call(tenant, "rest", "telegram_get_me", account=tenant.label)
        assert refused.error == "needs_reconnect", refused
        tenant.done["telegram_get_me", "denied"] -= 1
        tenant.done["telegram_get_me", "error"] += 1
        details = (await self.get(tenant, "/api/connections"))["details"]
        dead = [one["account"] for one in details if one["status"] == "needs_reconnect"]
        assert dead == [tenant.label], details
        await self.send(tenant, "DELETE", f"/api/connections/telegram?account={tenant.label}")

    # accounting

    async def _account_for(self, tenant: Tenant) -> None:
        # Usage is asked for at once, while the last call's row is still on its way to SQL.
        await self.do_send(tenant, random.Random(tenant.number))  # noqa: S311  (only chooses a door)
        usage = await self.get(tenant, "/api/usage")
        lines = await self._audit(tenant)
        calls = [line for line in lines if "." not in line["tool"]]
        assert Counter((line["tool"], line["outcome"]) for line in calls) == +tenant.done
        assert tenant.call_ids <= {line["id"] for line in calls}
        assert {line["caller"]["id"] for line in calls} == {tenant.key_id}
        expected = Counter({tool: n for (tool, outcome), n in tenant.done.items() if outcome == "success" and n})
        assert usage["by_tool"] == dict(expected), (usage, expected)
        assert (usage["used"], usage["remaining"]) == (expected.total(), usage["limit"] - expected.total())
        linked = (await self.get(tenant, "/api/connections"))["details"]
        assert not tenant.steps or await self._steps(tenant) == tenant.steps
        assert sorted(one["external_id"] for one in linked) == sorted(["notes", str(tenant.bot), tenant.phone])
        keys = (await self.get(tenant, "/api/api-keys?revoked=true"))["api_keys"]
        assert [key["id"] for key in keys] == tenant.keys
        actions = Counter(line["tool"] for line in lines if "." in line["tool"])
        assert actions["connection.connect"] == tenant.connects, actions
        assert actions["connection.disconnect"] == (tenant.label is not None)
        assert actions["customer.create"] == 1
        seen = await self.operator("GET", f"/api/admin/customers/{tenant.id}/usage")
        assert (seen["customer_id"], seen["used"]) == (tenant.id, usage["used"])

    async def _audit(self, tenant: Tenant) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = await self.get(tenant, f"/api/audit?limit=23{cursor}")
            lines += page["entries"]
            if page["next_cursor"] is None:
                return lines
            cursor = f"&cursor={page['next_cursor']}"

    async def _operate(self) -> None:
        """What the operator does to one customer is done to that one."""
        first, second = (f"/api/admin/customers/{tenant.id}" for tenant in self.tenants[:2])
        await self.operator("PUT", f"{first}/plan", {"plan": "enterprise"})
        await self.operator("POST", f"{second}/suspend")
        for tenant in self.tenants[:3]:
            shown = await self.operator("GET", f"/api/admin/customers/{tenant.id}")
            assert (shown["plan"] == "enterprise") == (tenant.number == 0), shown
            assert (shown["status"] == "suspended") == (tenant.number == 1), shown
        await self.operator("POST", f"{second}/resume")
        assert (await self.operator("GET", second))["status"] == "active"
        assert (await self.call(self.tenants[0], "rest", "telegram_get_me")).error is None

    async def _look_at_the_platforms(self) -> None:
        """What reached the stand-ins under a customer's token is that customer's; each text came as often as sent."""
        async with self.http.get(f"{self.sandbox}/_sandbox/requests?limit=1000000") as response:
            records = (await response.json())["requests"]
        tokens = {
            hashlib.sha256(token.encode()).hexdigest()[:12]: tenant
            for tenant in self.tenants
            for token in (tenant.bot_token, tenant.second_token, tenant.wa_token)
        }
        received: Counter[str] = Counter()
        for record in records:
            tenant = tokens.get(record["account"])
            if tenant is not None:
                received.update(re.findall(r"mk\d{4}x[0-9a-f]{8} [0-9a-z]+", record["body"]))
                self.watch.look(tenant, record["body"])
        expected = sum((tenant.sent for tenant in self.tenants), Counter[str]())
        assert received == expected, (received - expected, expected - received)

    async def _look_at_redis(self) -> None:
        """Every key is filed under its customer's id, as contract.md says, and holds nothing of another's."""
        known = {tenant.id: tenant for tenant in self.tenants}
        async for key in self.redis.scan_iter(count=5000):
            marked = MARKED_KEY.match(key)
            if marked is None:
                assert SHARED_KEYS.match(key), f"the key {key} is nobody's"
            elif marked[2] not in self.others:
                assert marked[2] in known, f"the key {key} is nobody's"
                tenant = known[marked[2]]
                self.watch.look(tenant, key)
                if marked[1] in ("logs", "pending"):
                    self.watch.look(tenant, but_arguments(await self.redis.get(key) or ""))
