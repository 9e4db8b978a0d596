"""A bench for signing in: the sandbox's vendors on a socket, one server, and people with browsers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import aiohttp

from connections.conftest import RecordedAudit, a_caller
from connections.oauth_bench import Bench, Time, bench_settings
from hermes.connections.choosing import PendingChoices
from hermes.connections.defaults import DefaultAccounts
from hermes.connections.links import ConnectLinks
from hermes.connections.models import Connection
from hermes.connections.probing import Prober
from hermes.connections.revocation import Revocation
from hermes.connections.second_step import Choosing, ToChoose
from hermes.connections.service import Connections
from hermes.connections.sign_in import SignIns
from hermes.identity.caller import Caller, Via
from hermes.identity.changes import CustomerChanges
from hermes.identity.versions import Versions
from hermes.platforms.ports import Ports
from hermes.sandbox.app import Sandbox
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.server import RunningSandbox
from hermes.settings import load_settings
from hermes.storage.redis import Redis
from hermes.storage.sql import Database


def person(customer_id: str = "cus_a", session: str = "ses_1") -> Caller:
    return replace(a_caller(customer_id), via=Via.SESSION, key_id=session)


@dataclass
class SignInBench:
    """Vendors, and one server with its people."""

    bench: Bench
    sign_ins: SignIns
    choosing: Choosing
    connections: Connections
    audit: RecordedAudit

    async def allow(self, location: str, name: str = "alex", decision: str = "allow") -> Mapping[str, str]:
        """What a person does in the browser: the query with which it comes back."""
        async with aiohttp.ClientSession() as browser:
            async with browser.get(location) as page:
                assert page.status == 200, await page.text()
                assert "asks for access" in await page.text()
            form = {"person": name, "decision": decision}
            async with browser.post(location, data=form, allow_redirects=False) as answer:
                assert answer.status == 303, await answer.text()
                return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))

    async def refused(self, location: str) -> Mapping[str, str]:
        """What the browser comes back with when the vendor asks the person nothing."""
        async with aiohttp.ClientSession() as browser, browser.get(location, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()
            return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))

    async def sign_in(
        self, platform: str, provider: str, name: str = "alex", label: str = "default"
    ) -> Connection | ToChoose:
        location = await self.sign_ins.begin(person(), platform, provider, label)
        return await self.sign_ins.finish(person(), platform, await self.allow(location, name))


@asynccontextmanager
async def open_sign_in_bench(
    database: Database, redis: Redis, redis_url: str, folder: Path, **environ: str
) -> AsyncIterator[SignInBench]:
    """`environ`: settings besides those that stand-ins need."""
    sandbox = Sandbox(SandboxOptions())
    async with RunningSandbox(sandbox.app) as running:
        given = load_settings(environ, env_file=None, data_dir=folder)
        settings, catalog = bench_settings(given, running.origin)
        made = Bench(sandbox, settings, catalog, database, redis, redis_url, Time(sandbox))
        replica, audit = made.replica(), RecordedAudit()
        ports = Ports(message_statuses=None, leases=None, media=None)  # type: ignore[arg-type]  # probes use none
        connections = Connections(
            catalog,
            replica.store,
            Prober(replica.upstream, settings, ports),
            audit,
            settings,
            DefaultAccounts(database, CustomerChanges(database, Versions(redis))),
            ConnectLinks(made.keyring, settings.public_url),
            plan_includes=lambda caller, platform: caller.plan != "free",
            revocation=Revocation(replica.store, replica.rows, replica.vendor),
        )
        choosing = Choosing(connections, PendingChoices(redis, made.keyring))
        sign_ins = SignIns(connections, replica.vendor, choosing, redis, made.keyring, settings)
        yield SignInBench(made, sign_ins, choosing, connections, audit)
        await replica.renewals.close()
        await replica.upstream.close()
