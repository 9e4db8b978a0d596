"""Errors over HTTP: RFC 9457 problem documents, and the challenge of RFC 6750 when someone must say who they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from starlette.responses import Response

from hermes.errors import HermesError, InsufficientScope, NotAuthenticated

PROBLEM_TYPE: Final = "application/problem+json"
BASELINE_SCOPE: Final = "all:read all:write"
"""What a client that was told nothing else asks for; the person narrows it. The catalogue of scopes is not listed in a
challenge (MCP 2026-07-28, basic/authorization: a minimal set)."""

_CREDENTIALS: Final = ("authorization", "x-api-key")


def problem_body(error: HermesError, status: int | None = None) -> bytes:
    """The problem document: RFC 9457's members beside those that every transport shows (code, message, …)."""
    code = status or error.status
    document: dict[str, Any] = error.as_dict() | {
        "type": "about:blank",
        "title": HTTPStatus(code).phrase,
        "status": code,
        "detail": error.message,
    }
    return orjson.dumps(document, default=str)


def problem_headers(
    error: HermesError, *, resource_metadata: str | None = None, presented: bool = False
) -> dict[str, str]:
    """`Retry-After` when it is known, and `WWW-Authenticate` for errors that a credential or a scope would mend.

    Args:
        error: what happened.
        resource_metadata: URL of the protected resource metadata (RFC 9728), where there is one.
        presented: whether the request had a credential, which then is the one that was refused.
    """
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(0, math.ceil(error.retry_after)))
    if isinstance(error, NotAuthenticated):
        parts = {"error": "invalid_token"} if presented else {}
        headers["WWW-Authenticate"] = _challenge(parts, BASELINE_SCOPE, resource_metadata)
    elif isinstance(error, InsufficientScope):
        parts = {"error": "insufficient_scope", "error_description": error.message}
        headers["WWW-Authenticate"] = _challenge(parts, str(error.data.get("scope", "")), resource_metadata)
    return headers


def presented_in(headers: Mapping[str, str]) -> bool:
    """Whether a request brought a credential that a challenge can be about; a cookie is none (RFC 6750, 3)."""
    return any(name in headers for name in _CREDENTIALS)


def problem(
    error: HermesError,
    *,
    resource_metadata: str | None = None,
    presented: bool = False,
    headers: dict[str, str] | None = None,
    status: int | None = None,
) -> Response:
    """The answer of a JSON route to an error.

    Args:
        error: what happened.
        resource_metadata: as in `problem_headers`.
        presented: as in `problem_headers`.
        headers: further headers (e.g. `Allow`).
        status: a status that says more than the error's own (e.g. 405, 415).
    """
    return Response(
        problem_body(error, status),
        status_code=status or error.status,
        media_type=PROBLEM_TYPE,
        headers=problem_headers(error, resource_metadata=resource_metadata, presented=presented) | (headers or {}),
    )


def _challenge(parts: Mapping[str, str], scope: str, resource_metadata: str | None) -> str:
    named = {"realm": "hermes", **parts, "scope": scope, "resource_metadata": resource_metadata}
    return "Bearer " + ", ".join(f'{name}="{_quoted(value)}"' for name, value in named.items() if value)


def _quoted(text: str) -> str:
    return "".join(char for char in text if " " <= char <= "~" and char not in '"\\')
