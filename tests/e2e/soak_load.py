"""Mixed calls of every tool of the catalogue: what is called, and what each client was answered."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import Image

from e2e.soak_client import DOORS, Answer, Client
from harness.arguments import account_on, example_of, facts_of
from harness.video import small_video
from hermes.platforms.base import Effect, Tool
from hermes.platforms.catalog import Catalog
from hermes.platforms.facts import reference_of

MARKED: Final = ("text", "content", "message", "caption", "description", "title", "name")
"""Arguments that the stand-ins show of what they were sent; the first that a tool has gets the marker."""

_TO: Final = ("ada@example.com",) * 17 + ("lost@example.com", "nobody@example.com", "full@example.com")
"""The failure switches do not reach the mail servers; some of the recipients are magic instead."""

INSTEAD: Final[Mapping[str, Mapping[str, Any]]] = {
    # Every template says the same: each goes to somebody else instead.
    "whatsapp_send_template": {"to": "+1650{number:07}"},
    "snapchat_create_snap": {"publish_as": "saved_story", "title": "{marker}"},
    "email_send_email": {"to": ["{recipient}"], "subject": "{marker}"},
    "email_create_draft": {"subject": "{marker}"},
    "obsidian_append_to_note": {"path": "Soak.md", "content": "{marker}\n", "create": True},
    "obsidian_update_note": {"path": "{marker}.md", "content": "{marker}\n", "create": True, "replace": None},
}
"""Where the example does not do."""

_PATIENCE: Final = 240.0
_VIDEO_BYTES: Final = 80_000


@dataclass
class Attempt:
    """One thing that a client wanted done once, and what it was answered each time it asked for it."""

    client: Client
    tool: Tool
    arguments: dict[str, Any]
    marker: str
    door: str
    key: str | None
    digest: str | None = None
    """Of the video's bytes."""
    answers: list[Answer] = field(default_factory=list)
    seconds: float = 0.0
    """What the slowest of them took."""

    async def run(self) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self.client.call(self.door, self.tool, self.arguments, self.key)
        except TimeoutError:
            raise AssertionError(f"no answer in {_PATIENCE:g} s: {self}") from None
        self.answers.append(answer)
        self.seconds = max(self.seconds, time.monotonic() - began)

    @property
    def codes(self) -> set[str]:
        return {answer.code for answer in self.answers}


@dataclass
class Customer:
    """One customer with an account on every platform, and what only the vendors and hermes can say of it."""

    client: Client
    id: str
    examples: dict[str, dict[str, Any]] = field(default_factory=dict)
    photo: str = ""
    calls: int = 0
    """Calls of tools that were made to find the examples."""

    async def furnish(self, catalog: Catalog, number: int | None) -> None:
        """Link the accounts (None: they are), and find what the examples refer to."""
        for platform in catalog if number is not None else ():
            credentials, _ = account_on(platform, number or 0)
            status, said, _ = await self.client.request("POST", f"/api/connect/{platform.id}", json=credentials)
            assert status == 200, (platform.id, said)
        if number is not None:
            await self._write_welcome(catalog.tools["obsidian_update_note"])
        self.photo = await self.client.keep(_photo(), "photo.jpg")
        for tool in catalog.tools.values():
            example = example_of(tool, facts_of(tool.platform))
            self.examples[tool.name] = {
                name: await self._found(catalog, tool, value) for name, value in example.items()
            }

    async def _write_welcome(self, tool: Tool) -> None:
        note = {"path": "Welcome.md", "content": "This note says welcome.\n", "create": True}
        answer = await self.client.call("rest", tool, note, None)
        self.calls += 1
        assert answer.code == "success", answer.data

    async def _found(self, catalog: Catalog, tool: Tool, value: Any) -> Any:
        """What an example's reference stands for; videos stay, they are made for each call."""
        reference = reference_of(value)
        if reference is None:
            return [await self._found(catalog, tool, item) for item in value] if isinstance(value, list) else value
        if reference.source is None:
            return value if reference.file == "video" else self.photo
        name, *path = reference.source.split(".")
        earlier = catalog.tools[f"{tool.platform}_{name}"]
        example = example_of(earlier, facts_of(tool.platform))
        arguments = {key: await self._found(catalog, earlier, item) for key, item in example.items()}
        arguments, _ = await self._with_video(arguments, f"example for {tool.name}")
        answer = await self.client.call("legacy", earlier, arguments, None)
        self.calls += 1
        assert answer.code == "success", answer.data
        found = answer.data
        for part in path:
            found = found[int(part) if part.isdigit() else part]
        return found

    async def attempt(self, tool: Tool, number: int, door: str, key: str | None) -> Attempt:
        """A call that nobody else makes."""
        marker = f"soak {number} {hashlib.sha256(str(number).encode()).hexdigest()[:12]}"
        arguments = dict(self.examples[tool.name])
        if tool.effect is not Effect.READ:
            instead = INSTEAD.get(tool.name)
            if instead is None:
                instead = {next(name for name in MARKED if name in tool.input_schema["properties"]): "{marker}"}
            for name, value in instead.items():
                arguments[name] = _filled(value, marker=marker, number=number, recipient=_TO[number % len(_TO)])
            if tool.name == "whatsapp_send_template":
                marker = arguments["to"].removeprefix("+")
        arguments = {name: value for name, value in arguments.items() if value is not None}
        arguments, digest = await self._with_video(arguments, marker)
        return Attempt(self.client, tool, arguments, marker, door, key, digest)

    async def _with_video(self, arguments: dict[str, Any], marker: str) -> tuple[dict[str, Any], str | None]:
        for name, value in arguments.items():
            if reference_of(value) is not None:
                content = small_video(size=_VIDEO_BYTES) + _free_box(marker)
                handle = await self.client.keep(content, "video.mp4")
                return {**arguments, name: handle}, hashlib.sha256(content).hexdigest()
        return arguments, None


class Load:
    """Clients that call until they are told to stop."""

    def __init__(self, customers: list[Customer], catalog: Catalog, seed: int) -> None:
        self.customers = customers
        self.attempts: list[Attempt] = []
        self._tools = list(catalog.tools.values())
        self._random = random.Random(seed)  # noqa: S311  (which call comes next is no secret)
        self._number = 0
        self._stop = False

    @asynccontextmanager
    async def running(self, in_flight: int) -> AsyncIterator[None]:
        """Call until the block ends; then every call that is under way gets its answer."""
        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(self._call())
            try:
                yield
            finally:
                self._stop = True

    async def _call(self) -> None:
        while not self._stop:
            await (await self._next()).run()

    async def _next(self) -> Attempt:
        if self._random.random() < 0.15 and self.attempts:
            again = self._random.choice(self.attempts[-200:])
            if again.key is not None:
                return again
        self._number += 1
        number, tool = self._number, self._random.choice(self._tools)
        # Most of the calls change something: those are what it is about.
        if tool.effect is Effect.READ and self._random.random() < 0.5:
            tool = self._random.choice([one for one in self._tools if one.effect is not Effect.READ])
        key = f"soak-{number}" if self._random.random() < 0.4 else None
        customer, door = self._random.choice(self.customers), self._random.choice(DOORS)
        attempt = await customer.attempt(tool, number, door, key)
        self.attempts.append(attempt)
        return attempt


def _filled(value: Any, **words: Any) -> Any:
    if isinstance(value, list):
        return [_filled(item, **words) for item in value]
    return value.format(**words) if isinstance(value, str) else value


def _photo() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((1080, 1080), 40).convert("RGB").save(file, "JPEG")
    return file.getvalue()


def _free_box(text: str) -> bytes:
    """A box that players skip (ISO/IEC 14496-12, 8.1.2), so that no two videos are the same."""
    content = text.encode()
    return (len(content) + 8).to_bytes(4, "big") + b"free" + content
