"""What an error that no route expected is answered with."""

from __future__ import annotations

import httpx2
import pytest
from fastapi import FastAPI
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionInTime

from hermes.transports.problem_handlers import install_problem_handlers


async def answered(error: Exception) -> httpx2.Response:
    app = FastAPI()
    install_problem_handlers(app)

    @app.get("/")
    async def fail() -> None:
        raise error

    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
        return await http.get("/")


@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("secret"),
        OperationalError("SELECT secret", {}, Exception("secret")),
        NoConnectionInTime("secret"),
        TimeoutError("secret"),
    ],
)
async def test_a_store_that_is_away_or_busy_is_no_fault_of_the_request(error: Exception) -> None:
    answer = await answered(error)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "secret" not in answer.text


async def test_anything_else_is_ours_and_says_nothing_about_itself() -> None:
    answer = await answered(RuntimeError("secret"))
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert "secret" not in answer.text
