"""Logs: no secret is ever written, and every request has an id."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx2
import pytest
import structlog
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from hermes.observability.logs import RequestLog, configure_logging, scrub
from hermes.settings import Settings

SECRETS = [
    "sq_live_abcdefghijklmnop",
    "123456789:AAAAAAAAAAAAAAAAAAAAAAAAA-b_C",
    "EAAGm0PX4ZCpsBAAAAAAAAAAAAAAAAAA",
    "Bearer abcdefghijkl",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
]


@pytest.fixture(autouse=True)
def _restored() -> Any:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_are_known_by_their_form(secret: str) -> None:
    for value in (secret, f"got {secret}!", {"text": [secret]}, (secret,)):
        assert secret.removeprefix("Bearer ") not in str(scrub(value))


@pytest.mark.parametrize("name", ["authorization", "api_key", "x-api-key", "access_token", "password", "client_secret"])
def test_secrets_are_known_by_their_name(name: str) -> None:
    assert scrub({name: "anything", "other": "kept"}) == {name: "[redacted]", "other": "kept"}


@pytest.mark.parametrize("name", ["tokens", "secretary", "tool", "key_id"])
def test_other_names_are_kept(name: str) -> None:
    assert scrub({name: "kept"}) == {name: "kept"}


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_nothing_slips_through_either_door(capsys: Any, log_format: Any) -> None:
    configure_logging(Settings(log_format=log_format, log_level="DEBUG"))
    structlog.get_logger("a").info("hello", password="hunter2", url="redis://:hunter2@h/0", text=SECRETS[0])
    logging.getLogger("b").warning("got %s", SECRETS[1])
    logging.getLogger("c").error("failed", exc_info=ValueError(SECRETS[2]))
    written = capsys.readouterr().err
    assert "hello" in written
    assert "failed" in written
    for secret in (*SECRETS[:3], "hunter2"):
        assert secret not in written
    if log_format == "json":
        assert all(json.loads(line)["timestamp"] for line in written.splitlines())


async def test_the_access_log_has_no_query(caplog: Any) -> None:
    async def page(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("ok")

    app = RequestLog(Starlette(routes=[Route("/page", page)]))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://h") as http:
        with caplog.at_level(logging.DEBUG, "hermes.access"):
            answer = await http.get("/page?key=secret")
        with caplog.at_level(logging.INFO, "hermes.access"):
            await http.get("/page")
            await http.get("/nothing%0Ahere?key=secret")
    lines = [record.getMessage().rsplit(" ", 1)[0] for record in caplog.records if record.name == "hermes.access"]
    assert lines == ["GET /page 200", "GET /nothing\\nhere 404"]
    assert answer.headers["x-request-id"]
