"""What the process says about itself, and to whom."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from hermes.observability.health import About, Health
from hermes.observability.metrics import Metrics

ABOUT = About("1.2.3", 51, ["mcp", "sse", "rest"], {"mcp": "https://h/mcp"})


class Part:
    """A part whose check fails when told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0

    async def __call__(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


def client(health: Health, host: str = "127.0.0.1") -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=Starlette(routes=health.routes()), client=(host, 1))
    return httpx2.AsyncClient(transport=transport, base_url="http://h")


async def test_readiness_names_the_part_that_is_away_and_asks_it_once() -> None:
    redis, sql = Part(), Part()
    sql.error = ConnectionError("with a secret")
    health = Health(ABOUT, {"redis": redis, "sql": sql}, Metrics())
    async with client(health) as http:
        answers = await asyncio.gather(*(http.get("/readyz") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {503}
        assert answers[0].json() == {"status": "unavailable", "checks": {"redis": "ok", "sql": "unavailable"}}
        assert "secret" not in answers[0].text
        assert (redis.asked, sql.asked) == (1, 1)
        assert (await http.get("/livez")).json() == {"status": "ok"}
        shown = (await http.get("/health")).json()
    assert shown == {
        "status": "degraded",
        "service": "hermes-mcp",
        "version": "1.2.3",
        "toolCount": 51,
        "transports": ["mcp", "sse", "rest"],
        "endpoints": {"mcp": "https://h/mcp"},
    }


async def test_ready() -> None:
    async with client(Health(ABOUT, {"redis": Part()}, Metrics())) as http:
        assert (await http.get("/readyz")).status_code == 200
        assert (await http.get("/health")).json()["status"] == "ok"


@pytest.mark.parametrize(
    ("host", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("10.0.0.1", {}, 404),
        ("127.0.0.1", {"x-forwarded-for": "1.2.3.4"}, 404),
        ("10.0.0.1", {"x-api-key": "operator"}, 200),
        ("10.0.0.1", {"authorization": "Bearer operator"}, 200),
        ("10.0.0.1", {"authorization": "Bearer other"}, 404),
    ],
)
async def test_who_may_read_the_metrics(host: str, headers: dict[str, Any], status: int) -> None:
    metrics = Metrics({"toy_get_me"})
    metrics.observe("toy_get_me", "ok", "mcp", 0.01)
    metrics.observe("invented", "denied", "rest", 0.01)
    async with client(Health(ABOUT, {}, metrics, SecretStr("operator")), host) as http:
        answer = await http.get("/metrics", headers=headers)
    assert answer.status_code == status
    if status == 200:
        assert 'hermes_calls_total{outcome="ok",tool="toy_get_me",transport="mcp"} 1.0' in answer.text
        assert 'tool="unknown"' in answer.text
        assert "invented" not in answer.text


async def test_without_an_operator_key_no_key_opens_the_metrics() -> None:
    async with client(Health(ABOUT, {}, Metrics(), None), "10.0.0.1") as http:
        assert (await http.get("/metrics", headers={"x-api-key": ""})).status_code == 404


async def test_what_has_to_be_counted_is_counted_when_metrics_are_read_once_a_minute() -> None:
    metrics, asked = Metrics(), 0

    async def gauges() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise AssertionError("asked again")
        metrics.show_connections({("telegram", "connected"): 3, ("email", "needs_reconnect"): 1})

    metrics.observe_check("telegram", "works")
    async with client(Health(ABOUT, {}, metrics, gauges=gauges)) as http:
        for _ in range(3):
            shown = (await http.get("/metrics")).text
    assert 'hermes_connections{platform="telegram",status="connected"} 3.0' in shown
    assert 'hermes_connections{platform="email",status="needs_reconnect"} 1.0' in shown
    assert 'hermes_connection_checks_total{outcome="works",platform="telegram"} 1.0' in shown
    assert asked == 1


async def test_metrics_are_shown_although_counting_failed() -> None:
    broken = Part()
    broken.error = ConnectionError("no database")
    async with client(Health(ABOUT, {}, Metrics(), gauges=broken)) as http:
        assert (await http.get("/metrics")).status_code == 200
