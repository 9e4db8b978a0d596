"""The whole pipeline with its real stores over the sandbox, in one event loop, with short deadlines."""

from __future__ import annotations

import asyncio
import io
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from harness.arguments import account_on, example_of, facts_of
from harness.video import small_video
from hermes.app import House, build_house
from hermes.errors import HermesError
from hermes.gateway.results import CallOptions
from hermes.identity.caller import Caller
from hermes.net.upstream import Upstream
from hermes.platforms.base import DEFAULT_ACCOUNT, Account, Tool
from hermes.platforms.catalog import Catalog, load_catalog
from hermes.platforms.facts import Facts, reference_of
from hermes.sandbox.app import Sandbox
from hermes.sandbox.failures import Failure, FailureKind
from hermes.sandbox.http import account_key
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.recorder import Record
from hermes.sandbox.server import RunningSandbox
from hermes.sandbox_mode import demo_credentials, on_sandbox
from hermes.settings import load_settings
from hermes.storage.secrets import ensure_secrets
from hermes.storage.stores import open_stores

TOOL_SECONDS = 25.0
IDLE_SECONDS = 1.0
CONNECT_SECONDS = 0.3
SLEEP_SPEED = 20
"""How much shorter than it wants a client waits, such as between two looks at a video that is being processed."""
WELCOME = "---\ntags: [welcome]\n---\n# Welcome\n\nThis note says welcome.\n"


@dataclass
class Bench:
    """What all cases share. `far` is the same house with every platform behind an address that never answers."""

    house: House
    far: House
    sandbox: Sandbox
    catalog: Catalog
    surveys: dict[str, asyncio.Future[Survey]] = field(default_factory=dict)
    subjects: list[Subject] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: count(1))

    @property
    def ahead(self) -> float:
        """Seconds by which the stand-ins' clock is ahead of the machine's."""
        return self.sandbox.clock.now() - time.time()

    async def subject(self, tool: Tool, *, word: str = "", linked: bool = True) -> Subject:
        """A new customer with an account of its own on the tool's platform.

        Args:
            word: what the account's token contains, for the stand-ins' magic (`expired`, `limited`, …).
            linked: False: the account is not linked.
        """
        number = next(self.numbers)
        made = await self.house.customers.create(f"harness-{number}@example.com", plan="enterprise")
        caller = await self.house.callers.from_api_key(made.key.secret)
        subject = Subject(self, tool, facts_of(tool.platform), caller, number)
        self.subjects.append(subject)
        if linked:
            await subject.link(word)
        return subject

    async def survey(self, tool: Tool) -> Survey:
        """What a call that goes well does; found out once."""
        if tool.name not in self.surveys:
            self.surveys[tool.name] = asyncio.ensure_future(self._survey(tool))
        return await asyncio.shield(self.surveys[tool.name])

    async def _survey(self, tool: Tool) -> Survey:
        subject = await self.subject(tool)
        arguments = await subject.prepare()
        structured = await subject.call(arguments)
        return Survey(structured, subject.requests(), subject.published())


@dataclass(frozen=True)
class Survey:
    """A call that went well: its result, its requests in their order, and how much it published."""

    structured: Mapping[str, Any]
    requests: list[Record]
    published: int


@dataclass
class Subject:
    """One customer who calls one tool."""

    bench: Bench
    tool: Tool
    facts: Facts
    caller: Caller
    number: int
    token: str | None = None
    succeeded: int = 0
    seen: int = 0
    already_published: int = 0
    far: bool = False

    async def link(self, word: str = "") -> None:
        """Link the account, or link it again with a token of another word."""
        platform = self.bench.catalog.platforms[self.tool.platform]
        credentials, self.token = account_on(platform, self.number, word)
        plaintext = platform.credentials.model_validate(credentials).to_json()
        await self.bench.house.credentials.put(
            self.caller.customer_id, self.tool.platform, DEFAULT_ACCOUNT, plaintext, Account(id=str(self.number))
        )

    async def prepare(self) -> dict[str, Any]:
        """The example's arguments, with what they refer to fetched; what that took is not counted."""
        arguments = {name: await self._resolved(value) for name, value in example_of(self.tool, self.facts).items()}
        if self.tool.platform == "obsidian" and self.token is None:
            self.write_note("Welcome.md", WELCOME.encode())
        self.forget()
        return arguments

    async def _resolved(self, value: Any) -> Any:
        reference = reference_of(value)
        if reference is None:
            if isinstance(value, dict):
                return {name: await self._resolved(item) for name, item in value.items()}
            return [await self._resolved(item) for item in value] if isinstance(value, list) else value
        if reference.file is not None:
            return await self._file(reference.file)
        assert reference.source is not None
        name, *path = reference.source.split(".")
        earlier = replace(self, tool=self.bench.catalog.tools[f"{self.tool.platform}_{name}"])
        arguments = {key: await earlier._resolved(item) for key, item in example_of(earlier.tool, self.facts).items()}
        found: Any = await earlier.call(arguments)
        self.succeeded = earlier.succeeded
        for part in path:
            found = found[int(part) if part.isdigit() else part]
        return found

    async def _file(self, kind: str) -> str:
        content, content_type = _file_of(kind)

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        return await self.bench.house.media.keep(
            self.caller.customer_id, pieces(), filename=f"a.{content_type.split('/')[-1]}", content_type=content_type
        )

    async def call(self, arguments: Mapping[str, Any], *, key: str | None = None) -> dict[str, Any]:
        """Call the tool through the gateway. Returns the structured result, raises `HermesError`."""
        options = CallOptions("mcp", f"req-{self.number}", client="harness", idempotency_key=key)
        house = self.bench.far if self.far else self.bench.house
        result = await house.gateway.call(self.caller, self.tool.name, arguments, options)
        self.succeeded += 1
        return result.structured

    async def refused(self, arguments: Mapping[str, Any], *, key: str | None = None) -> HermesError:
        """The error that the call ends with."""
        try:
            structured = await self.call(arguments, key=key)
        except HermesError as error:
            return error
        raise AssertionError(f"succeeded, with {structured}")

    def fail(self, kind: str, **given: Any) -> Failure:
        """Switch a failure on for this account, until `well` is called."""
        failure = Failure(kind=FailureKind(kind), platform=self.tool.platform, token=self.token, times=None, **given)
        return self.bench.sandbox.failures.add(failure)

    def well(self, failure: Failure) -> None:
        self.bench.sandbox.failures.remove(failure.shown()["id"])

    def requests(self) -> list[Record]:
        """What the stand-in received from this account since `forget`, in its order."""
        if self.token is None:
            return []
        found = self.bench.sandbox.recorder.requests(self.tool.platform, account_key(self.token))
        return [record for record in reversed(list(found)) if record.id > self.seen]

    def published(self) -> int:
        """How many messages and posts the stand-in has taken from this account since `forget`."""
        return self._published() - self.already_published

    def _published(self) -> int:
        if self.token is None:
            return 0
        found = self.bench.sandbox.recorder.messages(self.tool.platform, account_key(self.token))
        return sum(message.direction == "out" for message in found)

    def forget(self) -> None:
        """Count requests and messages from here on."""
        self.seen = max((record.id for record in self.bench.sandbox.recorder.requests()), default=0)
        self.already_published = self._published()

    async def lines(self) -> list[dict[str, Any]]:
        """The audit lines of the customer's calls, newest first."""
        today = self.bench.house.admissions.now().date()
        page = await self.bench.house.trail.page(
            self.caller.customer_id, limit=200, cursor=None, since=today, until=today
        )
        return [line for line in page.entries if line["tool"] == self.tool.name]

    # an account that is a folder

    @property
    def vault(self) -> Path:
        root = self.bench.house.settings.obsidian_vaults_root
        assert root is not None
        return root / self.caller.customer_id / demo_credentials()["obsidian"]["vault"]

    def write_note(self, name: str, content: bytes) -> Path:
        note = self.vault / name
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_bytes(content)
        return note


@cache
def _file_of(kind: str) -> tuple[bytes, str]:
    if kind == "photo":
        file = io.BytesIO()
        Image.effect_noise((1080, 1080), 40).convert("RGB").save(file, "JPEG")
        return file.getvalue(), "image/jpeg"
    if kind == "video":
        return small_video(), "video/mp4"
    return b"%PDF-1.7\n%%EOF\n", "application/pdf"


@asynccontextmanager
async def open_bench(folder: Path) -> AsyncIterator[Bench]:
    """Everything, for as long as the block lasts."""
    sandbox = Sandbox(SandboxOptions(kept=200_000, status_delays=(3600, 3600, 3600)))
    catalog = load_catalog()
    catalog.tools = {
        name: replace(tool, timeout=min(tool.timeout, TOOL_SECONDS)) for name, tool in catalog.tools.items()
    }
    given = load_settings(dict.fromkeys(_patience(catalog), "5"), env_file=None, data_dir=folder)
    async with RunningSandbox(sandbox.app) as running, open_stores(given, holder="server") as stores:
        settings = on_sandbox(given, running.origin, catalog)
        settings = ensure_secrets(
            settings.model_copy(update={"obsidian_vaults_root": folder / "vaults"}), stores.data_folder
        )
        house = build_house(settings, stores, catalog, Upstream(idle_read_seconds=IDLE_SECONDS))
        with _black_hole() as address:
            far_settings = on_sandbox(given, address, catalog)
            secrets = settings.model_copy(update={"environ": far_settings.environ})
            far = build_house(secrets, stores, catalog, Upstream(connect_seconds=CONNECT_SECONDS))
            ticking = asyncio.create_task(_hurry(sandbox))
            try:
                yield Bench(house, far, sandbox, catalog)
            finally:
                ticking.cancel()
                with suppress(asyncio.CancelledError):
                    await ticking
                await far.close()
                await house.close()


def _patience(catalog: Catalog) -> list[str]:
    """The settings that say how long a client waits for what its vendor processes."""
    return [one.name for platform in catalog for one in platform.settings if one.name.endswith("_PATIENCE_SECONDS")]


async def _hurry(sandbox: Sandbox) -> None:
    """Let the stand-ins' processing take no time: their clock runs a hundred times as fast."""
    while True:
        await _sleep(0.05)
        sandbox.clock.advance(5)


_sleep = asyncio.sleep


@contextmanager
def hurried_clients() -> Iterator[None]:
    """Have everything in the process that sleeps sleep less."""

    async def sleep(delay: float, result: Any = None) -> Any:
        return await _sleep(delay / SLEEP_SPEED, result)

    modules = [module for name, module in sys.modules.items() if name.startswith("hermes.platforms.")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", sleep)
        for module in modules:
            if getattr(module, "sleep", None) is _sleep:
                patch.setattr(module, "sleep", sleep)
        yield


class _black_hole:  # noqa: N801  (a context manager that reads as the thing it is)
    """An address on this machine where connecting never ends: a listener whose queue is full."""

    def __enter__(self) -> str:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self._waiting = []
        for _ in range(4):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(self._listener.getsockname())
            self._waiting.append(waiting)
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        for one in (*self._waiting, self._listener):
            one.close()


__all__ = ["Bench", "Subject", "Survey", "hurried_clients", "open_bench"]
