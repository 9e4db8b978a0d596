"""What a person sees of the assistants they let in, and that taking it back is effective everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select, update

from hermes.identity.known_callers import MEMORY_SECONDS
from hermes.oauth.expiry import Expiry
from hermes.oauth.models import OAuthAccessToken, OAuthChain, OAuthCode, OAuthRefreshToken
from oauth.conftest import OPERATOR, Documents, Gateway, Pkce, Replica

pytestmark = pytest.mark.storage


def as_person(customer: Any) -> dict[str, str]:
    return {"x-api-key": customer.key.secret}


async def assistants(replica: Replica, customer: Any) -> list[dict[str, Any]]:
    return list((await replica.http.get("/api/assistants", headers=as_person(customer))).json()["assistants"])


async def call_mcp(replica: Replica, token: str, name: str) -> Any:
    headers = {
        "authorization": f"Bearer {token}",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2025-11-25",
    }
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {}}}
    return await replica.http.post("/mcp", json=call, headers=headers)


async def test_a_person_sees_who_may_do_what(one: Replica, documents: Documents, ada: Any, bob: Any) -> None:
    registered = (await one.register(client_name="Cursor"))["client_id"]
    known = documents.client(client_name="Claude")
    token = (await one.sign_in(ada.row.id, registered, "telegram:read"))["access_token"]
    await one.sign_in(ada.row.id, known, scope="all:read all:write")
    await one.sign_in(bob.row.id, registered)
    assert await one.works(token)
    await one.house.callers.known._background.finish()
    cursor, claude = await assistants(one, ada)
    assert (cursor["name"], cursor["host"], cursor["verified"], cursor["grants"]) == (
        "Cursor",
        None,
        False,
        ["telegram:read"],
    )
    assert datetime.fromisoformat(cursor["last_used_at"]) > datetime.now(UTC) - timedelta(minutes=1)
    assert (claude["name"], claude["host"], claude["verified"]) == ("Claude", f"client.example:{documents.port}", True)
    assert (claude["grants"], claude["last_used_at"], claude["connected"]) == (["*:read", "*:write"], None, True)
    assert "secret" not in str((cursor, claude))


async def test_revoking_is_effective_everywhere(one: Replica, other: Replica, ada: Any, bob: Any) -> None:
    client = (await one.register())["client_id"]
    tokens, of_bob = await one.sign_in(ada.row.id, client), await one.sign_in(bob.row.id, client)
    assert await one.works(tokens["access_token"])
    assert await other.works(tokens["access_token"])
    (assistant,) = await assistants(one, ada)
    path = f"/api/assistants/{assistant['id']}"
    assert (await one.http.delete(path, headers=as_person(bob))).status_code == 404
    assert (await one.http.delete(path, headers=as_person(ada))).status_code == 204
    assert await assistants(one, ada) == []
    assert (await one.http.delete(path, headers=as_person(ada))).status_code == 404

    for replica in (one, other):  # a process may remember whom it knew for five seconds, and no longer
        memory = replica.house.callers.known._memory
        memory._clock = partial(sum, [memory._clock(), MEMORY_SECONDS])
        assert not await replica.works(tokens["access_token"])
        assert await replica.works(of_bob["access_token"])
    assert (await other.refresh(client, tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await other.refresh(client, of_bob["refresh_token"])).status_code == 200


async def test_a_tool_call_notices_at_once(one: Replica, other: Replica, ada: Any) -> None:
    client = (await one.register())["client_id"]
    token = (await one.sign_in(ada.row.id, client, scope="all:read"))["access_token"]
    connection = await one.http.post("/api/connect/obsidian", json={"vault": "notes"}, headers=as_person(ada))
    assert connection.status_code == 200, connection.text
    assert (await call_mcp(one, token, "obsidian_sync_status")).status_code == 200
    (assistant,) = await assistants(other, ada)
    await other.http.delete(f"/api/assistants/{assistant['id']}", headers=as_person(ada))
    # the process still remembers the caller, but the call's admission compares the customer's version
    assert (await call_mcp(one, token, "obsidian_sync_status")).status_code == 401


async def test_an_assistant_that_lacks_a_scope_is_told_which(one: Replica, ada: Any) -> None:
    client = (await one.register())["client_id"]
    token = (await one.sign_in(ada.row.id, client, "telegram:read"))["access_token"]
    refused = await call_mcp(one, token, "telegram_send_message")
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    assert 'scope="telegram:read telegram:write"' in refused.headers["www-authenticate"]


async def test_the_trail_names_the_client(one: Replica, ada: Any) -> None:
    client = (await one.register(client_name="Claude"))["client_id"]
    token = (await one.sign_in(ada.row.id, client, scope="telegram:read"))["access_token"]
    await call_mcp(one, token, "telegram_get_me")
    (assistant,) = await assistants(one, ada)
    await one.http.delete(f"/api/assistants/{assistant['id']}", headers=as_person(ada))
    entries = (await one.http.get("/api/audit", headers=as_person(ada))).json()["entries"]
    lines = {entry["tool"]: entry for entry in entries}
    assert lines["oauth.authorize"]["caller"] == {"kind": "customer", "id": assistant["id"], "client": "Claude"}
    assert lines["oauth.authorize"]["arguments"]["scope"] == "telegram:read"
    # what the person agreed to, not what the program calls itself in its requests
    assert lines["telegram_get_me"]["caller"] == {"kind": "customer", "id": assistant["id"], "client": "Claude"}
    assert lines["oauth.revoke"]["arguments"]["client"] == client
    assert token not in str(entries)


async def test_the_operator_looks_after_a_customers_assistants(one: Replica, ada: Any) -> None:
    await one.sign_in(ada.row.id, (await one.register())["client_id"])
    path = f"/api/admin/customers/{ada.row.id}/assistants"
    (assistant,) = (await one.http.get(path, headers=OPERATOR)).json()["assistants"]
    assert (await one.http.get(path, headers=as_person(ada))).status_code == 403
    assert (await one.http.delete(f"{path}/{assistant['id']}", headers=OPERATOR)).status_code == 204
    assert await assistants(one, ada) == []


async def test_a_new_password_leaves_assistants_alone(one: Replica, gateway: Gateway, ada: Any) -> None:
    client = (await one.register())["client_id"]
    tokens = await one.sign_in(ada.row.id, client)
    person = await one.house.callers.from_api_key(ada.key.secret)
    await one.house.sessions.end_all(ada.row.id, by=person)
    assert await (await gateway.replica()).works(tokens["access_token"])
    assert (await one.refresh(client, tokens["refresh_token"])).status_code == 200


async def test_what_has_ended_is_swept_away(one: Replica, ada: Any) -> None:
    client = (await one.register())["client_id"]
    pkce = Pkce()
    await one.agree(ada.row.id, client, pkce)
    tokens = await one.sign_in(ada.row.id, client)
    renewed = (await one.refresh(client, tokens["refresh_token"])).json()
    ended = await one.sign_in(ada.row.id, client)
    past = datetime.now(UTC) - timedelta(days=2)
    async with one.house.stores.database.session() as session:
        await session.execute(update(OAuthCode).values(expires_at=past))
        await session.execute(update(OAuthAccessToken).values(expires_at=past))
        newest = select(func.max(OAuthChain.id)).scalar_subquery()
        chain = await session.scalar(select(newest))
        await session.execute(update(OAuthChain).where(OAuthChain.id == chain).values(ends_at=past))
        await session.execute(
            update(OAuthRefreshToken).where(OAuthRefreshToken.used_at.is_not(None)).values(used_at=past)
        )
    await Expiry(one.house.stores.database).sweep()
    async with one.house.stores.database.reading() as session:
        left = [
            await session.scalar(select(func.count()).select_from(model))
            for model in (OAuthCode, OAuthAccessToken, OAuthChain)
        ]
        sealed = list(await session.scalars(select(OAuthRefreshToken.sealed_successor)))
    assert left == [0, 0, 1]
    assert sealed == [None, None]
    assert (await one.refresh(client, ended["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await one.refresh(client, renewed["refresh_token"])).status_code == 200
    assert (await assistants(one, ada))[0]["connected"] is True
