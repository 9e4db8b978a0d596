"""The routes of linked accounts, for customers and for the operator acting for one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import httpx2 as httpx
import pytest
from fastapi import FastAPI, Header, Path, Request
from sqlalchemy import event
from starlette.responses import JSONResponse

from hermes.connections.checks import ConnectionChecks
from hermes.connections.routes import build_router
from hermes.connections.service import Connections
from hermes.connections.store import CredentialStore
from hermes.errors import HermesError
from hermes.identity.caller import Caller
from hermes.platforms.catalog import Catalog
from hermes.storage.redis import Redis
from hermes.storage.sql import Database

pytestmark = pytest.mark.storage

PHONE = {"accessToken": "EAAsecret-token", "phoneNumberId": "111"}


@pytest.fixture
async def client(
    connections: Connections, checks: ConnectionChecks, toy_catalog: Catalog, make_caller: Callable[..., Caller]
) -> AsyncIterator[httpx.AsyncClient]:
    """Says who is calling by a header, and shows errors as their members."""

    def current_caller(customer: Annotated[str, Header()]) -> Caller:
        return make_caller(customer)

    def acting_for(customer_id: Annotated[str, Path()]) -> Caller:
        return make_caller(customer_id)

    app = FastAPI()
    app.include_router(build_router(connections, checks, toy_catalog, current_caller, acting_for))

    @app.exception_handler(HermesError)
    async def show(_request: Request, error: HermesError) -> JSONResponse:
        return JSONResponse(error.as_dict(), status_code=error.status)

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://hermes", headers={"customer": "cus_a"}
    ) as opened:
        yield opened


async def test_linking_listing_and_unlinking(client: httpx.AsyncClient, redis: Redis) -> None:
    answer = await client.post("/api/connect/whatsapp", json=PHONE)
    assert answer.status_code == 200
    connected = answer.json()
    assert (connected["connected"], connected["platform"], connected["account"]) == (True, "whatsapp", "default")
    assert "EAAsecret" not in answer.text
    overview = (await client.get("/api/connections")).json()
    assert overview["customerId"] == "cus_a"
    assert overview["connections"] == {"whatsapp": True, "notes": False}
    assert [detail["account"] for detail in overview["details"]] == ["default"]
    gone = await client.delete("/api/connections/whatsapp")
    assert gone.json() == {
        "disconnected": True,
        "platform": "whatsapp",
        "account": "default",
        "revoked": None,
        "left": None,
        "default_account": None,
        "steps": [],
    }
    assert (await client.get("/api/connections")).json()["connections"] == {"whatsapp": False, "notes": False}
    assert await redis.get("creds:cus_a:whatsapp") is None


async def test_further_accounts_are_named_in_the_body_and_in_the_query(client: httpx.AsyncClient) -> None:
    for account in ({}, {"account": "work"}):
        answer = await client.post("/api/connect/notes", json={"token": "a token"} | account)
        assert answer.json()["account"] == account.get("account", "default")
    several = await client.delete("/api/connections/notes")
    assert (several.status_code, several.json()["accounts"]) == (400, ["default", "work"])
    assert (await client.delete("/api/connections/notes?account=work")).json()["account"] == "work"
    assert (await client.delete("/api/connections/notes?account=work")).status_code == 404


async def test_the_operator_links_for_a_customer(client: httpx.AsyncClient) -> None:
    base = "/api/admin/customers/cus_z"
    assert (await client.post(f"{base}/connect/whatsapp", json=PHONE)).status_code == 200
    assert (await client.get(f"{base}/connections")).json()["connections"]["whatsapp"] is True
    assert (await client.get("/api/connections")).json()["connections"]["whatsapp"] is False
    assert (await client.delete("/api/connections/whatsapp")).status_code == 404
    assert (await client.delete(f"{base}/connections/whatsapp")).status_code == 200


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b'"hunter2"', "application/json", 400),
        (b"null", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 5000, "application/json", 400),
        (b'{"account": 7, "token": "hunter2"}', "application/json", 400),
        (b'{"account": "No Label", "token": "hunter2"}', "application/json", 400),
        (b'{"token": "hunter2"}', "text/plain", 400),
        (b"token=hunter2", "application/x-www-form-urlencoded", 400),
        (b'{"token": "' + b"hunter2" * 10_000 + b'"}', "application/json", 413),
        (b'{"token": "\\ud800"}', "application/json", 400),
    ],
)
async def test_other_bodies_are_refused_and_not_repeated(
    client: httpx.AsyncClient, body: bytes, content_type: str, status: int
) -> None:
    answer = await client.post("/api/connect/notes", content=body, headers={"content-type": content_type})
    assert answer.status_code == status
    assert "hunter2" not in answer.text


async def test_unknown_platforms_are_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/connect/myspace", json={})).status_code == 404
    assert (await client.delete("/api/connections/myspace")).status_code == 404


async def test_the_description_shows_each_platforms_credentials(client: httpx.AsyncClient) -> None:
    document: dict[str, Any] = (await client.get("/openapi.json")).json()
    body = document["paths"]["/api/connect/{platform}"]["post"]["requestBody"]
    schemas = {schema["title"]: schema for schema in body["content"]["application/json"]["schema"]["oneOf"]}
    assert set(schemas["WhatsApp"]["properties"]) == {"accessToken", "phoneNumberId", "account"}
    assert schemas["WhatsApp"]["required"] == ["accessToken", "phoneNumberId"]


async def test_an_account_is_checked_on_demand_and_not_all_the_time(client: httpx.AsyncClient, redis: Redis) -> None:
    await client.post("/api/connect/whatsapp", json=PHONE)
    answer = await client.post("/api/connections/whatsapp/check")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["platform"], found["account"], found["outcome"], found["error"]) == (
        "whatsapp",
        "default",
        "works",
        None,
    )
    again = await client.post("/api/connections/whatsapp/check?account=default")
    assert again.json() == found, "what was found a moment ago is told again"
    assert (await client.post("/api/connections/whatsapp/check?account=work")).status_code == 404
    assert (await client.post("/api/connections/myspace/check")).status_code == 404
    assert (await client.post("/api/connections/whatsapp/check", headers={"customer": "cus_b"})).status_code == 404
    statuses = []
    for _ in range(12):
        await redis.delete("platform_health:cus_a:whatsapp")
        statuses.append((await client.post("/api/connections/whatsapp/check")).status_code)
    assert statuses == [200] * 9 + [429] * 3
    base = "/api/admin/customers/cus_b"
    await client.post(f"{base}/connect/notes", json={"token": "a token"})
    assert (await client.post(f"{base}/connections/notes/check")).json()["outcome"] == "works"


async def test_the_overview_says_what_is_missing_and_where_to_act(
    client: httpx.AsyncClient, store: CredentialStore
) -> None:
    await client.post("/api/connect/whatsapp", json=PHONE)
    (fine,) = (await client.get("/api/connections")).json()["details"]
    assert (fine["missing"], fine["connect_url"], fine["default"]) == ([], None, True)
    await store.mark_needs_reconnect("cus_a", "whatsapp", "default", "The token was withdrawn.")
    await store.put_incomplete("cus_a", "notes", "work", "vendor")
    half, dead = (await client.get("/api/connections")).json()["details"]
    assert [item["kind"] for item in dead["missing"]] == ["reconnect"]
    assert (dead["status"], dead["last_error"]) == ("needs_reconnect", "The token was withdrawn.")
    assert dead["connect_url"].startswith("https://hermes.example.com/connect/whatsapp?link=")
    assert [item["kind"] for item in half["missing"]] == ["choice"]
    assert (half["status"], half["default"]) == ("incomplete", False)
    assert half["connect_url"].startswith("https://hermes.example.com/connect/notes?link=")


async def test_the_overview_costs_one_question_to_one_store(
    client: httpx.AsyncClient, database: Database, redis: Redis
) -> None:
    for platform, body in (("whatsapp", PHONE), ("notes", {"token": "a"}), ("notes", {"token": "b", "account": "w"})):
        assert (await client.post(f"/api/connect/{platform}", json=body)).status_code == 200
    asked: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", count)
    before = (await redis.info("commandstats")).get("cmdstat_get", {}).get("calls", 0)
    details = (await client.get("/api/connections")).json()["details"]
    event.remove(database.engine.sync_engine, "before_cursor_execute", count)
    assert len(details) == 3
    assert [statement.split()[0] for statement in asked if statement != "BEGIN"] == ["SELECT"]
    assert (await redis.info("commandstats")).get("cmdstat_get", {}).get("calls", 0) == before
