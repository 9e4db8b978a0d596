"""Routes that read their declarations late are routes like all others."""

from __future__ import annotations

import httpx2
import pytest
from fastapi import FastAPI

from hermes.routing import DeferredRoute, RoomRouter

LOOKED = "dependant"
"""What a route of FastAPI knows only when it has looked through its endpoint's signature."""


@pytest.fixture
def route() -> DeferredRoute:
    router = RoomRouter(prefix="/things", tags=["things"])

    @router.get("/{number}", name="thing")
    async def thing(number: int) -> dict[str, int]:
        """A thing."""
        return {"number": number}

    (route,) = router.routes
    assert isinstance(route, DeferredRoute)
    return route


async def ask(route: DeferredRoute, path: str, method: str = "GET") -> httpx2.Response:
    app = FastAPI()
    app.router.routes.append(route)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hermes.test") as http:
        return await http.request(method, path)


async def test_a_route_is_read_at_its_first_request(route: DeferredRoute) -> None:
    assert (await ask(route, "/others/1")).status_code == 404
    assert (await ask(route, "/things/1", "DELETE")).status_code == 405
    assert LOOKED not in vars(route)
    assert (await ask(route, "/things/1")).json() == {"number": 1}
    assert LOOKED in vars(route)
    assert (await ask(route, "/things/one")).status_code == 422


def test_a_route_is_described_before_any_request(route: DeferredRoute) -> None:
    app = FastAPI()
    app.router.routes.append(route)
    described = app.openapi()["paths"]["/things/{number}"]["get"]
    assert (described["tags"], described["description"]) == (["things"], "A thing.")
    assert described["parameters"][0]["schema"]["type"] == "integer"


def test_a_route_is_found_by_its_name_and_has_nothing_that_others_have_not(route: DeferredRoute) -> None:
    assert route.url_path_for("thing", number=1) == "/things/1"
    assert repr(route) == "DeferredRoute(path='/things/{number}', name='thing', methods=['GET'])"
    for _ in "ab":
        with pytest.raises(AttributeError, match="nothing"):
            route.nothing  # noqa: B018  (that it is missing is the point)
