"""Errors over HTTP: RFC 9457 problem documents, and the challenge of RFC 6750 when someone must say who they are."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from hermes.errors import HermesError, InsufficientScope, NotAuthenticated

PROBLEM_TYPE = "application/problem+json"


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
        parts = ['error="invalid_token"'] if presented else []
        headers["WWW-Authenticate"] = _challenge(parts, resource_metadata)
    elif isinstance(error, InsufficientScope):
        scope = str(error.data.get("scope", ""))
        parts = ['error="insufficient_scope"', f'scope="{_quoted(scope)}"']
        headers["WWW-Authenticate"] = _challenge(parts, resource_metadata)
    return headers


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


def _challenge(parts: list[str], resource_metadata: str | None) -> str:
    if resource_metadata is not None:
        parts = [*parts, f'resource_metadata="{_quoted(resource_metadata)}"']
    return "Bearer " + ", ".join(['realm="hermes"', *parts])


def _quoted(text: str) -> str:
    return "".join(char for char in text if " " <= char <= "~" and char not in '"\\')
