"""What is refused at the token and revocation endpoints, with which code, and how a client proves who it is."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx2
import pytest

from hermes.oauth.refusals import REFUSALS
from oauth.conftest import CALLBACK, RESOURCE, Gateway, Pkce, Replica

pytestmark = pytest.mark.storage

FORM = {"content-type": "application/x-www-form-urlencoded"}


def basic(client_id: str, secret: str) -> dict[str, str]:
    """Each part form-encoded before they are joined (RFC 6749, 2.3.1)."""
    text = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


class SignIn:
    """A client with a code that it may use."""

    def __init__(self, client: dict[str, Any], code: str, pkce: Pkce) -> None:
        self.client, self.code, self.pkce = client, code, pkce

    def form(self, **changes: str | None) -> dict[str, str]:
        form = {
            "grant_type": "authorization_code",
            "client_id": self.client["client_id"],
            "code": self.code,
            "code_verifier": self.pkce.verifier,
            "redirect_uri": CALLBACK,
            **changes,
        }
        return {name: value for name, value in form.items() if value is not None}


async def sign_in(replica: Replica, customer: Any, **metadata: Any) -> SignIn:
    client, pkce = await replica.register(**metadata), Pkce()
    return SignIn(client, (await replica.agree(customer.row.id, client["client_id"], pkce))["code"], pkce)


def refused(answer: httpx2.Response, error: str, status: int = 400) -> bool:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in answer.headers) == (status == 401)
    return True


CHANGES = {
    "another verifier": ({"code_verifier": "x" * 43}, "invalid_grant"),
    "the challenge for a verifier": ({"code_verifier": "challenge"}, "invalid_grant"),
    "a short verifier": ({"code_verifier": "x"}, "invalid_grant"),
    "no verifier": ({"code_verifier": None}, "invalid_request"),
    "an empty verifier": ({"code_verifier": ""}, "invalid_request"),
    "another redirect": ({"redirect_uri": f"{CALLBACK}/"}, "invalid_grant"),
    "no code": ({"code": None}, "invalid_request"),
    "a code of nobody": ({"code": "sq_ac_" + "x" * 43}, "invalid_grant"),
    "no code at all": ({"code": "hello"}, "invalid_grant"),
    "a very long code": ({"code": "sq_ac_" + "x" * 9000}, "invalid_grant"),
    "another resource": ({"resource": "https://evil.example/"}, "invalid_target"),
    "no grant type": ({"grant_type": None}, "invalid_request"),
    "a password": ({"grant_type": "password"}, "unsupported_grant_type"),
    "implicit": ({"grant_type": "implicit"}, "unsupported_grant_type"),
    "a foreign assertion": ({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}, "unsupported_grant_type"),
    "by itself": ({"grant_type": "client_credentials"}, "unauthorized_client"),
    "a code as refresh token": ({"grant_type": "refresh_token", "refresh_token": "sq_ac_" + "x" * 43}, "invalid_grant"),
    "no refresh token": ({"grant_type": "refresh_token"}, "invalid_request"),
}


@pytest.mark.attack("token")
@pytest.mark.parametrize(("changes", "error"), CHANGES.values(), ids=CHANGES)
async def test_a_token_request_that_does_not_fit(
    one: Replica, ada: Any, changes: dict[str, str | None], error: str
) -> None:
    asked = await sign_in(one, ada)
    if changes.get("code_verifier") == "challenge":
        changes = {"code_verifier": asked.pkce.challenge}
    assert refused(await one.token(**asked.form(**changes)), error)
    assert (await one.token(**asked.form())).status_code == 200  # and the code was not used up by it


@pytest.mark.attack("token")
async def test_a_code_is_of_one_client_only(one: Replica, ada: Any) -> None:
    asked = await sign_in(one, ada)
    thief = (await one.register(client_name="Thief"))["client_id"]
    assert refused(await one.token(**asked.form(client_id=thief)), "invalid_grant")
    tokens = (await one.token(**asked.form())).json()
    assert refused(await one.token(**asked.form(client_id=thief)), "invalid_grant")
    assert await one.works(tokens["access_token"])  # a stranger with an old code takes nothing away
    assert refused(await one.refresh(thief, tokens["refresh_token"]), "invalid_grant")
    assert refused(await one.refresh(asked.client["client_id"], tokens["access_token"]), "invalid_grant")
    assert (await one.refresh(asked.client["client_id"], tokens["refresh_token"])).status_code == 200


@pytest.mark.attack("token")
@pytest.mark.parametrize("name", ["client_id", "grant_type", "code", "code_verifier", "redirect_uri"])
async def test_a_repeated_parameter_is_refused(one: Replica, ada: Any, name: str) -> None:
    asked = await sign_in(one, ada)
    body = urlencode([*asked.form().items(), (name, asked.form()[name])])
    assert refused(await one.http.post("/oauth/token", content=body, headers=FORM), "invalid_request")


@pytest.mark.attack("token")
@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b'{"grant_type": "authorization_code"}', {"content-type": "application/json"}, 400),
        (b"grant_type=authorization_code", {}, 400),
        (b"grant_type=\xff\xfe", FORM, 400),
        (b"grant_type=%ff%fe", FORM, 400),
        (b"&".join(b"a%d=1" % n for n in range(100)), FORM, 400),
        (b"a=" + b"x" * 40_000, FORM, 413),
        (b"", FORM, 400),
    ],
)
async def test_a_body_that_is_no_form(one: Replica, content: bytes, headers: dict[str, str], status: int) -> None:
    answer = await one.http.post("/oauth/token", content=content, headers=headers)
    assert refused(answer, "invalid_request", status)


@pytest.mark.attack("token")
async def test_parameters_in_the_query_do_not_count(one: Replica, ada: Any) -> None:
    asked = await sign_in(one, ada)
    answer = await one.http.post("/oauth/token", params=asked.form(), content=b"", headers=FORM)
    assert refused(answer, "invalid_request")
    assert (await one.http.get("/oauth/token", params=asked.form())).status_code == 405


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_secret_counts_in_the_header_and_in_the_body(one: Replica, ada: Any, method: str) -> None:
    for way in ("header", "header with client_id", "body"):
        asked = await sign_in(one, ada, token_endpoint_auth_method=method)
        client_id, secret = asked.client["client_id"], asked.client["client_secret"]
        form = asked.form(**({"client_id": None} if way == "header" else {}))
        headers = basic(client_id, secret) if way != "body" else {}
        form |= {"client_secret": secret} if way == "body" else {}
        answer = await one.http.post("/oauth/token", data=form, headers=headers)
        assert answer.status_code == 200, (way, answer.text)


@pytest.mark.attack("token")
async def test_a_client_with_a_secret_proves_it(one: Replica, ada: Any) -> None:
    asked = await sign_in(one, ada, token_endpoint_auth_method="client_secret_basic")
    client_id, secret = asked.client["client_id"], asked.client["client_secret"]
    other = await one.register(token_endpoint_auth_method="client_secret_basic")

    async def post(headers: dict[str, str], **changes: str | None) -> httpx2.Response:
        return await one.http.post("/oauth/token", data=asked.form(**changes), headers=headers)

    assert refused(await post({}), "invalid_client", 401)
    assert refused(await post({}, client_secret="wrong"), "invalid_client", 401)
    assert refused(await post({}, client_secret=other["client_secret"]), "invalid_client", 401)
    assert refused(await post(basic(client_id, "wrong")), "invalid_client", 401)
    assert refused(await post(basic(client_id, "")), "invalid_client", 401)
    assert refused(await post({"authorization": "Basic !!!"}), "invalid_client", 401)
    assert refused(await post({"authorization": "Basic " + base64.b64encode(b"id").decode()}), "invalid_client", 401)
    assert refused(await post({"authorization": f"Bearer {secret}"}), "invalid_client", 401)
    assert refused(await post(basic(client_id, secret), client_secret=secret), "invalid_request")
    assert refused(await post(basic(other["client_id"], other["client_secret"])), "invalid_request")
    assert refused(await post({}, client_assertion="a.b.c"), "invalid_request")
    assert refused(await post({}, client_assertion="a.b.c", client_assertion_type="saml"), "invalid_request")
    assert (await post(basic(client_id, secret))).status_code == 200


@pytest.mark.attack("token")
async def test_a_public_client_has_nothing_to_prove_it_by(one: Replica, ada: Any) -> None:
    asked = await sign_in(one, ada)
    assert "client_secret" not in asked.client
    assert refused(await one.token(**asked.form(client_secret="anything")), "invalid_client", 401)
    assert refused(await one.token(**asked.form(client_id=None)), "invalid_client", 401)
    assert refused(await one.token(**asked.form(client_id="ocl_unknown")), "invalid_client", 401)
    assert (await one.token(**asked.form(client_secret=""))).status_code == 200  # empty is left away (RFC 6749, 3.2)


async def test_only_clients_that_refresh_are_given_refresh_tokens(one: Replica, ada: Any) -> None:
    asked = await sign_in(one, ada, grant_types=["authorization_code"])
    assert "refresh_token" not in (await one.token(**asked.form(resource=RESOURCE))).json()
    asked = await sign_in(one, ada)
    tokens = (await one.token(**asked.form())).json()
    never = (await one.register(grant_types=["authorization_code"]))["client_id"]
    assert refused(await one.refresh(never, tokens["refresh_token"]), "unauthorized_client")


async def test_a_refresh_token_given_back_ends_the_sign_in(
    one: Replica, other: Replica, gateway: Gateway, ada: Any
) -> None:
    client = (await one.register())["client_id"]
    tokens, elsewhere = await one.sign_in(ada.row.id, client), await one.sign_in(ada.row.id, client)
    given = {"client_id": client, "token": tokens["refresh_token"], "token_type_hint": "access_token"}
    answer = await other.http.post("/oauth/revoke", data=given)
    assert (answer.status_code, answer.content) == (200, b"")
    assert refused(await one.refresh(client, tokens["refresh_token"]), "invalid_grant")
    assert not await (await gateway.replica()).works(tokens["access_token"])
    assert await one.works(elsewhere["access_token"])
    assert (await other.http.post("/oauth/revoke", data=given)).status_code == 200


async def test_an_access_token_given_back_goes_alone(one: Replica, gateway: Gateway, ada: Any) -> None:
    client = (await one.register())["client_id"]
    tokens = await one.sign_in(ada.row.id, client)
    given = {"client_id": client, "token": tokens["access_token"]}
    assert (await one.http.post("/oauth/revoke", data=given)).status_code == 200
    assert not await (await gateway.replica()).works(tokens["access_token"])
    assert (await one.refresh(client, tokens["refresh_token"])).status_code == 200


@pytest.mark.attack("revoke")
async def test_nobody_gives_back_what_is_anothers(one: Replica, ada: Any) -> None:
    client = (await one.register())["client_id"]
    thief = (await one.register())["client_id"]
    tokens = await one.sign_in(ada.row.id, client)
    for token in (tokens["refresh_token"], tokens["access_token"], "sq_rt_nothing", "nothing", ada.key.secret):
        answer = await one.http.post("/oauth/revoke", data={"client_id": thief, "token": token})
        assert answer.status_code == 200  # RFC 7009, 2.2: whether there is such a token is not told
    assert await one.works(tokens["access_token"])
    assert (await one.refresh(client, tokens["refresh_token"])).status_code == 200
    assert refused(await one.http.post("/oauth/revoke", data={"token": "x"}), "invalid_client", 401)
    assert refused(await one.http.post("/oauth/revoke", data={"client_id": client}), "invalid_request")


@pytest.mark.parametrize("path", ["/oauth/token", "/token", "/oauth/register", "/register", "/oauth/revoke"])
async def test_pages_of_other_origins_may_ask(one: Replica, path: str) -> None:
    asked = {
        "origin": "https://inspector.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,mcp-protocol-version",
    }
    answer = await one.http.options(path, headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == "authorization,mcp-protocol-version"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.attack("token")
async def test_who_is_refused_too_often_is_told_no_more(one: Replica, ada: Any) -> None:
    asked = await sign_in(one, ada)
    for _ in range(REFUSALS.times):
        await one.house.oauth.endpoints.note_refusal("192.0.2.7")
    answer = await one.token(**asked.form(code="sq_ac_" + "x" * 43))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert (await one.token(**asked.form())).status_code == 200  # who asks rightly is not held up


@pytest.mark.parametrize("way", ["query", "form", "cookie"])
async def test_an_access_token_counts_in_the_header_only(one: Replica, ada: Any, way: str) -> None:
    token = (await one.sign_in(ada.row.id, (await one.register())["client_id"]))["access_token"]
    given: dict[str, Any] = {
        "query": {"params": {"access_token": token}},
        "form": {"data": {"access_token": token}},
        "cookie": {"headers": {"cookie": f"session={token}"}},
    }[way]
    assert (await one.http.post("/api/telegram/message", **given)).status_code == 401
    assert (await one.http.get("/api/telegram/me", headers={"x-api-key": token})).status_code == 401
