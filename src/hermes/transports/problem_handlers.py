"""Every error that reaches the application becomes a problem document, whichever room it came from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionInTime
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hermes.errors import HermesError, Internal, InvalidArguments, NotFound, PayloadTooLarge
from hermes.media.places import PlaceUnavailable
from hermes.transports.problems import presented_in, problem

_log = logging.getLogger(__name__)

STORE_ERRORS: Final = (RedisError, DBAPIError, NoConnectionInTime, TimeoutError, PlaceUnavailable)
"""What a store raises that does not answer, or has more to do than it can in time."""


def install_problem_handlers(app: FastAPI, *, resource_metadata: str | None = None) -> None:
    """Answer with problem documents: our own errors, FastAPI's validation, unknown routes, stores that do not answer,
    and anything unexpected (which says nothing about itself)."""

    async def ours(request: Request, error: Exception) -> Response:
        if not isinstance(error, HermesError):
            raise error
        if error.status >= 500:
            _log.error("%s: %s", error.code, error.detail or error.message, exc_info=error.__cause__)
        return problem(error, resource_metadata=resource_metadata, presented=presented_in(request.headers))

    app.add_exception_handler(HermesError, ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for kind in STORE_ERRORS:
        app.add_exception_handler(kind, _unreachable)
    app.add_exception_handler(Exception, _unexpected)


async def _invalid(_request: Request, error: Exception) -> Response:
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    return problem(explain(faults))


def explain(faults: Sequence[Any]) -> InvalidArguments:
    """Pydantic's faults as our error: field and problem, never the value."""
    fields = [
        {"field": ".".join(str(part) for part in item["loc"][1:])[:100] or str(item["loc"][0]), "problem": item["msg"]}
        for item in faults[:10]
    ]
    named = ", ".join(dict.fromkeys(item["field"] for item in fields))
    return InvalidArguments(f"The request does not fit: {named or 'body'}.", fields=fields)


async def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status == 404:
        return problem(NotFound("There is nothing at this address; GET /openapi.json describes every route."))
    if status == 405:
        return problem(InvalidArguments(f"This route does not take {request.method}."), status=405, headers=headers)
    if status == 413:
        return problem(PayloadTooLarge("The body is larger than any that is taken here."))
    shown = InvalidArguments("The request cannot be read.") if status < 500 else Internal("Something went wrong here.")
    return problem(shown, status=status, headers=headers)


async def _unreachable(request: Request, error: Exception) -> Response:
    _log.error("a store did not answer during %s %s", request.method, request.url.path, exc_info=error)
    return store_away()


def store_away() -> Response:
    """What is answered when a store does not: 503, with when to come back."""
    away = Internal("Our storage does not answer at the moment; try again shortly.", retry_after=2.0)
    return problem(away, status=503)


async def _unexpected(_request: Request, _error: Exception) -> Response:
    # Starlette raises it again after this, and the server logs it with its traceback.
    return problem(Internal("Something went wrong here; it has been logged under this request's X-Request-Id."))
