"""A person lets a client in: codes, tokens, refreshes and revocations, each step on whichever replica."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from hermes.identity.caller import Grants
from hermes.oauth.models import OAuthAccessToken, OAuthChain, OAuthCode, OAuthRefreshToken
from oauth.conftest import CALLBACK, ISSUER, RESOURCE, Gateway, Pkce, Replica, answer_of, asking

pytestmark = pytest.mark.storage


async def redeem(replica: Replica, client: str, code: str, pkce: Pkce, **form: str) -> Any:
    return await replica.token(
        grant_type="authorization_code", client_id=client, code=code, code_verifier=pkce.verifier, **form
    )


async def count(replica: Replica, model: Any) -> int:
    async with replica.house.stores.database.reading() as session:
        return int(await session.scalar(select(func.count()).select_from(model)) or 0)


async def age_refresh_tokens(replica: Replica, **by: float) -> None:
    """Let every use of a refresh token have been longer ago."""
    async with replica.house.stores.database.session() as session:
        await session.execute(update(OAuthRefreshToken).values(used_at=datetime.now(UTC) - timedelta(**by)))


async def test_steps_may_land_on_any_replica(one: Replica, other: Replica, ada: Any) -> None:
    client = (await one.register(client_name="Claude"))["client_id"]
    pkce = Pkce()
    answer = await other.agree(ada.row.id, client, pkce, "telegram:read", scope="telegram:read telegram:write")
    assert answer["state"] == "the client's state"
    assert answer["iss"] == ISSUER

    given = await redeem(one, client, answer["code"], pkce, redirect_uri=CALLBACK, resource=RESOURCE)
    assert given.headers["cache-control"] == "no-store"
    assert given.headers["access-control-allow-origin"] == "*"
    tokens = given.json()
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 3600, "telegram:read")
    assert await other.works(tokens["access_token"])

    renewed = (await other.refresh(client, tokens["refresh_token"])).json()
    assert renewed["scope"] == "telegram:read"
    assert renewed["refresh_token"] != tokens["refresh_token"]
    assert await one.works(renewed["access_token"])


async def test_a_restart_between_any_two_steps_changes_nothing(gateway: Gateway, ada: Any) -> None:
    client = (await (await gateway.replica()).register())["client_id"]
    pkce = Pkce()
    answer = await (await gateway.replica()).agree(ada.row.id, client, pkce)
    tokens = (await redeem(await gateway.replica(), client, answer["code"], pkce)).json()
    tokens = (await (await gateway.replica()).refresh(client, tokens["refresh_token"])).json()
    assert await (await gateway.replica()).works(tokens["access_token"])
    first = (await (await gateway.replica()).refresh(client, tokens["refresh_token"])).json()
    again = (await (await gateway.replica()).refresh(client, tokens["refresh_token"])).json()
    assert first["refresh_token"] == again["refresh_token"]


async def test_no_secret_is_in_the_database(one: Replica, ada: Any) -> None:
    client = await one.register(token_endpoint_auth_method="client_secret_post")
    pkce = Pkce()
    answer = await one.agree(ada.row.id, client["client_id"], pkce)
    secret = client["client_secret"]
    tokens = (await redeem(one, client["client_id"], answer["code"], pkce, client_secret=secret)).json()
    await one.refresh(client["client_id"], tokens["refresh_token"], client_secret=secret)
    async with one.house.stores.database.reading() as session:
        rows = [
            str(tuple(row))
            for table in ("clients", "authorizations", "codes", "chains", "refresh_tokens", "access_tokens")
            for row in await session.execute(select(_table(f"oauth_{table}")))
        ]
    kept = " ".join(rows)
    for given in (secret, answer["code"], tokens["access_token"], tokens["refresh_token"], pkce.verifier):
        assert given not in kept
    assert len(rows) >= 8


def _table(name: str) -> Any:
    return OAuthCode.metadata.tables[name]


@pytest.mark.attack("token")
async def test_a_code_that_comes_twice_takes_back_what_it_gave(
    one: Replica, other: Replica, gateway: Gateway, ada: Any
) -> None:
    client = (await one.register())["client_id"]
    pkce = Pkce()
    code = (await one.agree(ada.row.id, client, pkce))["code"]
    tokens = (await redeem(one, client, code, pkce)).json()
    again = await redeem(other, client, code, pkce)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert not await (await gateway.replica()).works(tokens["access_token"])
    assert (await one.refresh(client, tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert "oauth.reuse_detected" in await _trail(one, ada)


@pytest.mark.attack("token")
async def test_a_code_is_used_once_however_many_try_at_once(one: Replica, other: Replica, ada: Any) -> None:
    client = (await one.register())["client_id"]
    pkce = Pkce()
    code = (await one.agree(ada.row.id, client, pkce))["code"]
    answers = await asyncio.gather(*(redeem((one, other)[n % 2], client, code, pkce) for n in range(20)))
    got = Counter(answer.status_code for answer in answers)
    assert got[200] <= 1
    assert got[200] + got[400] == 20
    assert await count(one, OAuthChain) == 0  # the second use took it back


async def test_a_hundred_refreshes_at_once_end_in_one_chain(one: Replica, other: Replica, ada: Any) -> None:
    client = (await one.register())["client_id"]
    tokens = await one.sign_in(ada.row.id, client)
    answers = await asyncio.gather(*((one, other)[n % 2].refresh(client, tokens["refresh_token"]) for n in range(100)))
    assert Counter(answer.status_code for answer in answers) == {200: 100}
    successors = {answer.json()["refresh_token"] for answer in answers}
    assert len(successors) == 1
    assert await count(one, OAuthChain) == 1
    assert await count(one, OAuthRefreshToken) == 2
    (successor,) = successors
    assert (await other.refresh(client, successor)).status_code == 200


@pytest.mark.attack("token")
async def test_a_refresh_token_that_comes_late_ends_its_chain(
    one: Replica, other: Replica, gateway: Gateway, ada: Any
) -> None:
    client = (await one.register())["client_id"]
    first = await one.sign_in(ada.row.id, client)
    elsewhere = await one.sign_in(ada.row.id, client)
    second = (await one.refresh(client, first["refresh_token"])).json()
    await age_refresh_tokens(one, seconds=31)
    late = await other.refresh(client, first["refresh_token"])
    assert (late.status_code, late.json()["error"]) == (400, "invalid_grant")
    assert (await one.refresh(client, second["refresh_token"])).json()["error"] == "invalid_grant"
    assert not await (await gateway.replica()).works(second["access_token"])
    assert await one.works(elsewhere["access_token"])  # another sign-in is another chain
    assert "oauth.reuse_detected" in await _trail(one, ada)


@pytest.mark.attack("token")
async def test_a_refresh_only_narrows(one: Replica, ada: Any) -> None:
    client = (await one.register())["client_id"]
    tokens = await one.sign_in(ada.row.id, client, "telegram:read", "telegram:write")
    narrow = (await one.refresh(client, tokens["refresh_token"], scope="telegram:read")).json()
    assert narrow["scope"] == "telegram:read"
    whole = (await one.refresh(client, narrow["refresh_token"])).json()
    assert whole["scope"] == "telegram:read telegram:write"
    for scope in ("telegram:read email:read", "all:read", "no:such"):
        grown = await one.refresh(client, whole["refresh_token"], scope=scope)
        assert (grown.status_code, grown.json()["error"]) == (400, "invalid_scope")
    assert (await one.refresh(client, whole["refresh_token"])).status_code == 200


async def test_a_suspended_customer_gets_nothing(one: Replica, gateway: Gateway, ada: Any) -> None:
    client = (await one.register())["client_id"]
    tokens = await one.sign_in(ada.row.id, client)
    pkce = Pkce()
    code = (await one.agree(ada.row.id, client, pkce))["code"]
    await one.house.customers.suspend(ada.row.id)
    assert (await redeem(one, client, code, pkce)).json()["error"] == "invalid_grant"
    assert (await one.refresh(client, tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await (await gateway.replica()).me(tokens["access_token"])).status_code == 403
    assert (await one.agree(ada.row.id, client, Pkce()))["error"] == "access_denied"
    await one.house.customers.resume(ada.row.id)
    assert (await one.refresh(client, tokens["refresh_token"])).status_code == 200


async def test_tokens_and_codes_end_by_their_time(one: Replica, ada: Any) -> None:
    client = (await one.register())["client_id"]
    tokens = await one.sign_in(ada.row.id, client)
    pkce = Pkce()
    code = (await one.agree(ada.row.id, client, pkce))["code"]
    past = {"expires_at": datetime.now(UTC) - timedelta(seconds=1)}
    async with one.house.stores.database.session() as session:
        for model in (OAuthCode, OAuthAccessToken, OAuthRefreshToken):
            await session.execute(update(model).values(past))
    assert (await redeem(one, client, code, pkce)).json()["error"] == "invalid_grant"
    assert (await one.refresh(client, tokens["refresh_token"])).json()["error"] == "invalid_grant"
    refused = await one.me(tokens["access_token"])
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]


async def test_consent_is_remembered_and_asked_for_again_when_there_is_more(one: Replica, ada: Any) -> None:
    authorizations = one.house.oauth.authorizations
    client = (await one.register())["client_id"]

    async def remembered(scope: str, **more: str) -> Grants | None:
        parameters = asking(client, Pkce(), scope=scope, **more)
        request = await authorizations.begin(parameters.items(), address="192.0.2.1")
        return await authorizations.remembered(ada.row.id, request)

    assert await remembered("telegram:read") is None
    await one.agree(ada.row.id, client, Pkce(), "telegram:read", scope="telegram:read email:read")
    assert await remembered("telegram:read") == Grants.parse(["telegram:read"])
    assert await remembered("telegram:read email:read") is None
    assert await remembered("telegram:read", prompt="consent") is None
    await one.agree(ada.row.id, client, Pkce(), "email:write", scope="email:write")
    assert await remembered("telegram:read email:write") is not None  # what was not asked for stays


async def test_what_is_no_longer_agreed_to_is_taken_from_tokens_that_are_out(
    one: Replica, gateway: Gateway, ada: Any
) -> None:
    client = (await one.register())["client_id"]
    tokens = await one.sign_in(ada.row.id, client, scope="all:read all:write")
    narrowed = await one.sign_in(ada.row.id, client, "email:read", scope="all:read all:write")
    fresh = await gateway.replica()
    for token in (tokens, narrowed):
        caller = await fresh.house.oauth.access.verify(token["access_token"])
        assert caller is not None
        assert caller.grants.words() == ["email:read"]
        assert caller.obtainable == Grants.everything()


async def test_an_assistant_is_no_operator_and_does_not_look_after_the_account(one: Replica) -> None:
    admin = await one.house.customers.create("root@example.com", role="admin")
    client = (await one.register())["client_id"]
    token = (await one.sign_in(admin.row.id, client, scope="all:read all:write"))["access_token"]
    bearer = {"authorization": f"Bearer {token}"}
    for path in ("/api/admin/customers", "/api/api-keys", "/api/assistants", "/api/audit"):
        assert (await one.http.get(path, headers=bearer)).status_code == 403, path
    assert (await one.http.post("/api/api-keys", json={"name": "mine"}, headers=bearer)).status_code == 403


async def test_a_no_is_carried_back(one: Replica) -> None:
    client = (await one.register())["client_id"]
    request = await one.house.oauth.authorizations.begin(asking(client, Pkce()).items(), address="192.0.2.1")
    answer = answer_of(one.house.oauth.authorizations.deny(request))
    assert answer == {"error": "access_denied", "state": "the client's state", "iss": ISSUER}


async def _trail(replica: Replica, customer: Any) -> list[str]:
    answer = await replica.http.get("/api/audit", headers={"x-api-key": customer.key.secret})
    return [entry["tool"] for entry in answer.json()["entries"]]
