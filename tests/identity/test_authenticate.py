"""Who sent a request: the order of credentials, and what counts where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.errors import NotAuthenticated, Suspended
from hermes.identity.authenticate import Authenticator
from hermes.identity.caller import Caller, Grants, Via


def _caller(name: str) -> Caller:
    return Caller("customer", name, Via.API_KEY, "key", Grants.everything(), "free")


@dataclass
class KnowsOne:
    """A verifier of one token."""

    token: str
    credentials: frozenset[str]
    surfaces: frozenset[str] = frozenset({"mcp", "api"})
    asked: list[str] = field(default_factory=list)

    async def verify(self, token: str) -> Caller | None:
        self.asked.append(token)
        if token == "suspended":
            raise Suspended("suspended")
        return _caller(self.token) if token == self.token else None


KEY = KnowsOne("key", frozenset({"x-api-key", "bearer"}))
OAUTH = KnowsOne("oauth", frozenset({"bearer"}))
SESSION = KnowsOne("session", frozenset({"bearer"}), frozenset({"api"}))
AUTHENTICATOR = Authenticator([KEY, OAUTH, SESSION])


@pytest.mark.parametrize(
    ("headers", "surface", "who"),
    [
        ({"x-api-key": "key"}, "mcp", "key"),
        ({"authorization": "Bearer key"}, "mcp", "key"),
        ({"authorization": "bearer   key "}, "api", "key"),
        ({"authorization": "BEARER oauth"}, "mcp", "oauth"),
        ({"authorization": "Bearer session"}, "api", "session"),
        ({"x-api-key": "key", "authorization": "Bearer oauth"}, "mcp", "key"),
        ({"x-api-key": "", "authorization": "Bearer oauth"}, "mcp", "oauth"),
    ],
)
async def test_accepted(headers: dict[str, str], surface: str, who: str) -> None:
    assert (await AUTHENTICATOR.authenticate(headers, surface)).customer_id == who


@pytest.mark.parametrize(
    ("headers", "surface", "reason"),
    [
        ({}, "mcp", "missing"),
        ({"x-api-key": ""}, "mcp", "missing"),
        ({"x-api-key": "oauth"}, "mcp", "invalid"),
        ({"x-api-key": "wrong", "authorization": "Bearer key"}, "mcp", "invalid"),
        ({"authorization": "Bearer session"}, "mcp", "invalid"),
        ({"authorization": "Bearer key"}, "elsewhere", "invalid"),
        ({"authorization": "Bearer wrong"}, "api", "invalid"),
        ({"authorization": "Bearer"}, "api", "invalid"),
        ({"authorization": "Bearer "}, "api", "invalid"),
        ({"authorization": "key"}, "api", "invalid"),
        ({"authorization": "Basic key"}, "api", "invalid"),
        ({"cookie": "session=session"}, "api", "missing"),
        ({"x-api-key-2": "key"}, "api", "missing"),
    ],
)
async def test_refused(headers: dict[str, str], surface: str, reason: str) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        await AUTHENTICATOR.authenticate(headers, surface)
    assert refused.value.data["reason"] == reason
    assert "x-api-key" in refused.value.message


async def test_a_refusal_is_not_passed_on_to_the_next_verifier() -> None:
    OAUTH.asked.clear()
    with pytest.raises(Suspended):
        await AUTHENTICATOR.authenticate({"authorization": "Bearer suspended"}, "mcp")
    assert OAUTH.asked == []


@given(name=st.sampled_from(["x-api-key", "authorization"]), value=st.text())
async def test_whatever_is_sent_is_refused_without_an_error_and_not_repeated(name: str, value: str) -> None:
    marked = f"{value}s3cr3t"
    with pytest.raises(NotAuthenticated) as refused:
        await AUTHENTICATOR.authenticate({name: marked}, "mcp")
    assert "s3cr3t" not in str(refused.value.as_dict())


@pytest.mark.storage
async def test_real_keys_over_both_headers(identity: Any) -> None:
    process = identity.process()
    authenticator = Authenticator([process])
    customer = await identity.customers.create("ada@example.com")
    for secret, who in ((customer.key.secret, customer.row.id), ("operator-key-for-tests", "operator")):
        for headers in ({"x-api-key": secret}, {"authorization": f"Bearer {secret}"}):
            for surface in ("mcp", "api"):
                assert (await authenticator.authenticate(headers, surface)).customer_id == who


@pytest.mark.storage
@pytest.mark.parametrize("odd", ["\ud800", "\x00", "é" * 100, "sq_live_" + "\ud800" * 49, "sq_live_", "x" * 100_000])
async def test_odd_secrets_are_refused(identity: Any, odd: str) -> None:
    with pytest.raises(NotAuthenticated):
        await Authenticator([identity.process()]).authenticate({"x-api-key": odd}, "mcp")
    assert identity.database.reads == 0
