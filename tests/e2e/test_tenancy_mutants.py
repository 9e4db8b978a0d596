"""Would the tenancy test notice? Hermes is broken on purpose, one forgotten customer id at a time.

The faults are not listed but found: every function that takes a customer's id, every SQL statement that filters by one,
every family of Redis keys that is filed under one; and a few memories that are kept apart by something else.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import pkgutil
import re
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
import uvicorn
from sqlalchemy import delete
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import BindParameter

import hermes
from hermes.app import House, build_house, open_house
from hermes.asgi import App
from hermes.sandbox.app import build_sandbox
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.server import RunningSandbox
from hermes.settings import load_settings, local_url
from hermes.storage.redis import connect_redis
from hermes.storage.schema import load_models

ELSEWHERE = (
    "hermes.gateway.long_rows.", "hermes.gateway.long_asks.", "hermes.gateway.seals.",
    "hermes.platforms.email.", "hermes.media.sealed.",
    "hermes.oauth.", "hermes.web.", "hermes.events.", "hermes.storage.notices.", "hermes.transports.subscriptions.",
    *(f"hermes.identity.{room}." for room in (
        "account", "browsers", "changes", "mailed_tokens", "oidc", "provider_accounts",
        "second_factor", "sessions", "sign_in", "throttle",
    )),
    *(f"hermes.connections.{room}." for room in (
        "choosing", "links", "renewal", "renewal_rows", "rescue", "sign_in", "telling",
    )),
)  # fmt: skip
"""Long calls, mail, signing in, assistants and renewals, which these customers do not use: their own tests hold them
apart. A cipher is bound to the customer besides; that is seen only by who holds the file of another one."""
NOBODY = "cus_" + "0" * 26
CUSTOMERS = 4
EVERY = int(os.environ.get("HERMES_MUTANTS_EVERY", "3"))
SECONDS = 6
"""A run that takes longer hangs, unless the machine is so busy that a run without any fault takes as long."""
TRIES = 3
"""Whether usage that is on its way to SQL is missed depends on when it is moved, so one run may be too few."""
FAMILIES = (
    "creds", "creds_version", "customer:version", "log_seq", "log_ids", "logs", "quota", "rate", "pending", "idem",
    "lock", "sse", "platform_health",
)  # fmt: skip
UNNOTICED: dict[str, str] = {
    "hermes.audit.trail.Trail.export": "only the operator's command line exports (tests/commands)",
    "hermes.connections.defaults.DefaultAccounts.follow": "only who unlinks the chosen account (tests/connections)",
    "hermes.connections.health_rows.HealthRows.schedule": "plans the clock's own looks (tests/connections)",
    "hermes.connections.health_rows.HealthRows.seen": "noted every five minutes at most (tests/connections)",
    "hermes.connections.onboarding.Onboarded.__init__": "only who unlinks a number (tests/connections)",
    "hermes.connections.onboarding.Onboardings._asked": "the log's word for whose steps failed",
    "hermes.connections.onboarding.Onboardings.before_unlinking": "only who unlinks a number (tests/connections)",
    "hermes.connections.revocation.Revocation.before": "only what a vendor gave is given back (tests/connections)",
    "hermes.connections.rotation.UnreadableCredential.__init__": "a line of the operator's report on keys",
    "hermes.connections.service.Connections.refuse_stranger": "only who opens another's link (tests/web)",
    "hermes.connections.service.Connections._set_up": "only who unlinks a number (tests/connections)",
    "hermes.connections.service.Connections._tell": "only who subscribed is told (tests/transports)",
    "hermes.connections.service.Connections._follow": "only who unlinks the chosen account (tests/connections)",
    "hermes.connections.store.CredentialStore.renew": "only what a vendor lets run out is renewed (tests/connections)",
    "hermes.connections.store.CredentialStore.put_incomplete": "only a choice that is open waits (tests/web)",
    "hermes.connections.witness.CallWitness.__call__": "noted every five minutes at most (tests/connections)",
    "hermes.gateway.approval_desk.ApprovalDesk.run_left": "runs what a crash left over (tests/gateway)",
    "hermes.gateway.approval_rows.ApprovalRows.expire": "only what nobody decides on in time (tests/gateway)",
    "hermes.gateway.approval_rows.ApprovalRows.note_run": "matters only after a crash (tests/gateway)",
    "hermes.gateway.approval_rows.ApprovalRows.release": "matters only after a crash (tests/gateway)",
    "hermes.gateway.approval_rows.ApprovalRows.waiting": "matters only to who has fifty waiting (tests/gateway)",
    "hermes.gateway.approvals.Approvals._shown": "only calls with files show their names (tests/gateway)",
    "hermes.identity.known_callers.KnownCallers._is_ahead": "matters only after SQL came back from a backup",
    "hermes.identity.known_callers.KnownCallers._read_current_customer": "matters only to operators during a change",
    "hermes.identity.key_cache.KeyCache.confirm": "matters only to operators during a change",
    "hermes.identity.key_cache.KeyCache.forget_version": "matters only after SQL came back from a backup",
    "hermes.identity.readers.ApiKeyReader.note_use": "it names one key by its id, which is the caller's own",
    "hermes.media.store.MediaStore.open": "only tools that take files open them (tests/media)",
    "hermes.media.store.MediaStore._open": "only tools that take files open them (tests/media)",
    "hermes.media.store.MediaStore.hold": "only tools that take files hold them (tests/media)",
    "hermes.media.store.MediaStore.keep": "only tools that give files keep them (tests/media)",
    "hermes.media.store.MediaStore._refuse_more": "matters only to who keeps as much as the plan allows (tests/media)",
    "hermes.media.store.MediaStore._turn": "matters only to who has many files under way at once (tests/media)",
    "hermes.media.store.MediaStore._remove": "it names one file by its handle, which was found to be the customer's",
    "hermes.media.store._key_name": "binds a file's own key to the customer besides; files are told apart before",
    "SQL in store.MediaStore._remove": "it names one file by its handle, which was found to be the customer's",
    "hermes.storage.leases.RedisLeases.turn": "only renewals take turns (tests/connections)",
    "SQL in approval_rows.ApprovalRows._change": "it names one by its id, which was found to be the customer's",
    "SQL in approval_rows.ApprovalRows.with_key": "it names one by a hash that the customer's id is part of",
    "SQL in health_rows.HealthRows.found": "it names the ciphertext that was tried, which is one customer's",
    "SQL in health_rows.HealthRows.seen": "noted every five minutes at most (tests/connections)",
    "SQL in readers.ApiKeyReader._read": "it names one key by its id, which the customer's own approval has",
    "SQL in readers.ApiKeyReader.note_use": "it names one key by its id, which is the caller's own",
    "SQL in renewal_rows.RenewalRows.read": "only what a vendor lets run out is renewed (tests/connections)",
    "SQL in service.ApiKeys.revoke": "it names one key by its id, which was found to be the customer's before",
    "SQL in service._keep_status": "it names one message by its id, which the platform gives out once",
}
"""Faults that these customers cannot notice, and why."""


@dataclass
class Village:
    """A house that is built anew, on emptied stores, for every run of the scenario."""

    outer: House
    listening: socket.socket
    town: Any
    seconds: float = 60
    gone: set[str] = field(default_factory=set)
    """Customers of earlier runs: what was cut off there may still be settled now."""

    async def run(self) -> None:
        """The whole scenario, with fewer customers.

        Raises:
            Exception: whatever it noticed.
        """
        await self._empty()
        house = build_house(self.outer.settings, self.outer.stores, self.outer.catalog)
        house.inbound.queue = house.inbound.process  # type: ignore[method-assign]  # no job worker per run
        async with self._serving(house), asyncio.timeout(self.seconds):
            redis = connect_redis(self.outer.stores.redis_url)
            scenario = self._scenario(house, redis)
            scenario.others = set(self.gone)
            try:
                await scenario.run()
            finally:
                self.gone |= {tenant.id for tenant in scenario.tenants}
                await redis.aclose()

    def _scenario(self, house: House, redis: Any) -> Any:
        settings = house.settings
        assert settings.mcp_api_key is not None
        assert house.sandbox_origin is not None
        return self.town(
            settings.public_url, house.sandbox_origin, settings.mcp_api_key.get_secret_value(), house, redis,
            customers=CUSTOMERS, steps=0,
        )  # fmt: skip

    @asynccontextmanager
    async def _serving(self, house: House) -> AsyncIterator[None]:
        app = App(house)
        config = uvicorn.Config(
            app.asgi, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=0
        )
        server = uvicorn.Server(config)
        async with app.run():
            listening = socket.socket(fileno=os.dup(self.listening.fileno()))
            task = asyncio.create_task(server._serve([listening]))  # without taking over the process's signals
            try:
                yield
            finally:
                app.end_streams()
                server.should_exit = True
                await task
                await house.close()

    async def _empty(self) -> None:
        await self.outer.stores.redis.flushdb()
        kept = ("key_check", "alembic_version")
        async with self.outer.stores.database.session() as session:
            for table in reversed(load_models().sorted_tables):
                if table.name not in kept:
                    await session.execute(delete(table))
        async with aiohttp.ClientSession() as http:
            await http.post(f"{self.outer.sandbox_origin}/_sandbox/reset")
        shutil.rmtree(self.outer.settings.data_dir / "vaults", ignore_errors=True)


@asynccontextmanager
async def village(folder: Path, town: Any) -> AsyncIterator[Village]:
    listening = socket.create_server(("127.0.0.1", 0))
    url = local_url(listening.getsockname()[1])
    settings = load_settings({}, env_file=None, data_dir=folder, public_url=url)
    sandbox = build_sandbox(SandboxOptions.from_settings(settings))
    async with (
        RunningSandbox(sandbox) as stand_ins,
        open_house(settings, holder="server", sandbox=stand_ins.origin) as house,
    ):
        yield Village(house, listening, town)
    listening.close()


@asynccontextmanager
async def quiet() -> AsyncIterator[None]:
    """Without the log of dozens of houses that are broken on purpose."""
    kept = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("critical"), cache_logger_on_first_use=False
    )
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)
    structlog.configure(**kept)


async def notices(place: Village) -> BaseException | None:
    """What the scenario says, or None if nothing seemed wrong to it.

    Raises:
        OperationalError: the house could not be emptied, so nothing was tried.
    """
    try:
        await place.run()
    except OperationalError:
        raise
    except Exception as error:  # noqa: BLE001  (however it is noticed)
        return error
    return None


# functions that take a customer's id


def modules() -> Iterator[Any]:
    for found in pkgutil.walk_packages(hermes.__path__, "hermes."):
        if not re.search(r"\.(sandbox|commands|migrations|__main__|cli|demo|doctor|valkey_child)\b", found.name):
            yield import_module(found.name)


def takers() -> dict[str, tuple[Any, str, Any]]:
    """Name → where it hangs, its name there, and the function."""
    found: dict[str, tuple[Any, str, Any]] = {}
    for module in modules():
        for name, thing in vars(module).items():
            if getattr(thing, "__module__", None) != module.__name__:
                continue
            if inspect.isfunction(thing) and _takes(thing):
                found[f"{module.__name__}.{name}"] = (module, name, thing)
            elif inspect.isclass(thing) and not getattr(thing, "_is_protocol", False):
                for member, function in vars(thing).items():
                    if inspect.isfunction(function) and _takes(function):
                        found[f"{module.__name__}.{name}.{member}"] = (thing, member, function)
    return found


def _takes(function: Any) -> bool:
    return "customer_id" in inspect.signature(function).parameters


def forgetful(function: Any) -> Any:
    """The function, for which all customers are one."""
    signature = inspect.signature(function)

    def arguments(args: Any, kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        if str(bound.arguments["customer_id"]).startswith("cus_"):
            bound.arguments["customer_id"] = NOBODY
        return bound

    @functools.wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:
        bound = arguments(args, kwargs)
        return function(*bound.args, **bound.kwargs)

    @functools.wraps(function)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        bound = arguments(args, kwargs)
        return await function(*bound.args, **bound.kwargs)

    return awaited if inspect.iscoroutinefunction(function) else plain


def replace(patch: pytest.MonkeyPatch, holder: Any, name: str, function: Any, changed: Any) -> None:
    """Put the changed function wherever the other one is known by name."""
    patch.setattr(holder, name, changed)
    if inspect.ismodule(holder):
        for module in [one for key, one in sys.modules.items() if key.startswith("hermes.") and one is not None]:
            for known, thing in list(vars(module).items()):
                if thing is function:
                    patch.setattr(module, known, changed)


# statements that filter by a customer's id


def _is_customers(criterion: Any) -> bool:
    left, right = getattr(criterion, "left", None), getattr(criterion, "right", None)
    return getattr(left, "name", None) == "customer_id" and isinstance(right, BindParameter)


def watch_sql(patch: pytest.MonkeyPatch, forget: str | None, seen: set[str]) -> None:
    """Note every place whose statements filter by a customer's id, and forget that filter in one of them."""
    original = AsyncSession.execute

    def changed(self: Any, statement: Any, *args: Any, **kwargs: Any) -> Any:
        criteria = getattr(statement, "_where_criteria", ())
        if any(map(_is_customers, criteria)):
            site = _place()
            seen.add(site)
            if site == forget:
                statement = statement._generate()
                statement._where_criteria = tuple(one for one in criteria if not _is_customers(one))
        return original(self, statement, *args, **kwargs)

    patch.setattr(AsyncSession, "execute", changed)


def _place() -> str:
    """The function of hermes that is at work, like `store.CredentialStore.labels`; no helper of storage/sql.py."""
    frame: Any = sys._getframe(2)
    while "/hermes/" not in frame.f_code.co_filename or frame.f_code.co_filename.endswith("/storage/sql.py"):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_qualname}"


# Redis keys that are filed under a customer's id


def forget_in_keys(patch: pytest.MonkeyPatch, redis: Any, family: str) -> None:
    """File the keys of a family under nobody."""
    text, packed = (
        re.compile(rf"^({family}:)cus_[0-9a-z]{{26}}"),
        re.compile(rf'("{family}:)cus_[0-9a-z]{{26}}'.encode()),
    )
    original = redis.execute_command

    def forgotten(given: Any) -> Any:
        """A key by itself, or within the JSON that a script is given."""
        if isinstance(given, bytes):
            return packed.sub(rb"\1", given)
        return text.sub(r"\1", given) if isinstance(given, str) else given

    def changed(*args: Any, **options: Any) -> Any:
        return original(*map(forgotten, args), **options)

    patch.setattr(redis, "execute_command", changed)


# memories that are kept apart by something else than a customer's id


def shared_memories() -> dict[str, tuple[Any, str, Callable[[Any], Any]]]:
    from hermes.connections import routing  # noqa: PLC0415
    from hermes.identity import key_cache, memory  # noqa: PLC0415
    from hermes.platforms.obsidian import vaults  # noqa: PLC0415
    from hermes.transports import tool_list  # noqa: PLC0415

    def first_vault(get: Any) -> Any:
        return lambda self, settings, customer_id, vault: self._open.setdefault(
            vault, get(self, settings, customer_id, vault)
        )

    return {
        "callers in memory": (
            memory.Memory,
            "get",
            lambda get: lambda self, _key: get(self, next(iter(self._entries), 0)),
        ),
        "one look-up for all": (memory.SingleFlight, "do", lambda do: lambda self, _key, work: do(self, 0, work)),
        "callers in Redis": (key_cache, "entry_key", lambda name: lambda _digest: name("0" * 64)),
        "phone numbers": (routing, "_keys", lambda keys: lambda platform, _routing_id: keys(platform, "0")),
        "vaults in memory": (vaults.Vaults, "get", first_vault),
        "lists of tools": (tool_list, "_fingerprint", lambda _: lambda _views: b""),
    }


async def hunt(place: Village, faults: dict[str, Callable[[pytest.MonkeyPatch], None]]) -> dict[str, str]:
    """Inject each fault alone; returns those that the scenario did not notice."""
    survivors: dict[str, str] = {}
    for name, inject in faults.items():
        began = time.perf_counter()
        with pytest.MonkeyPatch.context() as patch:
            inject(patch)
            noticed = None
            for _ in range(1 if name in UNNOTICED else TRIES):
                noticed = noticed or await notices(place)
        if os.environ.get("HERMES_MUTANTS"):
            _report(f"{time.perf_counter() - began:5.2f} {name}: {_told(noticed)}")
        if noticed is None:
            survivors[name] = UNNOTICED.get(name, "nobody noticed")
    return survivors


def _report(line: str) -> None:
    with Path(os.environ["HERMES_MUTANTS"]).open("a") as report:
        report.write(line + "\n")


def _told(noticed: BaseException | None) -> str:
    while isinstance(noticed, BaseExceptionGroup):
        noticed = noticed.exceptions[0]
    return "NOT NOTICED" if noticed is None else f"{type(noticed).__name__} {str(noticed)[:150]!r}"


@pytest.mark.timeout(400 if EVERY > 1 else 3600)
async def test_no_forgotten_customer_id_goes_unnoticed(tmp_path: Path, town_class: Any) -> None:
    async with quiet(), village(tmp_path / "data", town_class) as place:
        seen: set[str] = set()
        with pytest.MonkeyPatch.context() as patch:
            watch_sql(patch, None, seen)
            began = time.perf_counter()
            await place.run()
            place.seconds = max(SECONDS, 3 * (time.perf_counter() - began))
        faults: dict[str, Callable[[pytest.MonkeyPatch], None]] = {}
        for name, (holder, member, function) in takers().items():
            if name.startswith(ELSEWHERE):
                continue
            changed = forgetful(function)
            faults[name] = functools.partial(replace, holder=holder, name=member, function=function, changed=changed)
        for site in sorted(seen):
            faults[f"SQL in {site}"] = functools.partial(watch_sql, forget=site, seen=set())
        for family in FAMILIES:
            faults[f"Redis {family}"] = functools.partial(forget_in_keys, redis=place.outer.stores.redis, family=family)
        for name, (holder, member, change) in shared_memories().items():
            original = getattr(holder, member)
            faults[name] = functools.partial(
                replace, holder=holder, name=member, function=original, changed=change(original)
            )
        assert len(faults) > 60
        todays = share_of(faults)
        survivors = await hunt(place, todays)
    assert survivors == {name: reason for name, reason in UNNOTICED.items() if name in todays}


def share_of(
    faults: dict[str, Callable[[pytest.MonkeyPatch], None]],
) -> dict[str, Callable[[pytest.MonkeyPatch], None]]:
    """A third of the faults that are to be noticed, another one each day; with HERMES_MUTANTS_EVERY=1 (`make soak`)
    all, and whether those that are not to be noticed still are not."""
    if EVERY == 1:
        return faults
    turn = datetime.now(UTC).date().toordinal() % EVERY
    noticed = (name for name in faults if name not in UNNOTICED)
    return {name: faults[name] for number, name in enumerate(noticed) if number % EVERY == turn}
