"""What customers of a town try with their neighbours' ids, wherever an id can be given."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

from tenants import DOORS, Doors, Tenant, but_arguments, number


class Tricks(Doors):
    """The tries, and what they share with what a customer does honestly."""

    tenants: list[Tenant]

    async def _connect(self, tenant: Tenant, platform: str, credentials: dict[str, str], status: int = 200) -> None:
        tenant.connects += 1
        await self.send(tenant, "POST", f"/api/connect/{platform}", credentials, status)

    async def _as_person(self, tenant: Tenant, method: str, path: str, status: int = 200) -> Any:
        """As `send`, signed in instead of with a key."""
        return await self.send(tenant, method, path, None, status, authorization=f"Bearer {tenant.session}")

    def _neighbour(self, tenant: Tenant, rng: random.Random) -> Tenant:
        return rng.choice([one for one in self.tenants if one is not tenant])

    async def try_calls(self, tenant: Tenant, rng: random.Random) -> None:
        other = self._neighbour(tenant, rng)
        if other.call_ids:
            await self.get(tenant, f"/api/calls/{rng.choice(sorted(other.call_ids))}", 404)
        if tenant.call_ids:
            mine = rng.choice(sorted(tenant.call_ids))
            assert (await self.get(tenant, f"/api/calls/{mine}"))["id"] == mine

    async def try_keys(self, tenant: Tenant, rng: random.Random) -> None:
        other = self._neighbour(tenant, rng)
        await self.get(tenant, f"/api/api-keys/{other.key_id}", 404)
        await self.send(tenant, "DELETE", f"/api/api-keys/{other.key_id}", None, 404)
        for known in (other.key_id, "key_"):
            cursor = base64.urlsafe_b64encode(known.encode()).decode().rstrip("=")
            await self.get(tenant, f"/api/api-keys?cursor={cursor}&revoked=true&customer_id={other.id}")

    async def try_files(self, tenant: Tenant, rng: random.Random) -> None:
        other = self._neighbour(tenant, rng)
        if other.file:
            await self.get(tenant, f"/api/media/{other.file}", 404)
            await self.get(tenant, f"/api/media/{other.file}/content", 404)
            await self.send(tenant, "DELETE", f"/api/media/{other.file}", None, 404)

    async def try_approvals(self, tenant: Tenant, rng: random.Random) -> None:
        other = self._neighbour(tenant, rng)
        if other.approval:
            await self.get(tenant, f"/api/approvals/{other.approval}", 404)
            for answer in ("approve", "deny"):
                await self._as_person(tenant, "POST", f"/api/approvals/{other.approval}/{answer}", 404)

    async def try_accounts(self, tenant: Tenant, rng: random.Random) -> None:
        other = f"lab{self._neighbour(tenant, rng).number:04d}"
        await self.send(tenant, "PUT", "/api/connections/telegram/default", {"account": other}, 404)
        await self.send(tenant, "POST", f"/api/connections/telegram/check?account={other}", None, 404)

    async def try_operators_routes(self, tenant: Tenant, rng: random.Random) -> None:
        other = self._neighbour(tenant, rng)
        for part in ("", "/audit", "/usage", "/connections", "/api-keys", "/approval-rules"):
            await self.get(tenant, f"/api/admin/customers/{other.id}{part}", 403)

    async def try_to_be_another(self, tenant: Tenant, rng: random.Random) -> None:
        other = self._neighbour(tenant, rng)
        headers = {"x-customer-id": other.id, "x-forwarded-user": other.id, "cookie": f"session={other.id}"}
        for path in ("/api/audit", "/api/usage", "/api/connections", "/api/me"):
            answer = await self.get(tenant, f"{path}?customer_id={other.id}&account={other.id}", **headers)
            assert other.id not in but_arguments(json.dumps(answer, separators=(",", ":")))

    async def try_arguments(self, tenant: Tenant, rng: random.Random) -> None:
        other = self._neighbour(tenant, rng)
        for name, value in (("customer_id", other.id), ("account", f"lab{other.number:04d}")):
            refused = await self.call(tenant, rng.choice(DOORS), "telegram_get_me", **{name: value})
            assert refused.error == "invalid_arguments", refused

    async def try_paths(self, tenant: Tenant, rng: random.Random) -> None:
        other = self._neighbour(tenant, rng)
        for path in (f"../../{other.id}/notes/Diary.md", f"../{other.id}/notes/Diary"):
            refused = await self.call(tenant, rng.choice(DOORS), "obsidian_read_note", path=path)
            assert refused.error is not None, refused
            tenant.done["obsidian_read_note", "denied"] -= 1
            tenant.done["obsidian_read_note", "error"] += 1

    async def try_stream(self, tenant: Tenant, rng: random.Random) -> None:
        other = self._neighbour(tenant, rng)
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        await self.send(tenant, "POST", await other.stream.endpoint, ping, 404)

    async def try_number(self, tenant: Tenant, rng: random.Random) -> None:
        other = self._neighbour(tenant, rng)
        await self._connect(tenant, "whatsapp", number(other.phone, other.business, tenant.wa_token), 404)
        both = f"EAAsandbox-{other.phone}-{other.business}-{tenant.mark}"
        await self._connect(tenant, "whatsapp", number(other.phone, other.business, both), 409)
        await self.send(tenant, "DELETE", f"/api/connections/telegram?account=lab{other.number:04d}", None, 404)
