"""Assembly of the sandbox: every stand-in under its platform's id, the inspection page at `/`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from hermes.sandbox.base import Service, Stage, StandIn, discover
from hermes.sandbox.clock import Clock
from hermes.sandbox.failures import Failures
from hermes.sandbox.gate import Gate
from hermes.sandbox.guard import LoopbackOnly
from hermes.sandbox.inspect import Inspection
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.recorder import Recorder
from hermes.sandbox.webhooks import Webhooks


def sandbox_base_urls(origin: str) -> dict[str, str]:
    """Where each platform's API is when the sandbox runs at `origin`: platform id → base URL."""
    return {platform: f"{origin.rstrip('/')}/{platform}" for platform in discover()}


class Sandbox:
    """The parts of one running sandbox; `app` is what a server serves."""

    def __init__(self, options: SandboxOptions | None = None) -> None:
        self.options = options or SandboxOptions()
        self.clock = Clock(frozen=self.options.frozen_clock)
        self.recorder = Recorder(self.options.kept)
        self.webhooks = Webhooks(self.clock)
        self.failures = Failures()
        self.stand_ins: dict[str, StandIn] = discover()
        self.stage = Stage(self.options, self.clock, self.recorder, self.webhooks)
        self.services: dict[str, Service] = {
            platform: stand_in.create(self.stage) for platform, stand_in in self.stand_ins.items()
        }
        for platform, service in self.services.items():
            declared = self.stand_ins[platform]
            limit = self.options.tokens_per_second
            service.desks = [declared.desk(rules, self.clock, per_second=limit) for rules in declared.oauth]
        inspection = Inspection(self.stage, self.stand_ins, self.services, self.failures)
        gates = {
            platform: Gate(platform, service, self.stage, self.failures) for platform, service in self.services.items()
        }
        self.app = Starlette(routes=inspection.routes(), lifespan=self._lifespan)
        self.app.state.sandbox = self
        self.app.add_middleware(_Doors, gates=gates, open_to_network=self.options.open_to_network)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        del app
        yield
        self.clock.clear()
        await self.webhooks.close()
        for service in self.services.values():
            await service.close()


class _Doors:
    """Sends a platform's paths straight to its gate, everything else to the inspection; loopback only."""

    def __init__(self, app: ASGIApp, gates: dict[str, Gate], open_to_network: bool) -> None:
        self._inspection = LoopbackOnly(app)
        self._gates: dict[str, ASGIApp] = {
            platform: gate if open_to_network else LoopbackOnly(gate) for platform, gate in gates.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            door = self._gates.get(scope["path"].removeprefix("/").partition("/")[0])
            if door is not None:
                return await door(scope, receive, send)
        return await self._inspection(scope, receive, send)


def build_sandbox(options: SandboxOptions | None = None) -> Starlette:
    """The sandbox as one ASGI application. Its `state.sandbox` is the `Sandbox`, for tests in the same process."""
    return Sandbox(options).app
