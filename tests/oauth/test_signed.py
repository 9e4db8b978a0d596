"""Clients that prove who they are by a signed JWT: it must be theirs, for us, for now, and for once."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from hermes.oauth.client_auth import ASSERTION_TYPE
from oauth.conftest import ISSUER, OPERATOR, Documents, Pkce, Replica

pytestmark = pytest.mark.storage

KEY = ECKey.generate_key("P-256", {"kid": "one"})
OTHER = ECKey.generate_key("P-256", {"kid": "one"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})


def public(*keys: Any) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


def claims(client_id: str, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {
        "iss": client_id,
        "sub": client_id,
        "aud": ISSUER,
        "exp": now + 60,
        "iat": now,
        "jti": uuid4().hex,
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def signed(client_id: str, key: Any = KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
    named = {"alg": "ES256", "kid": "one"} if header is None else header
    return jwt.encode(named, claims(client_id, **changes), key, algorithms=[named["alg"]])


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _plain(members: dict[str, Any]) -> str:
    return _base64url(json.dumps(members).encode())


async def ask(replica: Replica, assertion: str, **form: str) -> httpx2.Response:
    return await replica.token(
        grant_type="client_credentials", client_assertion=assertion, client_assertion_type=ASSERTION_TYPE, **form
    )


@pytest.fixture
async def client(one: Replica, ada: Any) -> str:
    asked = {"name": "Nightly", "customer_id": ada.row.id, "jwks": public(KEY, RSA)}
    made = await one.http.post("/api/admin/oauth-clients", json=asked, headers=OPERATOR)
    assert made.json()["token_endpoint_auth_method"] == "private_key_jwt"
    assert made.json()["client_secret"] is None
    return str(made.json()["client_id"])


@pytest.mark.parametrize("audience", [ISSUER, f"{ISSUER}/oauth/token", [ISSUER]])
async def test_a_signature_is_proof_enough(one: Replica, client: str, audience: Any) -> None:
    given = await ask(one, signed(client, aud=audience))
    assert given.status_code == 200, given.text
    assert await one.works(given.json()["access_token"])
    assert (await ask(one, signed(client), client_id=client)).status_code == 200


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
async def test_keys_of_other_kinds(one: Replica, client: str, algorithm: str) -> None:
    assert (await ask(one, signed(client, RSA, {"alg": algorithm, "kid": "rsa"}))).status_code == 200


@pytest.mark.attack("token")
async def test_an_assertion_counts_once_on_all_replicas(one: Replica, other: Replica, client: str) -> None:
    assertion = signed(client)
    assert (await ask(one, assertion)).status_code == 200
    for replica in (other, one):
        again = await ask(replica, assertion)
        assert (again.status_code, again.json()["error"]) == (401, "invalid_client")


BAD_CLAIMS = {
    "another issuer": {"iss": "ocl_other"},
    "no issuer": {"iss": None},
    "no subject": {"sub": None},
    "another audience": {"aud": "https://evil.example"},
    "our resource": {"aud": f"{ISSUER}/mcp"},
    "a slash more": {"aud": f"{ISSUER}/"},
    "no audience": {"aud": None},
    "for others as well": {"aud": [ISSUER, "https://evil.example"]},
    "no end": {"exp": None},
    "over": {"exp": int(time.time()) - 60},
    "too long": {"exp": int(time.time()) + 86_400},
    "an end that is no number": {"exp": "tomorrow"},
    "not yet": {"nbf": int(time.time()) + 86_400},
    "no id": {"jti": None},
    "an empty id": {"jti": ""},
    "an id that is no text": {"jti": 7},
    "a long id": {"jti": "x" * 300},
}


@pytest.mark.attack("token")
@pytest.mark.parametrize("changes", BAD_CLAIMS.values(), ids=BAD_CLAIMS)
async def test_claims_that_do_not_fit(one: Replica, client: str, changes: dict[str, Any]) -> None:
    refused = await ask(one, signed(client, **changes))
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client"), refused.text
    assert refused.headers["www-authenticate"].startswith("Basic")


@pytest.mark.attack("token")
async def test_signatures_that_do_not_count(one: Replica, client: str) -> None:
    good = signed(client)
    head, body, signature = good.split(".")
    unsigned = "eyJhbGciOiJub25lIn0"  # {"alg":"none"}
    shared = _plain({"alg": "HS256", "kid": "one"}) + "." + _plain(claims(client))
    mac = hmac.digest(KEY.as_pem(private=False), shared.encode(), "sha256")  # joserfc itself refuses to do this
    forged = {
        "another's key": signed(client, OTHER),
        "an unknown key": signed(client, ECKey.generate_key("P-256", {"kid": "two"}), {"alg": "ES256", "kid": "two"}),
        "no key named": signed(client, KEY, {"alg": "ES256"}),
        "none": f"{unsigned}.{body}.",
        "the public key as a secret": f"{shared}.{_base64url(mac)}",
        "no signature": f"{head}.{body}.",
        "another body": f"{head}.{body[:-2]}xx.{signature}",
        "half of it": f"{head}.{body}",
        "nothing of the kind": "hello",
        "a long one": "a" * 20_000,
    }
    for name, assertion in forged.items():
        refused = await ask(one, assertion, client_id=client)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client"), name
    assert (await ask(one, good)).status_code == 200


@pytest.mark.attack("token")
async def test_no_client_speaks_for_another(one: Replica, client: str, ada: Any) -> None:
    asked = {"name": "Thief", "customer_id": ada.row.id, "jwks": public(OTHER)}
    thief = (await one.http.post("/api/admin/oauth-clients", json=asked, headers=OPERATOR)).json()["client_id"]
    assert (await ask(one, signed(thief, OTHER))).status_code == 200
    assert (await ask(one, signed(client, OTHER))).status_code == 401
    assert (await ask(one, signed(thief, OTHER), client_id=client)).status_code == 401
    by_id_alone = await one.token(grant_type="client_credentials", client_id=client)
    assert (by_id_alone.status_code, by_id_alone.json()["error"]) == (401, "invalid_client")


async def test_a_client_with_a_document_signs_by_keys_at_its_address(
    one: Replica, other: Replica, documents: Documents, ada: Any
) -> None:
    keys = documents.say("/keys.json", public(KEY))
    client_id = documents.client(token_endpoint_auth_method="private_key_jwt", jwks_uri=keys)
    pkce = Pkce()

    async def redeem(replica: Replica, assertion: str, code: str) -> httpx2.Response:
        proof = {"client_assertion": assertion, "client_assertion_type": ASSERTION_TYPE}
        return await replica.token(grant_type="authorization_code", code=code, code_verifier=pkce.verifier, **proof)

    code = (await one.agree(ada.row.id, client_id, pkce))["code"]
    assert (await redeem(one, signed(client_id, OTHER), code)).status_code == 401
    tokens = (await redeem(one, signed(client_id), code)).json()
    assert await one.works(tokens["access_token"])
    assert (await one.refresh(client_id, tokens["refresh_token"])).status_code == 401
    assert documents.hits["/keys.json"] == 1
    code = (await other.agree(ada.row.id, client_id, pkce))["code"]
    assert (await redeem(other, signed(client_id), code)).status_code == 200
    assert documents.hits["/keys.json"] == 1  # kept for all replicas


@pytest.mark.attack("token")
@pytest.mark.parametrize("body", [b"not json", b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "AA"}]}'])
async def test_keys_that_are_none(one: Replica, documents: Documents, ada: Any, body: bytes) -> None:
    keys = documents.say("/keys.json", body)
    client_id = documents.client(token_endpoint_auth_method="private_key_jwt", jwks_uri=keys)
    code = (await one.agree(ada.row.id, client_id, Pkce()))["code"]
    proof = {"client_assertion": signed(client_id), "client_assertion_type": ASSERTION_TYPE}
    refused = await one.token(grant_type="authorization_code", code=code, code_verifier="x" * 43, **proof)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
