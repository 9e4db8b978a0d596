"""Sessions: what their JWTs prove, how they end on every replica, and what a cookie may change."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from hermes.errors import NotAuthenticated, NotFound, NotGranted, Suspended
from hermes.identity.authenticate import Authenticator
from hermes.identity.caller import OPERATOR, Grants, Via
from hermes.identity.callers import MEMORY_SECONDS
from hermes.identity.dependencies import Doors
from hermes.identity.session_routes import build_session_router
from hermes.identity.sessions import LIFETIME, LONGEST_CLIENT
from hermes.settings import SettingsError, load_settings
from hermes.transports.problem_handlers import install_problem_handlers

pytestmark = pytest.mark.storage

ORIGIN = "http://127.0.0.1:3456"


@pytest.fixture
async def ada(identity: Any) -> Any:
    return await identity.customers.create("ada@example.com", "growth")


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims))  # type: ignore[return-value]


def _unsigned(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    def part(members: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")

    return f"{part(header)}.{part(claims)}.{signature}"


async def test_a_session_is_its_customer_with_everything(identity: Any, ada: Any) -> None:
    sessions = identity.sessions(identity.process())
    token = await sessions.begin(ada.row.id, client="Firefox\n on " + "x" * 300)
    caller = await sessions.verify(token)
    row = (await sessions.list(ada.row.id))[0]
    assert (caller.customer_id, caller.via, caller.key_id) == (ada.row.id, Via.SESSION, row.id)
    assert (caller.grants, caller.plan, caller.role) == (Grants.everything(), "growth", "customer")
    assert row.client == caller.client == ("Firefox on " + "x" * 300)[:LONGEST_CLIENT]
    header, claims = _parts(token)
    assert header["alg"] == "HS256"
    assert {name: claims[name] for name in ("sub", "email", "plan", "role", "sid", "iss")} == {
        "sub": ada.row.id,
        "email": "ada@example.com",
        "plan": "growth",
        "role": "customer",
        "sid": row.id,
        "iss": ORIGIN,
    }
    assert claims["exp"] - claims["iat"] == 7 * 24 * 3600


async def test_what_the_cookie_says_of_plan_and_role_counts_for_nothing(identity: Any, ada: Any) -> None:
    callers = identity.process()
    sessions = identity.sessions(callers)
    token = await sessions.begin(ada.row.id, client="x")
    await identity.customers.set_plan(ada.row.id, "free")
    assert (await sessions.verify(token)).plan == "free"
    await identity.customers.suspend(ada.row.id)
    identity.clock.now += MEMORY_SECONDS
    with pytest.raises(Suspended):
        await sessions.verify(token)


async def test_an_ended_session_is_refused_everywhere_within_five_seconds(identity: Any, ada: Any) -> None:
    here, there = identity.process(), identity.process()
    mine, theirs = identity.sessions(here), identity.sessions(there)
    token = await mine.begin(ada.row.id, client="x")
    caller = await theirs.verify(token)
    await there.close()
    assert await mine.verify(token) == caller
    await mine.end(ada.row.id, caller.key_id, by=caller)
    with pytest.raises(NotAuthenticated, match="session has ended"):
        await there.refresh(caller)  # the pipeline: a call that was admitted by an older version asks anew
    with pytest.raises(NotAuthenticated, match="session has ended"):
        await theirs.verify(token)
    with pytest.raises(NotAuthenticated, match="session has ended"):
        await here.refresh(replace(caller, credential=None))  # as a long call goes on with it
    identity.clock.now += MEMORY_SECONDS
    with pytest.raises(NotAuthenticated, match="session has ended"):
        await mine.verify(token)
    assert await mine.list(ada.row.id) == []
    await mine.end(ada.row.id, caller.key_id, by=caller)
    assert [line[2] for line in identity.audit.lines if line[2] == "session.end"] == ["session.end"] * 2


async def test_signing_out_everywhere_may_keep_one(identity: Any, ada: Any) -> None:
    sessions = identity.sessions(identity.process())
    kept = await sessions.begin(ada.row.id, client="kept")
    other = await sessions.begin(ada.row.id, client="other")
    caller = await sessions.verify(kept)
    await sessions.end_all(ada.row.id, by=caller, but=caller.key_id)
    assert (await identity.sessions(identity.process()).verify(kept)).key_id == caller.key_id
    with pytest.raises(NotAuthenticated):
        await sessions.verify(other)
    await sessions.end_all(ada.row.id, by=caller)
    with pytest.raises(NotAuthenticated):
        await identity.sessions(identity.process()).verify(kept)


async def test_a_session_of_somebody_else_is_not_there(identity: Any, ada: Any) -> None:
    eve = await identity.customers.create("eve@example.com")
    sessions = identity.sessions(identity.process())
    caller = await sessions.verify(await sessions.begin(ada.row.id, client="x"))
    with pytest.raises(NotFound):
        await sessions.end(eve.row.id, caller.key_id, by=caller)
    assert await sessions.list(eve.row.id) == []
    with pytest.raises(NotFound):
        await sessions.begin("cus_nobody", client="x")


async def test_a_key_with_part_of_the_grants_ends_no_session(identity: Any, ada: Any) -> None:
    sessions = identity.sessions(identity.process())
    caller = await sessions.verify(await sessions.begin(ada.row.id, client="x"))
    less = replace(caller, grants=Grants.parse(["telegram:read"]))
    for attempt in (sessions.end(ada.row.id, caller.key_id, by=less), sessions.end_all(ada.row.id, by=less)):
        with pytest.raises(NotGranted):
            await attempt
    assert len(await sessions.list(ada.row.id)) == 1


async def test_seven_days_are_the_end_also_of_what_is_remembered(identity: Any, ada: Any) -> None:
    sessions = identity.sessions(identity.process())
    token = await sessions.begin(ada.row.id, client="x")
    identity.clock.now += LIFETIME.total_seconds() - 1
    assert await sessions.verify(token) is not None
    identity.clock.now += 1
    with pytest.raises(NotAuthenticated):
        await sessions.verify(token)
    assert await sessions.list(ada.row.id) == []
    identity.clock.now += timedelta(days=31).total_seconds()
    await sessions.purge()
    with pytest.raises(NotFound):
        await sessions.end(ada.row.id, _parts(token)[1]["sid"], by=OPERATOR)


@pytest.mark.attack("login")
async def test_forged_sessions_stand_for_nobody(identity: Any, ada: Any) -> None:
    sessions = identity.sessions(identity.process())
    token = await sessions.begin(ada.row.id, client="x")
    _, claims = _parts(token)
    eve = await identity.customers.create("eve@example.com")
    secret = identity.settings.jwt_secret.get_secret_value()
    right, wrong = OctKey.import_key(secret), OctKey.import_key("another secret, which is as long as it should be")
    rsa_key = RSAKey.import_key(rsa.generate_private_key(65537, 2048))

    def signed(key: Any = right, alg: str = "HS256", **changed: Any) -> str:
        members = {name: value for name, value in (claims | changed).items() if value is not None}
        return jwt.encode({"alg": alg}, members, key, algorithms=[alg])

    head, body, signature = token.split(".")
    forged = {
        "another key": signed(wrong),
        "RS256": signed(rsa_key, "RS256"),
        "HS512 with the right key": signed(right, "HS512"),
        "alg none": _unsigned({"alg": "none", "typ": "JWT"}, claims),
        "alg None, in capitals": _unsigned({"alg": "None"}, claims, signature),
        "no signature": f"{head}.{body}.",
        "other claims under the old signature": _unsigned(
            {"alg": "HS256", "typ": "JWT"}, claims | {"sub": eve.row.id}, signature
        ),
        "another customer's id": signed(sub=eve.row.id),
        "another issuer": signed(iss="https://elsewhere.example"),
        "no issuer": signed(iss=None),
        "no expiry": signed(exp=None),
        "expired": signed(exp=claims["iat"] - 1),
        "expiry as text": signed(exp="9999999999"),
        "no session": signed(sid=None),
        "a session that is a list": signed(sid=[claims["sid"]]),
        "an unknown session": signed(sid="ses_unknown"),
        "crit": _unsigned({"alg": "HS256", "crit": ["x"], "x": 1}, claims, signature),
        "dots": "..",
        "not ASCII": "é.é.é",
        "lone surrogate": "\ud800.\ud800.\ud800",
        "five parts": "a.b.c.d.e",
    }
    for name, text in forged.items():
        with pytest.raises(NotAuthenticated) as refused:
            await Authenticator([sessions], identity.csrf).authenticate({"authorization": f"Bearer {text}"}, "api")
        assert refused.value.data["reason"] == "invalid", name
    assert (await sessions.verify(token)).customer_id == ada.row.id
    assert await sessions.verify("sq_live_something") is None


@pytest.mark.attack("login")
async def test_a_session_counts_on_the_api_only(identity: Any, ada: Any) -> None:
    callers = identity.process()
    sessions = identity.sessions(callers)
    authenticator = Authenticator([callers, sessions], identity.csrf)
    token = await sessions.begin(ada.row.id, client="x")
    bearer, cookie = {"authorization": f"Bearer {token}"}, {"cookie": f"a=b; session={token}"}
    assert (await authenticator.authenticate(bearer, "api", "POST")).customer_id == ada.row.id
    assert (await authenticator.authenticate(cookie, "api", "GET")).customer_id == ada.row.id
    for headers, surface, method in [
        (bearer, "mcp", "POST"),
        (cookie, "mcp", "GET"),
        (cookie, "api", None),
        ({"x-api-key": token}, "api", "GET"),
    ]:
        with pytest.raises(NotAuthenticated):
            await authenticator.authenticate(headers, surface, method)
    with pytest.raises(NotAuthenticated):
        await authenticator.authenticate({**cookie, "x-api-key": "wrong"}, "api", "GET")


def test_a_short_secret_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match=r"JWT_SECRET: must have at least 32 characters"):
        load_settings({"JWT_SECRET": "short"}, env_file=None)


@pytest.fixture
def app(identity: Any) -> FastAPI:
    callers = identity.process()
    sessions = identity.sessions(callers)
    app = FastAPI()
    doors = Doors(Authenticator([callers, sessions], identity.csrf), callers)
    app.include_router(build_session_router(doors, sessions, identity.csrf))
    install_problem_handlers(app)
    return app


@pytest.mark.attack("login")
async def test_a_change_by_cookie_needs_the_exact_origin_and_the_sessions_own_token(
    identity: Any, ada: Any, app: FastAPI
) -> None:
    sessions = identity.sessions(identity.process())
    token = await sessions.begin(ada.row.id, client="mine")
    other = await sessions.begin(ada.row.id, client="other")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=ORIGIN) as http:
        cookie = {"cookie": f"session={token}"}
        csrf = (await http.get("/api/csrf-token", headers=cookie)).json()["csrf_token"]
        others = (await http.get("/api/csrf-token", headers={"cookie": f"session={other}"})).json()["csrf_token"]
        assert csrf != others
        for origin, sent in [
            (None, csrf),
            ("https://evil.example", csrf),
            ("null", csrf),
            (f"{ORIGIN}0", csrf),
            ("http://127.0.0.1:3456/", csrf),
            ("https://127.0.0.1:3456", csrf),
            (ORIGIN, None),
            (ORIGIN, ""),
            (ORIGIN, others),
            (ORIGIN, csrf[:-1]),
        ]:
            headers = cookie | {n: v for n, v in (("origin", origin), ("x-csrf-token", sent)) if v is not None}
            refused = await http.delete("/api/sessions", headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (403, "not_granted"), (origin, sent)
        assert len(await sessions.list(ada.row.id)) == 2
        listed = (await http.get("/api/sessions", headers=cookie)).json()["sessions"]
        assert [(one["client"], one["current"]) for one in listed] == [("other", False), ("mine", True)]
        good = cookie | {"origin": ORIGIN, "x-csrf-token": csrf}
        assert (await http.delete(f"/api/sessions/{listed[0]['id']}", headers=good)).status_code == 204
        assert (await http.delete("/api/sessions", headers=good)).status_code == 204
        identity.clock.now += MEMORY_SECONDS
        assert (await http.get("/api/sessions", headers=cookie)).status_code == 401
        key = {"x-api-key": ada.key.secret}
        assert (await http.get("/api/csrf-token", headers=key)).status_code == 404
        assert (await http.get("/api/sessions", headers=key)).json() == {"sessions": []}
