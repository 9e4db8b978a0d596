"""A bench for platforms that are HTTP APIs: the sandbox over a socket, the real client, ports that tests can set."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jsonschema
import orjson
import pytest

from hermes.errors import HermesError, NotFound, OutcomeUnknown, Unfetchable
from hermes.media.rules import check_rules
from hermes.net.upstream import BoundUpstream, Upstream
from hermes.platforms.base import Account, ApiContext, Effect, Platform
from hermes.platforms.context import ToolContext
from hermes.platforms.ports import MediaRules, MessageStatus, Ports, PublishState
from hermes.sandbox.app import Sandbox
from hermes.sandbox.failures import Failure, FailureKind
from hermes.sandbox.server import RunningSandbox
from hermes.settings import Settings

CUSTOMER = "cus_1"


@dataclass
class FakeStatuses:
    known: dict[tuple[str, str, str], MessageStatus] = field(default_factory=dict)

    async def latest(self, customer_id: str, platform: str, message_id: str) -> MessageStatus | None:
        return self.known.get((customer_id, platform, message_id))


@dataclass
class FakeLeases:
    held: set[tuple[str, str]] = field(default_factory=set)

    @asynccontextmanager
    async def hold(self, customer_id: str, name: str, seconds: float) -> AsyncIterator[bool]:
        assert seconds > 0
        key = (customer_id, name)
        free = key not in self.held
        self.held.add(key)
        try:
            yield free
        finally:
            if free:
                self.held.discard(key)


@dataclass
class FakeFile:
    """A file in memory, as `Media.open` gives it."""

    content: bytes
    content_type: str
    filename: str = "file"
    width: int | None = None
    height: int | None = None
    seconds: float | None = None

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    async def read(self, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        end = self.size if length is None else min(self.size, start + length)
        for at in range(start, end, 65536):
            yield self.content[at : min(at + 65536, end)]


@dataclass
class FakeMedia:
    """Media in memory: `files` by handle or URL, for any customer; rules are checked as the real one does."""

    files: dict[str, FakeFile] = field(default_factory=dict)

    def add(self, handle: str, content: bytes, content_type: str, **known: Any) -> None:
        """Have a file there; `known`: its width, height, seconds."""
        self.files[handle] = FakeFile(content, content_type, **known)

    @asynccontextmanager
    async def open(self, customer_id: str, source: str, rules: MediaRules, *, field: str) -> AsyncIterator[FakeFile]:
        if source not in self.files:
            kind = Unfetchable if source.startswith("https://") else NotFound
            raise kind(f"`{field}` names no file that is kept here")
        check_rules(self.files[source], rules, field)
        yield self.files[source]

    async def hold(self, customer_id: str, source: str, rules: MediaRules, *, field: str) -> str:
        async with self.open(customer_id, source, rules, field=field) as file:
            handle = f"media_{file.sha256[:26]}"
            self.files[handle] = file
        return handle

    async def keep(self, customer_id: str, content: AsyncIterator[bytes], *, filename: str, content_type: str) -> str:
        handle = f"media_{len(self.files):026}"
        self.files[handle] = FakeFile(b"".join([piece async for piece in content]), content_type, filename)
        return handle


@dataclass
class FakeJournal:
    """What a long call remembers. Taken into a second run, that run is the first one resumed."""

    done: dict[str, Any] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    states: list[str] = field(default_factory=list)

    async def step(self, name: str, work: Callable[[], Awaitable[Any]], *, repeatable: bool) -> Any:
        if name not in self.done:
            if name in self.begun and not repeatable:
                raise OutcomeUnknown("an earlier process began this and left no answer")
            self.begun.add(name)
            self.done[name] = orjson.loads(orjson.dumps(await work()))
        return self.done[name]

    async def state(self, state: PublishState) -> None:
        self.states.append(state.value)


@dataclass
class PlatformBench:
    sandbox: Sandbox
    origin: str
    upstream: Upstream
    statuses: FakeStatuses = field(default_factory=FakeStatuses)
    leases: FakeLeases = field(default_factory=FakeLeases)
    media: FakeMedia = field(default_factory=FakeMedia)
    settings: Settings = field(default_factory=Settings)
    journal: FakeJournal = field(default_factory=FakeJournal)
    reported: list[tuple[float, float | None]] = field(default_factory=list)
    http: BoundUpstream | None = None

    def open(
        self, platform: Platform[Any, Any], credentials: dict[str, Any], *, write: bool = True, seconds: float = 5
    ) -> Any:
        """The platform's API object for one account."""
        self.http = self.upstream.bind(platform.title, write, asyncio.get_running_loop().time() + seconds)
        return platform.open(
            ApiContext(
                customer_id=CUSTOMER,
                account="default",
                http=self.http,
                base_url=f"{self.origin}/{platform.id}",
                settings=self.settings,
                ports=Ports(self.statuses, self.leases, self.media),
            ),
            platform.credentials.model_validate(credentials),
        )

    async def run(
        self,
        platform: Platform[Any, Any],
        credentials: dict[str, Any],
        name: str,
        /,
        *,
        seconds: float = 5,
        **arguments: Any,
    ) -> Any:
        """Validate the arguments as JSON, run the tool, and check the result against the output schema."""
        tool = platform.tools[name]
        api = self.open(platform, credentials, write=tool.effect is not Effect.READ, seconds=seconds)
        checked = tool.validate(arguments)
        jsonschema.Draft202012Validator(tool.input_schema).validate(arguments)
        self.reported = []
        result = await tool.run(api, checked, ToolContext("call_1", self._report, self.journal if tool.long else None))
        jsonschema.Draft202012Validator(tool.output_schema).validate(result)
        return result

    async def _report(self, done: float, total: float | None, message: str | None) -> None:
        self.reported.append((done, total))

    async def refused(
        self, platform: Platform[Any, Any], credentials: dict[str, Any], name: str, /, **arguments: Any
    ) -> HermesError:
        """The error with which the tool ends."""
        with pytest.raises(HermesError) as caught:
            await self.run(platform, credentials, name, **arguments)
        for secret in credentials.values():
            assert str(secret) not in repr(caught.value) + str(caught.value.as_dict()) + str(caught.value.detail)
        assert caught.value.__cause__ is None
        return caught.value

    async def probe(self, platform: Platform[Any, Any], credentials: dict[str, Any]) -> Account:
        assert platform.probe_function is not None
        return await platform.probe_function(self.open(platform, credentials, write=False))

    def fail(self, kind: FailureKind | str, **given: Any) -> None:
        self.sandbox.failures.add(Failure(kind=FailureKind(kind), **given))

    def requests(self) -> list[Any]:
        return list(self.sandbox.recorder.requests())[::-1]


@pytest.fixture
async def platform_bench() -> AsyncIterator[PlatformBench]:
    sandbox = Sandbox()
    upstream = Upstream(idle_read_seconds=0.3)
    async with RunningSandbox(sandbox.app) as running:
        yield PlatformBench(sandbox, running.origin, upstream)
        await upstream.close()


@pytest.fixture
def fake_media() -> FakeMedia:
    return FakeMedia()
