"""Where clients look for the authorization server, and what they find there."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.shared.auth import OAuthMetadata, ProtectedResourceMetadata

from hermes.oauth.metadata import Metadata
from hermes.oauth.scopes import ScopeCatalogue
from oauth.conftest import ISSUER, Replica

pytestmark = pytest.mark.storage


@pytest.mark.parametrize("path", ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"])
async def test_what_the_server_can_do(one: Replica, path: str) -> None:
    answer = await one.http.get(path)
    assert answer.headers["access-control-allow-origin"] == "*"
    found: dict[str, Any] = answer.json()
    assert found["issuer"] == ISSUER
    assert found["authorization_endpoint"] == f"{ISSUER}/oauth/authorize"
    assert found["token_endpoint"] == f"{ISSUER}/oauth/token"
    assert found["registration_endpoint"] == f"{ISSUER}/oauth/register"
    assert found["revocation_endpoint"] == f"{ISSUER}/oauth/revoke"
    assert found["response_types_supported"] == ["code"]
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["client_id_metadata_document_supported"] is True
    assert found["authorization_response_iss_parameter_supported"] is True
    assert set(found["token_endpoint_auth_methods_supported"]) == {
        "none",
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    }
    assert "none" not in found["token_endpoint_auth_signing_alg_values_supported"]
    assert not [name for name in found["token_endpoint_auth_signing_alg_values_supported"] if name.startswith("HS")]
    assert {"all:read", "telegram:write", "offline_access"} <= set(found["scopes_supported"])
    OAuthMetadata.model_validate(found)
    if "openid" in path:
        assert (await one.http.get(found["jwks_uri"].removeprefix(ISSUER))).json() == {"keys": []}


@pytest.mark.parametrize("path", ["", "/mcp", "/sse"])
async def test_what_the_resource_is(one: Replica, path: str) -> None:
    """RFC 9728, 3.3: the resource is the one whose address was asked."""
    found = (await one.http.get(f"/.well-known/oauth-protected-resource{path}")).json()
    assert found["resource"] == f"{ISSUER}{path}"
    assert found["authorization_servers"] == [ISSUER]
    assert found["scopes_supported"] == ["all:read", "all:write"]
    assert found["bearer_methods_supported"] == ["header"]
    ProtectedResourceMetadata.model_validate(found)


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
async def test_a_stranger_is_led_there(one: Replica, path: str) -> None:
    headers = {"host": "gateway.example", "accept": "application/json, text/event-stream"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    refused = await (one.http.post(path, json=call, headers=headers) if path == "/mcp" else one.http.get(path))
    assert refused.status_code == 401
    named = refused.headers["www-authenticate"]
    assert f'resource_metadata="{ISSUER}/.well-known/oauth-protected-resource{path}"' in named
    assert (await one.http.get(f"/.well-known/oauth-protected-resource{path}")).status_code == 200


def test_an_issuer_with_a_path_is_found_at_every_form() -> None:
    """RFC 8414, 3.1, and the order in which MCP clients look (basic/authorization)."""
    documents = dict(Metadata("https://example.com/hermes", ScopeCatalogue(["telegram"])).documents())
    for path in (
        "/.well-known/oauth-authorization-server/hermes",
        "/.well-known/openid-configuration/hermes",
        "/hermes/.well-known/openid-configuration",
    ):
        assert documents[path]["issuer"] == "https://example.com/hermes"
    resource = documents["/.well-known/oauth-protected-resource/hermes/mcp"]
    assert resource["resource"] == "https://example.com/hermes/mcp"


async def test_other_addresses_lead_nowhere(one: Replica) -> None:
    for path in ("/.well-known/oauth-authorization-server/mcp", "/.well-known/oauth-protected-resource/other"):
        assert (await one.http.get(path)).status_code == 404  # clients go on to the next form
