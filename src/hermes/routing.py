"""Routers of JSON routes, whose declarations are read when they are first needed instead of all at the start."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import compile_path, get_name


class DeferredRoute(APIRoute):
    """A route of FastAPI that looks through its endpoint's signature at its first request, or when it is described.

    To build validators for the arguments and answers of every route is a good part of a server's start, and most
    processes never need most of them.
    """

    def __init__(
        self, path: str, endpoint: Callable[..., Any], *, methods: set[str] | list[str] | None = None, **declared: Any
    ) -> None:
        # What it takes to find the route. The rest is missing, which is how `__getattr__` learns that it is wanted.
        self.path, self.endpoint = path, endpoint
        self.methods = {method.upper() for method in methods or ["GET"]}
        self.name = declared.get("name") or get_name(endpoint)
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)
        self._read = partial(super().__init__, path, endpoint, methods=methods, **declared)

    def __getattr__(self, name: str) -> Any:
        read = self.__dict__.pop("_read", None)
        if read is None:
            raise AttributeError(name)
        read()
        return getattr(self, name)


class RoomRouter(APIRouter):
    """A room's routes, each of them deferred. Takes what `APIRouter` takes."""

    def __init__(self, **declared: Any) -> None:
        super().__init__(route_class=DeferredRoute, **declared)
