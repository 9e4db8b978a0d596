"""Where clients come from: their own registration, their documents, an operator."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from hermes.errors import RateLimited
from hermes.net.guarded import GuardedClient
from hermes.oauth.client_documents import LONGEST, SHORTEST, freshness
from hermes.oauth.client_store import DOCUMENTS
from hermes.oauth.endpoints import REGISTRATIONS
from hermes.oauth.errors import AuthorizeRefused
from hermes.oauth.models import OAuthClient
from oauth.conftest import CALLBACK, OPERATOR, Documents, Gateway, Pkce, Replica, asking

pytestmark = pytest.mark.storage

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
KEY = {  # RFC 7515, A.3
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}


async def test_a_client_registers_itself(one: Replica) -> None:
    answer = await one.http.post(
        "/oauth/register",
        json={
            "client_name": "Claude",
            "redirect_uris": ["http://localhost:33418/callback", "cursor://anysphere.cursor/callback"],
            "application_type": "native",
            "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
            "client_uri": "https://claude.example",
            "logo_uri": "http://insecure.example/logo.png",
            "contacts": ["someone@example.com"],
            "tos_uri": "",
            "jwks": None,
            "software_statement": "ignored",
        },
    )
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    given = answer.json()
    assert given["client_id"].startswith("ocl_")
    assert given["client_secret"].startswith("sq_cs_")  # RFC 7591, 2: client_secret_basic unless said otherwise
    assert given["client_secret_expires_at"] == 0
    assert given["grant_types"] == ["authorization_code", "refresh_token"]
    assert given["client_uri"] == "https://claude.example"
    assert given["application_type"] == "native"
    assert not {"logo_uri", "contacts", "tos_uri", "jwks", "software_statement"} & given.keys()


REFUSED = {
    "nothing": ({}, "invalid_redirect_uri"),
    "no redirect": ({"redirect_uris": []}, "invalid_redirect_uri"),
    "http": ({"redirect_uris": ["http://client.example/cb"]}, "invalid_redirect_uri"),
    "a script": ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
    "data": ({"redirect_uris": ["data:text/html,x"]}, "invalid_redirect_uri"),
    "a file": ({"redirect_uris": ["file:///etc/passwd"]}, "invalid_redirect_uri"),
    "a wildcard": ({"redirect_uris": ["https://*.example.com/cb"]}, "invalid_redirect_uri"),
    "a fragment": ({"redirect_uris": [f"{CALLBACK}#x"]}, "invalid_redirect_uri"),
    "a user name": ({"redirect_uris": ["https://a:b@client.example/cb"]}, "invalid_redirect_uri"),
    "a line break": ({"redirect_uris": [f"{CALLBACK}\r\nx: y"]}, "invalid_redirect_uri"),
    "a path upwards": ({"redirect_uris": ["https://client.example/a/../cb"]}, "invalid_redirect_uri"),
    "no host": ({"redirect_uris": ["https:///cb"]}, "invalid_redirect_uri"),
    "a relative one": ({"redirect_uris": ["/cb"]}, "invalid_redirect_uri"),
    "one that is no text": ({"redirect_uris": [7]}, "invalid_redirect_uri"),
    "one of many": ({"redirect_uris": [CALLBACK, "http://10.0.0.1/cb"]}, "invalid_redirect_uri"),
    "too many": ({"redirect_uris": [f"{CALLBACK}/{n}" for n in range(21)]}, "invalid_redirect_uri"),
    "too long": ({"redirect_uris": [CALLBACK + "x" * 3000]}, "invalid_redirect_uri"),
    "implicit only": ({"redirect_uris": [CALLBACK], "grant_types": ["implicit"]}, "invalid_client_metadata"),
    "by itself": (
        {"redirect_uris": [CALLBACK], "grant_types": ["client_credentials"]},
        "invalid_client_metadata",
    ),
    "token": ({"redirect_uris": [CALLBACK], "response_types": ["token"]}, "invalid_client_metadata"),
    "another method": (
        {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "tls_client_auth"},
        "invalid_client_metadata",
    ),
    "signed without keys": (
        {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt"},
        "invalid_client_metadata",
    ),
    "a private key": (
        {"redirect_uris": [CALLBACK], "jwks": {"keys": [{**KEY, "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}]}},
        "invalid_client_metadata",
    ),
    "a shared key": (
        {"redirect_uris": [CALLBACK], "jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0"}]}},
        "invalid_client_metadata",
    ),
    "a deep key": (
        {"redirect_uris": [CALLBACK], "jwks": {"keys": [{**KEY, "kid": [[[[["x"]]]]]}]}},
        "invalid_client_metadata",
    ),
    "keys twice": (
        {"redirect_uris": [CALLBACK], "jwks": {"keys": [KEY]}, "jwks_uri": "https://client.example/keys"},
        "invalid_client_metadata",
    ),
    "keys over http": ({"redirect_uris": [CALLBACK], "jwks_uri": "http://client.example/k"}, "invalid_client_metadata"),
}


@pytest.mark.attack("register")
@pytest.mark.parametrize(("members", "error"), REFUSED.values(), ids=REFUSED)
async def test_a_registration_that_does_not_fit(one: Replica, members: dict[str, Any], error: str) -> None:
    answer = await one.http.post("/oauth/register", json=members)
    assert (answer.status_code, answer.json()["error"]) == (400, error), answer.text
    for value in members.get("redirect_uris", []):
        assert str(value) not in answer.json()["error_description"] or value == 7


async def test_what_is_not_needed_of_a_key_is_not_kept(one: Replica) -> None:
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    keys = {"keys": [{**KEY, "kid": "one", "x5c": deep, "ext": True}], "more": deep}
    assert (await one.register(jwks=keys))["jwks"] == {"keys": [{**KEY, "kid": "one"}]}


@pytest.mark.attack("register")
@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'"x"', b"[" * 5000, b'{"redirect_uris": "https://a/"}'])
async def test_a_registration_that_is_no_metadata(one: Replica, body: bytes) -> None:
    answer = await one.http.post("/oauth/register", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_client_metadata", "invalid_redirect_uri")


@pytest.mark.attack("register")
async def test_registrations_are_counted_by_address(one: Replica, other: Replica) -> None:
    for _ in range(REGISTRATIONS.times):
        await other.register()
    answer = await one.http.post("/oauth/register", json={"redirect_uris": [CALLBACK]})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


async def test_clients_that_nobody_uses_are_forgotten(one: Replica, ada: Any) -> None:
    used, unused, agreed = [(await one.register())["client_id"] for _ in range(3)]
    await one.sign_in(ada.row.id, agreed)
    long_ago = datetime.now(UTC) - timedelta(days=31)
    async with one.house.stores.database.session() as session:
        old = update(OAuthClient).where(OAuthClient.id.in_([unused, agreed]))
        await session.execute(old.values(used_at=long_ago))
    assert await one.house.oauth.clients.expire(30) == 1
    assert await one.agree(ada.row.id, used, Pkce())
    assert await one.agree(ada.row.id, agreed, Pkce())
    with pytest.raises(AuthorizeRefused):
        await one.agree(ada.row.id, unused, Pkce())


async def test_a_client_is_known_by_its_document(one: Replica, documents: Documents, ada: Any) -> None:
    client = documents.client(client_name="Claude", grant_types=["authorization_code", "refresh_token"])
    tokens = await one.sign_in(ada.row.id, client)
    assert await one.works(tokens["access_token"])
    assert (await one.refresh(client, tokens["refresh_token"])).status_code == 200
    assert documents.hits == {"/client.json": 1}


async def test_a_document_is_fetched_once_for_many_and_kept_as_long_as_it_says(
    one: Replica, other: Replica, documents: Documents
) -> None:
    client = documents.client()
    documents.answers["/client.json"][1]["cache-control"] = "max-age=3600"
    await asyncio.gather(*(one.house.oauth.clients.resolve(client, address="192.0.2.1") for _ in range(50)))
    await other.house.oauth.clients.resolve(client, address="192.0.2.1")
    assert documents.hits["/client.json"] == 1
    async with one.house.stores.database.session() as session:
        await session.execute(update(OAuthClient).values(fresh_until=datetime.now(UTC) - timedelta(seconds=1)))
    documents.client(client_name="Renamed")
    assert (await other.house.oauth.clients.resolve(client, address="192.0.2.1")).name == "Renamed"
    assert (await one.house.oauth.clients.resolve(client, address="192.0.2.1")).name == "Renamed"
    assert documents.hits["/client.json"] == 2


async def test_faults_are_not_kept(one: Replica, documents: Documents) -> None:
    client = documents.client()
    good = documents.answers.pop("/client.json")
    for _ in range(2):
        with pytest.raises(AuthorizeRefused):
            await one.agree("cus_nobody", client, Pkce())
    documents.answers["/client.json"] = good
    assert (await one.house.oauth.clients.resolve(client, address="192.0.2.1")).name == "Example"


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({}, timedelta(hours=1)),
        ({"cache-control": "max-age=7200"}, timedelta(hours=2)),
        ({"cache-control": "public, Max-Age=7200", "age": "3600"}, timedelta(hours=1)),
        ({"cache-control": "max-age=99999999"}, LONGEST),
        ({"cache-control": "max-age=0"}, SHORTEST),
        ({"cache-control": "max-age=-5"}, SHORTEST),
        ({"cache-control": "max-age=1e9"}, SHORTEST),
        ({"cache-control": "no-store, max-age=7200"}, SHORTEST),
        ({"cache-control": "no-cache"}, SHORTEST),
        ({"expires": "Sat, 28 Nov 2026 14:00:00 GMT"}, timedelta(hours=2)),
        ({"expires": "0"}, SHORTEST),
        ({"expires": "Sat, 28 Nov 2026 14:00:00"}, SHORTEST),
    ],
)
def test_how_long_a_document_stays_fresh(headers: dict[str, str], kept: timedelta) -> None:
    assert freshness(headers, NOW) == kept


BAD_DOCUMENTS = {
    "another client's": {"client_id": "https://client.example/other.json"},
    "one that names its host only": {"client_id": "https://client.example"},
    "one without id": {"client_id": None},
    "one without name": {"client_name": None},
    "one with an invisible name": {"client_name": "\u200b"},
    "one without redirect": {"redirect_uris": None},
    "one with a script": {"redirect_uris": ["javascript:alert(1)"]},
    "one with a wildcard": {"redirect_uris": ["https://client.example/*"]},
    "one with a secret": {"client_secret": "hello"},
    "one that claims a secret": {"token_endpoint_auth_method": "client_secret_basic"},
    "one that signs without keys": {"token_endpoint_auth_method": "private_key_jwt"},
    "one that would sign in by itself": {"grant_types": ["authorization_code", "client_credentials"]},
}


@pytest.mark.attack("register")
@pytest.mark.parametrize("members", BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
async def test_a_document_that_is_not_in_order(one: Replica, documents: Documents, members: dict[str, Any]) -> None:
    client = documents.url("/client.json")
    documents.client(**members)
    with pytest.raises(AuthorizeRefused):
        await one.agree("cus_nobody", client, Pkce())


@pytest.mark.attack("register")
@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (301, {"location": "/real.json"}, None),
        (307, {"location": "https://client.example/real.json"}, None),
        (404, {}, None),
        (203, {}, None),
        (200, {"content_type": "text/html"}, None),
        (200, {"content_type": "application/jsonp"}, None),
        (200, {}, b"not json"),
        (200, {}, b"[]"),
        (200, {}, b"[" * 10_000),
        (200, {}, b'{"a": "' + b"x" * 20_000 + b'"}'),
        (200, {"content_encoding": "gzip"}, b"\x1f\x8b"),
    ],
)
async def test_an_answer_that_is_no_document(
    one: Replica, documents: Documents, status: int, headers: dict[str, str], body: bytes | None
) -> None:
    client = documents.url("/client.json")
    document = {"client_id": client, "client_name": "Example", "redirect_uris": [CALLBACK]}
    documents.say("/real.json", document)
    documents.say("/client.json", document if body is None else body, status=status, **headers)
    with pytest.raises(AuthorizeRefused):
        await one.agree("cus_nobody", client, Pkce())
    assert documents.hits == {"/client.json": 1}


@pytest.mark.attack("register")
@pytest.mark.parametrize(
    "client_id",
    [
        "https://client.example",
        "https://127.0.0.1/client.json",
        "https://localhost/client.json",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/client.json",
        "https://metadata.google.internal/client.json",
        "https://client.example/a/../client.json",
        "https://client.example/./client.json",
        "https://client.example/client.json#x",
        "https://user:pass@client.example/client.json",
        "https://client.example\\@evil.example/client.json",
        "https://client.example/client.json\r\n",
        "https://client.example:22/client.json",
        "https://",
    ],
)
async def test_an_id_that_leads_where_it_should_not(one: Replica, documents: Documents, client_id: str) -> None:
    with pytest.raises(AuthorizeRefused):
        await one.agree("cus_nobody", client_id, Pkce())
    assert documents.hits == {}


@pytest.mark.attack("register")
async def test_the_house_as_it_is_shipped_reaches_public_hosts_only(one: Replica, documents: Documents) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    one.house.oauth.clients._guarded = GuardedClient(resolve=resolve)
    with pytest.raises(AuthorizeRefused, match="cannot be fetched"):
        await one.agree("cus_nobody", "https://client.example/client.json", Pkce())


@pytest.mark.attack("register")
async def test_who_names_ever_new_clients_is_held_up(one: Replica, documents: Documents) -> None:
    for _ in range(DOCUMENTS.times):
        with pytest.raises(AuthorizeRefused):
            await one.agree("cus_nobody", documents.url("/none.json"), Pkce())
    with pytest.raises(RateLimited):
        await one.agree("cus_nobody", documents.url("/none.json"), Pkce())
    pairs = asking(documents.client(), Pkce()).items()
    assert await one.house.oauth.authorizations.begin(pairs, address="198.51.100.7")  # from another address


async def test_people_stay_signed_in_while_a_document_is_away(one: Replica, documents: Documents, ada: Any) -> None:
    client = documents.client()
    tokens = await one.sign_in(ada.row.id, client)
    documents.answers.clear()

    async def last_fresh(**ago: float) -> None:
        async with one.house.stores.database.session() as session:
            await session.execute(update(OAuthClient).values(fresh_until=datetime.now(UTC) - timedelta(**ago)))

    await last_fresh(days=6)
    tokens = (await one.refresh(client, tokens["refresh_token"])).json()
    with pytest.raises(AuthorizeRefused):  # but nobody new signs in
        await one.agree(ada.row.id, client, Pkce())
    await last_fresh(days=8)
    assert (await one.refresh(client, tokens["refresh_token"])).json()["error"] == "invalid_client"


async def test_an_operator_registers_a_client(one: Replica, gateway: Gateway, ada: Any) -> None:
    asked = {"name": "Dashboard", "redirect_uris": [CALLBACK], "scope": "telegram:read"}
    made = await one.http.post("/api/admin/oauth-clients", json=asked, headers=OPERATOR)
    assert made.status_code == 201
    client, secret = made.json()["client_id"], made.json()["client_secret"]
    shown = await one.http.get(made.headers["location"], headers=OPERATOR)
    assert shown.json() == {name: value for name, value in made.json().items() if name != "client_secret"}
    listed = (await one.http.get("/api/admin/oauth-clients", headers=OPERATOR)).json()["clients"]
    assert [one_of["client_id"] for one_of in listed] == [client]

    pkce = Pkce()
    answer = await one.agree(ada.row.id, client, pkce)
    form = {"grant_type": "authorization_code", "code": answer["code"], "code_verifier": pkce.verifier}
    tokens = (await one.token(auth=(client, secret), **form)).json()
    assert tokens["scope"] == "telegram:read"  # the most that the operator allowed
    caller = await one.house.oauth.access.verify(tokens["access_token"])
    assert caller is not None
    assert caller.obtainable is not None
    assert caller.obtainable.words() == ["telegram:read"]

    assert (await one.http.delete(made.headers["location"], headers=OPERATOR)).status_code == 204
    assert not await (await gateway.replica()).works(tokens["access_token"])
    assert (await one.http.get(made.headers["location"], headers=OPERATOR)).status_code == 404
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    refreshed = await one.token(auth=(client, secret), **form)
    assert (refreshed.status_code, refreshed.json()["error"]) == (401, "invalid_client")


@pytest.mark.attack("register")
@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"name": "A"}, 400),
        ({"name": "", "redirect_uris": [CALLBACK]}, 400),
        ({"name": "A", "redirect_uris": ["http://client.example/"]}, 400),
        ({"name": "A", "redirect_uris": [CALLBACK], "scope": "telegram:everything"}, 400),
        ({"name": "A", "redirect_uris": [CALLBACK], "more": 1}, 400),
        ({"name": "A", "customer_id": "cus_nobody"}, 404),
        ({"name": "A", "customer_id": "ada", "redirect_uris": [CALLBACK]}, 400),
        ({"name": "A", "customer_id": "ada", "token_endpoint_auth_method": "none"}, 400),
        ({"name": "A", "customer_id": "ada", "token_endpoint_auth_method": "private_key_jwt"}, 400),
        ({"name": "A", "customer_id": "ada", "jwks": {"keys": []}}, 400),
    ],
)
async def test_a_client_that_an_operator_cannot_register(
    one: Replica, ada: Any, asked: dict[str, Any], status: int
) -> None:
    if asked.get("customer_id") == "ada":
        asked = {**asked, "customer_id": ada.row.id}
    answer = await one.http.post("/api/admin/oauth-clients", json=asked, headers=OPERATOR)
    assert answer.status_code == status, answer.text
    assert (await one.http.get("/api/admin/oauth-clients", headers=OPERATOR)).json()["clients"] == []


@pytest.mark.attack("register")
async def test_only_operators_register_for_others(one: Replica, ada: Any) -> None:
    asked = {"name": "A", "redirect_uris": [CALLBACK]}
    answer = await one.http.post("/api/admin/oauth-clients", json=asked, headers={"x-api-key": ada.key.secret})
    assert answer.status_code == 403


async def test_a_headless_client_signs_in_by_itself(one: Replica, other: Replica, gateway: Gateway, ada: Any) -> None:
    asked = {"name": "Nightly", "customer_id": ada.row.id, "scope": "telegram:read email:read"}
    made = (await one.http.post("/api/admin/oauth-clients", json=asked, headers=OPERATOR)).json()
    auth = (made["client_id"], made["client_secret"])
    given = await other.token(auth=auth, grant_type="client_credentials")
    tokens = given.json()
    assert (given.status_code, tokens["scope"]) == (200, "email:read telegram:read")
    assert "refresh_token" not in tokens
    assert await one.works(tokens["access_token"])
    narrow = await one.token(auth=auth, grant_type="client_credentials", scope="email:read")
    assert narrow.json()["scope"] == "email:read"
    for form, error in (
        ({"scope": "email:write"}, "invalid_scope"),
        ({"scope": "nothing"}, "invalid_scope"),
        ({"resource": "https://evil.example"}, "invalid_target"),
        ({"grant_type": "authorization_code", "code": "x", "code_verifier": "y"}, "unauthorized_client"),
    ):
        refused = await one.token(auth=auth, **{"grant_type": "client_credentials", **form})
        assert (refused.status_code, refused.json()["error"]) == (400, error)

    mine = {"x-api-key": ada.key.secret}
    (assistant,) = (await one.http.get("/api/assistants", headers=mine)).json()["assistants"]
    assert (await one.http.delete(f"/api/assistants/{assistant['id']}", headers=mine)).status_code == 204
    assert not await (await gateway.replica()).works(tokens["access_token"])
    again = await one.token(auth=auth, grant_type="client_credentials")
    assert (again.status_code, again.json()["error"]) == (400, "unauthorized_client")


async def test_a_headless_client_of_a_suspended_customer_gets_nothing(one: Replica, ada: Any) -> None:
    asked = {"name": "Nightly", "customer_id": ada.row.id}
    made = (await one.http.post("/api/admin/oauth-clients", json=asked, headers=OPERATOR)).json()
    await one.house.customers.suspend(ada.row.id)
    refused = await one.token(auth=(made["client_id"], made["client_secret"]), grant_type="client_credentials")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
