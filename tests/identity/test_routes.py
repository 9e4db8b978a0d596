"""The room's routes, through a real ASGI client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from hermes.errors import HermesError
from hermes.identity.authenticate import Authenticator
from hermes.identity.dependencies import Doors
from hermes.identity.routes import build_router

pytestmark = pytest.mark.storage

OPERATOR = {"x-api-key": "operator-key-for-tests"}


@pytest.fixture
def app(identity: Any) -> FastAPI:
    callers = identity.process()
    app = FastAPI()
    app.include_router(build_router(Doors(Authenticator([callers]), callers), identity.customers, identity.api_keys))

    @app.exception_handler(HermesError)
    async def refuse(_: Request, error: HermesError) -> JSONResponse:
        return JSONResponse(error.as_dict(), status_code=error.status)

    return app


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://hermes") as client:
        yield client


@pytest.fixture
async def ada(http: httpx2.AsyncClient) -> Any:
    answer = await http.post("/api/admin/customers", headers=OPERATOR, json={"email": "ada@example.com"})
    assert answer.status_code == 201
    return answer.json()


def _as(customer: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {customer['api_key']}"}


async def test_me(http: httpx2.AsyncClient, ada: Any) -> None:
    me = (await http.get("/api/me", headers=_as(ada))).json()
    key_id = me.pop("key_id")
    assert me == {
        "customer_id": ada["id"],
        "kind": "customer",
        "email": "ada@example.com",
        "plan": "free",
        "role": "customer",
        "via": "api_key",
        "grants": ["*:read", "*:write"],
    }
    assert (await http.get(f"/api/api-keys/{key_id}", headers=_as(ada))).json()["name"] == "First key"
    operator = (await http.get("/api/me", headers=OPERATOR)).json()
    assert (operator["customer_id"], operator["kind"], operator["plan"]) == ("operator", "operator", "operator")


@pytest.mark.parametrize(
    "path", ["/api/me", "/api/api-keys", "/api/admin/customers", "/api/admin/customers/x/api-keys"]
)
async def test_nobody_gets_in(http: httpx2.AsyncClient, path: str, ada: Any) -> None:
    for headers, query in (({}, {}), ({"x-api-key": "no"}, {}), ({}, {"api_key": ada["api_key"]})):
        answer = await http.get(path, headers=headers, params=query)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


async def test_own_keys(http: httpx2.AsyncClient, identity: Any, ada: Any) -> None:
    made = await http.post("/api/api-keys", headers=_as(ada), json={"name": "Laptop", "grants": ["telegram:read"]})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    key = made.json()
    assert made.headers["location"] == f"/api/api-keys/{key['id']}"
    secret = key.pop("api_key")
    assert (await http.get(made.headers["location"], headers=_as(ada))).json() == key
    first = await http.get("/api/api-keys", headers=_as(ada), params={"limit": 1})
    rest = await http.get("/api/api-keys", headers=_as(ada), params={"cursor": first.json()["next_cursor"]})
    assert rest.json() == {"api_keys": [key], "next_cursor": None}
    assert secret not in first.text + rest.text
    more = await http.post("/api/api-keys", headers={"x-api-key": secret}, json={"name": "More", "grants": ["*:read"]})
    assert (more.status_code, more.json()["code"]) == (403, "not_granted")
    assert (await http.delete(made.headers["location"], headers=_as(ada))).status_code == 204
    identity.clock.now += 5
    assert (await http.get("/api/me", headers={"x-api-key": secret})).status_code == 401
    assert len((await http.get("/api/api-keys?revoked=true", headers=_as(ada))).json()["api_keys"]) == 2


async def test_keys_of_another_customer_are_not_there(http: httpx2.AsyncClient, ada: Any) -> None:
    bob = (await http.post("/api/admin/customers", headers=OPERATOR, json={"email": "bob@example.com"})).json()
    key_id = (await http.get("/api/me", headers=_as(bob))).json()["key_id"]
    for method in ("GET", "DELETE"):
        answer = await http.request(method, f"/api/api-keys/{key_id}", headers=_as(ada))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        under = await http.request(method, f"/api/admin/customers/{ada['id']}/api-keys/{key_id}", headers=OPERATOR)
        assert under.status_code == 404
    assert (await http.get("/api/me", headers=_as(bob))).status_code == 200


ADMIN = [
    ("GET", "", None),
    ("POST", "", {"email": "eve@example.com", "role": "admin"}),
    ("GET", "/{id}", None),
    ("POST", "/{id}/suspend", None),
    ("POST", "/{id}/resume", None),
    ("PUT", "/{id}/plan", {"plan": "enterprise"}),
    ("GET", "/{id}/api-keys", None),
    ("POST", "/{id}/api-keys", {"name": "mine"}),
    ("GET", "/{id}/api-keys/key_x", None),
    ("DELETE", "/{id}/api-keys/key_x", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ADMIN)
async def test_customers_are_no_operators(
    http: httpx2.AsyncClient, ada: Any, method: str, path: str, body: Any
) -> None:
    root = await http.post("/api/admin/customers", headers=OPERATOR, json={"email": "r@example.com", "role": "admin"})
    part = await http.post("/api/api-keys", headers=_as(root.json()), json={"name": "part", "grants": ["*:read"]})
    for headers in (_as(ada), _as(part.json())):
        answer = await http.request(
            method, "/api/admin/customers" + path.format(id=ada["id"]), headers=headers, json=body
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "not_granted")
    assert (await http.get(f"/api/admin/customers/{ada['id']}", headers=OPERATOR)).json()["plan"] == "free"


@pytest.mark.parametrize(("method", "path", "body"), [one for one in ADMIN if "{id}" in one[1]])
async def test_unknown_customers(http: httpx2.AsyncClient, method: str, path: str, body: Any) -> None:
    url = "/api/admin/customers" + path.format(id="cus_nobody")
    answer = await http.request(method, url, headers=OPERATOR, json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_what_operators_do(http: httpx2.AsyncClient, identity: Any, ada: Any) -> None:
    root = await http.post("/api/admin/customers", headers=OPERATOR, json={"email": "r@example.com", "role": "admin"})
    assert root.headers["location"] == f"/api/admin/customers/{root.json()['id']}"
    assert root.headers["cache-control"] == "no-store"
    admin, url = _as(root.json()), f"/api/admin/customers/{ada['id']}"
    assert (await http.get("/api/me", headers=_as(ada))).status_code == 200
    assert (await http.post(f"{url}/suspend", headers=admin)).json()["status"] == "suspended"
    identity.clock.now += 5
    refused = await http.get("/api/me", headers=_as(ada))
    assert (refused.status_code, refused.json()["code"]) == (403, "suspended")
    made = await http.post(f"{url}/api-keys", headers=admin, json={"name": "by root", "grants": ["email:write"]})
    assert made.headers["location"] == f"{url}/api-keys/{made.json()['id']}"
    assert (await http.get(made.headers["location"], headers=admin)).json()["grants"] == ["email:write"]
    assert (await http.delete(made.headers["location"], headers=OPERATOR)).status_code == 204
    assert (await http.post(f"{url}/resume", headers=OPERATOR)).json()["status"] == "active"
    assert (await http.put(f"{url}/plan", headers=OPERATOR, json={"plan": "growth"})).json()["plan"] == "growth"
    identity.clock.now += 5
    assert (await http.get("/api/me", headers=_as(ada))).json()["plan"] == "growth"
    listed = (await http.get("/api/admin/customers", headers=admin)).json()
    assert [one["email"] for one in listed["customers"]] == ["ada@example.com", "r@example.com"]
    again = await http.post("/api/admin/customers", headers=admin, json={"email": "ADA@example.com"})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


async def test_the_operators_key_has_no_keys_of_its_own(http: httpx2.AsyncClient) -> None:
    for method in ("GET", "POST"):
        answer = await http.request(method, "/api/api-keys", headers=OPERATOR, json={"name": "x"})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_description_names_every_answer(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    assert {"/api/me", "/api/api-keys", "/api/admin/customers/{customer_id}/plan"} <= set(paths)
    operators = [name for name, path in paths.items() for one in path.values() if one["tags"] == ["operator"]]
    assert operators
    assert all(name.startswith("/api/admin/") for name in operators)
