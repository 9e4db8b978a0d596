"""One running hermes with its sandbox, and assistants that people connect to it in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from e2e.conftest import Hermes
from harness.person import person
from harness.serving import serving

EMAIL = "demo@sandbox.example"


@pytest.fixture(scope="session")
def hermes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hermes]:
    """A hermes process with the sandbox and its customer, whose log names every method."""
    one = Hermes(tmp_path_factory.mktemp("clients") / "data", env={"LOG_LEVEL": "DEBUG"}).start()
    yield one
    one.stop()


@dataclass
class Desk:
    """Where a person sits: their browser, and the place on this computer that their assistant listens at."""

    hermes: Any
    callback: str
    answers: asyncio.Queue[dict[str, str]] = field(default_factory=asyncio.Queue)
    asked: list[str] = field(default_factory=list)
    untick: tuple[str, ...] = ()

    async def agree(self, url: str) -> None:
        """Open what an assistant asks for, sign in, agree to all but what is to be left out."""
        self.asked.append(url)
        await asyncio.to_thread(self._agree, url)

    def _agree(self, url: str) -> None:
        password = (self.hermes.data_dir / "demo-password").read_text().strip()
        with person(EMAIL, password) as somebody:
            somebody.agree(url, untick=self.untick)


@asynccontextmanager
async def at_a_desk(hermes: Any) -> AsyncIterator[Desk]:
    """A person at this computer."""
    desk = Desk(hermes, "")

    async def receive(request: Request) -> PlainTextResponse:
        desk.answers.put_nowait(dict(request.query_params))
        return PlainTextResponse("The assistant got it.")

    async with serving(Starlette(routes=[Route("/callback", receive)])) as base:
        desk.callback = f"{base}/callback"
        yield desk


@pytest.fixture
async def desk(hermes: Any) -> AsyncIterator[Desk]:
    async with at_a_desk(hermes) as one:
        yield one
