"""The authorization server over HTTP, for programs: metadata, token, revoke and register.

Pages of other origins may read the answers: nothing here is done by a cookie, so there is no credential that a foreign
page could borrow (MCP's browser-based clients need it).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from hermes.errors import PayloadTooLarge, RateLimited
from hermes.net.incoming import read_body
from hermes.oauth.endpoints import FORM_BYTES, METADATA_BYTES, Endpoints, read_form, registered
from hermes.oauth.errors import OAuthError
from hermes.oauth.metadata import EMPTY_KEYS, Metadata
from hermes.routing import RoomRouter

_CORS: Final = {"Access-Control-Allow-Origin": "*"}
_PRIVATE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache", **_CORS}
_PUBLIC: Final = {"Cache-Control": "public, max-age=300", **_CORS}
_FORM: Final = "application/x-www-form-urlencoded"

Work = Callable[[Request], Awaitable[Response]]


def build_router(endpoints: Endpoints, metadata: Metadata, public_url: str) -> APIRouter:
    """All routes of this kind. The short paths are those that clients of 2025-03-26 use without asking."""
    router = RoomRouter(tags=["oauth"])
    _add_metadata(router, metadata)
    _add_token(router, endpoints)
    _add_revoke(router, endpoints)
    _add_register(router, endpoints)

    @router.get("/authorize", include_in_schema=False)
    async def authorize(request: Request) -> Response:
        query = request.url.query
        return RedirectResponse(f"{public_url}/oauth/authorize{f'?{query}' if query else ''}", 302)

    return router


def _add_metadata(router: APIRouter, metadata: Metadata) -> None:
    for path, document in (*metadata.documents(), ("/.well-known/jwks.json", EMPTY_KEYS)):
        router.add_api_route(path, _constant(document), methods=["GET"], summary="What clients must know.")
        router.add_api_route(path, _preflight, methods=["OPTIONS"], include_in_schema=False)


def _add_token(router: APIRouter, endpoints: Endpoints) -> None:
    async def token(request: Request) -> Response:
        """Tokens for a code, a refresh token, or a client that signs in by itself."""
        form = read_form(await _body(request, _FORM, FORM_BYTES), _authorization(request), _address(request))
        return JSONResponse((await endpoints.token(form)).to_json(), headers=_PRIVATE)

    _add(router, endpoints, "token", token, {"grant_type": "authorization_code"})


def _add_revoke(router: APIRouter, endpoints: Endpoints) -> None:
    async def revoke(request: Request) -> Response:
        """Give a token back."""
        form = read_form(await _body(request, _FORM, FORM_BYTES), _authorization(request), _address(request))
        await endpoints.revoke(form)
        return Response(status_code=200, headers=_PRIVATE)

    _add(router, endpoints, "revoke", revoke, {"token": "sq_rt_…"})


def _add_register(router: APIRouter, endpoints: Endpoints) -> None:
    async def register(request: Request) -> Response:
        """Register a client. One that has a document at its own address need not."""
        body = await _body(request, "application/json", METADATA_BYTES)
        try:
            members = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise OAuthError("invalid_client_metadata", "The body is not JSON.") from None
        new = await endpoints.register(members, _address(request))
        return JSONResponse(registered(new), status_code=201, headers=_PRIVATE)

    _add(router, endpoints, "register", register, {"redirect_uris": ["https://…"]}, kind="application/json")


def _add(
    router: APIRouter, endpoints: Endpoints, name: str, work: Work, example: Mapping[str, Any], kind: str = _FORM
) -> None:
    """The endpoint below /oauth and, if clients of old look there, at the origin; with its preflight."""

    async def answered(request: Request) -> Response:
        try:
            try:
                return await work(request)
            except OAuthError as error:
                await endpoints.note_refusal(_address(request))
                return _refusal(error)
        except RateLimited as error:
            return _too_fast(error)

    body = {"required": True, "content": {kind: {"schema": {"type": "object"}, "example": dict(example)}}}
    summary = (work.__doc__ or "").strip()
    path = f"/oauth/{name}"
    router.add_api_route(path, answered, methods=["POST"], summary=summary, openapi_extra={"requestBody": body})
    router.add_api_route(path, _preflight, methods=["OPTIONS"], include_in_schema=False)
    if name != "revoke":
        router.add_api_route(f"/{name}", answered, methods=["POST"], include_in_schema=False)
        router.add_api_route(f"/{name}", _preflight, methods=["OPTIONS"], include_in_schema=False)


def _constant(document: Mapping[str, Any]) -> Callable[[], Awaitable[Response]]:
    async def document_of() -> Response:
        return JSONResponse(document, headers=_PUBLIC)

    return document_of


async def _preflight(request: Request) -> Response:
    asked = request.headers.get("access-control-request-headers", "")
    allowed = {
        **_CORS,
        "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
        "Access-Control-Allow-Headers": asked,
        "Access-Control-Max-Age": "600",
    }
    return Response(status_code=204, headers=allowed)


async def _body(request: Request, kind: str, most: int) -> bytes:
    refusal = "invalid_request" if kind == _FORM else "invalid_client_metadata"
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != kind:
        raise OAuthError(refusal, f"The body must be {kind}.")
    try:
        return await read_body(request, most, "The body")
    except PayloadTooLarge as error:
        raise OAuthError(refusal, error.message, status=413) from None


def _refusal(error: OAuthError) -> Response:
    """RFC 6749, 5.2: a client that could not be identified is told how it may prove who it is."""
    headers = {**_PRIVATE, "WWW-Authenticate": 'Basic realm="hermes"'} if error.status == 401 else _PRIVATE
    body = {"error": error.error, "error_description": error.description}
    return JSONResponse(body, status_code=error.status, headers=headers)


def _too_fast(error: RateLimited) -> Response:
    headers = {**_PRIVATE, "Retry-After": str(int(error.retry_after or 1))}
    body = {"error": "temporarily_unavailable", "error_description": error.message}
    return JSONResponse(body, status_code=429, headers=headers)


def _authorization(request: Request) -> str | None:
    return request.headers.get("authorization")


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""
