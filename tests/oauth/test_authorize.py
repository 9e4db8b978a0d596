"""What is refused at the authorization endpoint, to whom it is said, and that it goes nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from hermes.identity.caller import Grants
from hermes.oauth.authorize import AuthorizationRequest
from hermes.oauth.errors import AuthorizeError, AuthorizeRefused
from oauth.conftest import CALLBACK, ISSUER, RESOURCE, Documents, Pkce, Replica, answer_of, asking

pytestmark = pytest.mark.storage

PKCE = Pkce()


async def begin(replica: Replica, client: str, *more: tuple[str, str], **parameters: str) -> AuthorizationRequest:
    pairs = [*asking(client, PKCE, **parameters).items(), *more]
    return await replica.house.oauth.authorizations.begin(pairs, address="192.0.2.1")


SHOWN = {
    "no client": {"client_id": ""},
    "unknown client": {"client_id": "ocl_unknown"},
    "a client whose id is too long": {"client_id": "c" * 600},
    "an http client id": {"client_id": "http://client.example/client.json"},
    "another host": {"redirect_uri": "https://evil.example/callback"},
    "another path": {"redirect_uri": f"{CALLBACK}/more"},
    "a path that leads back": {"redirect_uri": "https://client.example/x/../callback"},
    "a query behind": {"redirect_uri": f"{CALLBACK}?next=1"},
    "a fragment": {"redirect_uri": f"{CALLBACK}#x"},
    "another case": {"redirect_uri": "https://client.example/Callback"},
    "a port": {"redirect_uri": "https://client.example:8443/callback"},
    "a user name": {"redirect_uri": "https://client.example@evil.example/callback"},
    "a longer host": {"redirect_uri": "https://client.example.evil.example/callback"},
    "http": {"redirect_uri": "http://client.example/callback"},
    "a script": {"redirect_uri": "javascript:alert(1)"},
    "data": {"redirect_uri": "data:text/html,hello"},
    "a line break": {"redirect_uri": f"{CALLBACK}\r\nlocation: https://evil.example"},
    "a loopback that is not registered": {"redirect_uri": "http://127.0.0.1:8000/callback"},
}


@pytest.mark.attack("authorize")
@pytest.mark.parametrize("parameters", SHOWN.values(), ids=SHOWN)
async def test_untrusted_answers_are_never_redirected(one: Replica, parameters: dict[str, str]) -> None:
    client = (await one.register())["client_id"]
    with pytest.raises(AuthorizeRefused):
        await begin(
            one, **({"client": client} | {("client" if k == "client_id" else k): v for k, v in parameters.items()})
        )


@pytest.mark.attack("authorize")
@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
async def test_a_repeated_client_or_redirect_is_not_trusted(one: Replica, name: str) -> None:
    client = (await one.register())["client_id"]
    again = {"client_id": client, "redirect_uri": CALLBACK}[name]
    with pytest.raises(AuthorizeRefused):
        await begin(one, client, (name, again))


CARRIED_BACK = {
    "no response type": ({"response_type": ""}, "invalid_request"),
    "a token at once": ({"response_type": "token"}, "unsupported_response_type"),
    "an id token": ({"response_type": "code id_token"}, "unsupported_response_type"),
    "in the fragment": ({"response_mode": "fragment"}, "invalid_request"),
    "by form": ({"response_mode": "form_post"}, "invalid_request"),
    "no challenge": ({"code_challenge": ""}, "invalid_request"),
    "no method": ({"code_challenge_method": ""}, "invalid_request"),
    "plain": ({"code_challenge_method": "plain", "code_challenge": PKCE.verifier}, "invalid_request"),
    "a short challenge": ({"code_challenge": "abc"}, "invalid_request"),
    "a challenge of other characters": ({"code_challenge": "+" * 43}, "invalid_request"),
    "a padded challenge": ({"code_challenge": PKCE.challenge + "="}, "invalid_request"),
    "another resource": ({"resource": "https://evil.example/mcp"}, "invalid_target"),
    "a resource below ours": ({"resource": f"{RESOURCE}/admin"}, "invalid_target"),
    "a resource with a fragment": ({"resource": f"{RESOURCE}#x"}, "invalid_target"),
    "a resource of another port": ({"resource": "https://gateway.example:444/mcp"}, "invalid_target"),
    "a resource that is none": ({"resource": "mcp"}, "invalid_target"),
    "no scope that there is": ({"scope": "admin root"}, "invalid_scope"),
    "a request object": ({"request": "eyJ"}, "request_not_supported"),
    "a request by address": ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported"),
    "a prompt of no meaning": ({"prompt": "sometimes"}, "invalid_request"),
    "a prompt that contradicts itself": ({"prompt": "none login"}, "invalid_request"),
}


@pytest.mark.attack("authorize")
@pytest.mark.parametrize(("parameters", "error"), CARRIED_BACK.values(), ids=CARRIED_BACK)
async def test_other_faults_are_carried_back(one: Replica, parameters: dict[str, str], error: str) -> None:
    client = (await one.register())["client_id"]
    with pytest.raises(AuthorizeError) as refused:
        await begin(one, client, **parameters)
    assert refused.value.location.startswith(f"{CALLBACK}?")
    answer = answer_of(refused.value.location)
    assert (answer["error"], answer["iss"], answer["state"]) == (error, ISSUER, "the client's state")
    assert "code" not in answer


@pytest.mark.attack("authorize")
@pytest.mark.parametrize("name", ["scope", "code_challenge", "response_type", "prompt"])
async def test_a_repeated_parameter_is_refused(one: Replica, name: str) -> None:
    client = (await one.register())["client_id"]
    with pytest.raises(AuthorizeError) as refused:
        await begin(one, client, (name, "x"), **({name: "x"} if name in ("scope", "prompt") else {}))
    assert refused.value.error == "invalid_request"


@pytest.mark.attack("authorize")
async def test_a_repeated_state_is_not_given_back(one: Replica) -> None:
    client = (await one.register())["client_id"]
    with pytest.raises(AuthorizeError) as refused:
        await begin(one, client, ("state", "another"))
    assert "state" not in answer_of(refused.value.location)


@pytest.mark.attack("authorize")
async def test_the_second_of_several_resources_is_looked_at(one: Replica) -> None:
    client = (await one.register())["client_id"]
    assert (await begin(one, client, ("resource", ISSUER))).resource == RESOURCE
    with pytest.raises(AuthorizeError) as refused:
        await begin(one, client, ("resource", "https://evil.example"))
    assert refused.value.error == "invalid_target"


@pytest.mark.parametrize(
    "resource",
    [
        "",
        ISSUER,
        f"{ISSUER}/",
        f"{ISSUER}/sse",
        f"{RESOURCE}/",
        "HTTPS://GATEWAY.example:443/mcp",
        f"{RESOURCE}?tools=telegram",
    ],
)
async def test_every_spelling_of_our_resource_is_ours(one: Replica, resource: str) -> None:
    client = (await one.register())["client_id"]
    assert (await begin(one, client, resource=resource)).resource == RESOURCE


async def test_scopes_that_are_not_there_are_left_away(one: Replica) -> None:
    client = (await one.register())["client_id"]
    request = await begin(one, client, scope="openid telegram:read offline_access telegram:admin")
    assert request.grants == Grants.parse(["telegram:read"])
    assert (await begin(one, client)).grants == Grants.everything()
    assert (await begin(one, client, scope="offline_access")).grants == Grants.everything()


@pytest.mark.parametrize(
    ("registered", "asked", "fits"),
    [
        ("http://127.0.0.1/callback", "http://127.0.0.1:51234/callback", True),
        ("http://127.0.0.1:8000/callback", "http://127.0.0.1:9000/callback", True),
        ("http://localhost:8000/callback", "http://localhost:9000/callback", True),
        ("http://[::1]/callback", "http://[::1]:9000/callback", True),
        ("http://127.0.0.1/callback?a=1", "http://127.0.0.1:9/callback?a=1", True),
        ("http://127.0.0.1/callback", "http://localhost:9000/callback", False),
        ("http://127.0.0.1/callback", "http://127.0.0.1:9000/other", False),
        ("http://127.0.0.1/callback", "http://127.0.0.1:9000/callback?a=1", False),
        ("http://127.0.0.1/callback", "https://127.0.0.1:9000/callback", False),
        ("http://127.0.0.1/callback", "http://127.0.0.1:9000/call\tback", False),
        ("http://127.0.0.1/callback", "http://127.0.0.1:9000/callback#x", False),
        ("http://127.0.0.1/callback", "http://127.0.0.1:9000@evil.example/callback", False),
        ("http://127.0.0.1/callback", "http://127.0.0.1.evil.example:9000/callback", False),
        ("http://127.0.0.1/callback", "http://127.0.0.2:9000/callback", False),
        ("http://127.0.0.1/callback", "http://127.0.0.1:99999/callback", False),
        ("com.example.app:/callback", "com.example.app:/callback", True),
        ("com.example.app:/callback", "com.example.app:/other", False),
        ("cursor://anysphere.cursor/callback", "cursor://anysphere.cursor/callback", True),
    ],
)
async def test_only_the_port_of_a_loopback_address_may_differ(
    one: Replica, registered: str, asked: str, fits: bool
) -> None:
    client = (await one.register(redirect_uris=[registered]))["client_id"]
    if fits:
        assert (await begin(one, client, redirect_uri=asked)).redirect_uri == asked
    else:
        with pytest.raises(AuthorizeRefused):
            await begin(one, client, redirect_uri=asked)


async def test_a_redirect_uri_may_be_left_away_when_there_is_one(one: Replica) -> None:
    client = (await one.register())["client_id"]
    assert (await begin(one, client, redirect_uri="")).redirect_uri == CALLBACK
    several = (await one.register(redirect_uris=[CALLBACK, f"{CALLBACK}/two"]))["client_id"]
    with pytest.raises(AuthorizeRefused):
        await begin(one, several, redirect_uri="")


async def test_what_a_person_is_told_about_the_client(one: Replica, documents: Documents, ada: Any) -> None:
    name = "Cla\u202eude\u200b\n <b>bold</b>"
    client = (await one.register(client_name=name, redirect_uris=["http://localhost:1/cb"]))["client_id"]
    request = await begin(one, client, redirect_uri="http://localhost:7/cb")
    assert (request.client.name, request.client.verified, request.client.host) == ("Claude <b>bold</b>", False, None)
    assert (request.redirect_host, request.redirect_is_loopback) == ("localhost:7", True)

    known = documents.client(redirect_uris=[CALLBACK, "http://127.0.0.1/cb"])
    request = await begin(one, known)
    assert (request.client.verified, request.client.host) == (True, f"client.example:{documents.port}")
    assert (request.redirect_host, request.redirect_is_loopback) == ("client.example", False)


@pytest.mark.attack("authorize")
async def test_consent_is_not_taken_for_granted_when_any_program_could_ask(
    one: Replica, documents: Documents, ada: Any
) -> None:
    known = documents.client(redirect_uris=[CALLBACK, "http://127.0.0.1/cb"])
    await one.agree(ada.row.id, known, Pkce())
    authorizations = one.house.oauth.authorizations
    assert await authorizations.remembered(ada.row.id, await begin(one, known)) is not None
    local = await begin(one, known, redirect_uri="http://127.0.0.1:9/cb")
    assert await authorizations.remembered(ada.row.id, local) is None
    assert await authorizations.agreed(ada.row.id, local) == local.grants  # but the page knows what was ticked


@pytest.mark.attack("authorize")
async def test_one_person_never_answers_for_another(one: Replica, ada: Any, bob: Any) -> None:
    client = (await one.register())["client_id"]
    await one.agree(ada.row.id, client, Pkce())
    authorizations = one.house.oauth.authorizations
    assert await authorizations.remembered(bob.row.id, await begin(one, client)) is None
    assert (await authorizations.agreed(bob.row.id, await begin(one, client))).pairs == frozenset()


@pytest.mark.attack("authorize")
async def test_more_than_was_asked_is_not_given(one: Replica, ada: Any) -> None:
    client = (await one.register())["client_id"]
    tokens = await one.sign_in(ada.row.id, client, "*:read", "*:write", scope="telegram:read")
    assert tokens["scope"] == "telegram:read"
    answer = await one.agree(ada.row.id, client, Pkce(), "email:write", scope="telegram:read")
    assert answer["error"] == "access_denied"


async def test_clients_of_2025_03_26_find_the_page(one: Replica) -> None:
    moved = await one.http.get("/authorize?client_id=a&state=%0d%0aset-cookie:x", follow_redirects=False)
    assert moved.status_code == 302
    assert moved.headers["location"] == f"{ISSUER}/oauth/authorize?client_id=a&state=%0d%0aset-cookie:x"
