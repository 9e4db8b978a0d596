"""The documents by which clients find the authorization server and what it can do.

Sources: RFC 8414, 2 and 3; OpenID Connect Discovery, 3; RFC 9728, 2 and 3; RFC 9207, 3; MCP, basic/authorization.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from hermes.oauth.assertions import ALGORITHMS
from hermes.oauth.client_details import BASIC, POST, PUBLIC, SIGNED
from hermes.oauth.scopes import UMBRELLAS, ScopeCatalogue

_METHODS: Final = [PUBLIC, BASIC, POST, SIGNED]
_RESOURCES: Final = ("/mcp", "/sse", "")


class Metadata:
    """The documents, made once."""

    def __init__(self, public_url: str, scopes: ScopeCatalogue) -> None:
        self._url = public_url
        self._path = urlsplit(public_url).path
        self._scopes = scopes

    def documents(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Path and document. When PUBLIC_URL has a path, the well-known part stands before it (RFC 8414, 3.1) and
        also behind it, where OpenID Connect and proxies that take the path away look for it."""
        server, openid = self._server(), self._openid()
        for path in dict.fromkeys((self._path, "")):
            yield f"/.well-known/oauth-authorization-server{path}", server
            yield f"/.well-known/openid-configuration{path}", openid
            for resource in _RESOURCES:
                yield f"/.well-known/oauth-protected-resource{path}{resource}", self._resource(resource)
        if self._path:
            yield f"{self._path}/.well-known/openid-configuration", openid

    def _server(self) -> dict[str, Any]:
        return {
            "issuer": self._url,
            "authorization_endpoint": f"{self._url}/oauth/authorize",
            "token_endpoint": f"{self._url}/oauth/token",
            "registration_endpoint": f"{self._url}/oauth/register",
            "revocation_endpoint": f"{self._url}/oauth/revoke",
            "scopes_supported": list(self._scopes.all),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "token_endpoint_auth_methods_supported": _METHODS,
            "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
            "revocation_endpoint_auth_methods_supported": _METHODS,
            "revocation_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
            "code_challenge_methods_supported": ["S256"],
            "client_id_metadata_document_supported": True,
            "authorization_response_iss_parameter_supported": True,
            "protected_resources": [f"{self._url}/mcp"],
        }

    def _openid(self) -> dict[str, Any]:
        """The same for clients that only know OpenID Connect's address, with the members that its schema requires. No
        ID tokens are given out, so there are no keys to check them by."""
        return self._server() | {
            "jwks_uri": f"{self._url}/.well-known/jwks.json",
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": [],
        }

    def _resource(self, path: str) -> dict[str, Any]:
        return {
            "resource": f"{self._url}{path}",
            "authorization_servers": [self._url],
            "scopes_supported": list(UMBRELLAS),
            "bearer_methods_supported": ["header"],
            "resource_name": "SquareMCP",
        }


EMPTY_KEYS: Final[dict[str, Any]] = {"keys": []}
