"""No body is held in memory beyond a bound, whoever sends it."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI, Request
from pydantic import BaseModel

from hermes.transports.body_limit import BodyLimit
from hermes.transports.problem_handlers import install_problem_handlers

PIECE = b"a" * 100


class Note(BaseModel):
    text: str


@pytest.fixture
def bounded() -> BodyLimit:
    app = FastAPI()
    install_problem_handlers(app)

    @app.post("/api/note")
    async def note(given: Note) -> int:
        return len(given.text)

    @app.put("/api/media")
    async def media(request: Request) -> int:
        return sum([len(piece) async for piece in request.stream()])

    return BodyLimit(app, limit=1000)


async def send(app: BodyLimit, method: str, path: str, pieces: list[bytes]) -> tuple[int, bytes, int]:
    """Send a body in pieces; returns the status, the answer, and how many pieces were left unread."""
    left, answers = list(pieces), []

    async def receive() -> dict[str, Any]:
        piece = left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    async def answer(message: Any) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    await app(scope, receive, answer)
    return answers[0]["status"], b"".join(each.get("body", b"") for each in answers), len(left)


async def test_a_body_within_the_limit_is_taken(bounded: BodyLimit) -> None:
    assert await send(bounded, "POST", "/api/note", [b'{"text":"', *[PIECE] * 9, b'"}']) == (200, b"900", 0)


async def test_a_longer_one_is_not_read_to_its_end(bounded: BodyLimit) -> None:
    status, body, left = await send(bounded, "POST", "/api/note", [PIECE] * 1000)
    assert status == 413
    assert b'"code":"payload_too_large"' in body
    assert left == 989


async def test_files_are_streamed(bounded: BodyLimit) -> None:
    assert await send(bounded, "PUT", "/api/media", [PIECE] * 50) == (200, b"5000", 0)
