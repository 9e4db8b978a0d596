"""The house: every service, wired once from the settings, and the ASGI application over it."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from hermes.audit.trail import Trail
from hermes.billing import tasks as billing_tasks
from hermes.billing.plans import plan_of
from hermes.billing.quota import Quotas
from hermes.billing.usage import UsageLedger
from hermes.connections import tasks as connection_tasks
from hermes.connections.checks import ConnectionChecks
from hermes.connections.choosing import PendingChoices
from hermes.connections.defaults import DefaultAccounts
from hermes.connections.health import Health
from hermes.connections.health_rows import HealthRows
from hermes.connections.key_check import verify_key_check
from hermes.connections.links import ConnectLinks
from hermes.connections.names import key_name
from hermes.connections.onboarding import Onboardings
from hermes.connections.probing import Prober
from hermes.connections.renewal import Renewals
from hermes.connections.renewal_rows import RenewalRows
from hermes.connections.rescue import Rescue
from hermes.connections.revocation import Revocation
from hermes.connections.routing import PhoneNumbers, Routing
from hermes.connections.second_step import Choosing
from hermes.connections.service import Connections
from hermes.connections.sign_in import SignIns
from hermes.connections.store import CredentialStore
from hermes.connections.telling import Telling
from hermes.connections.vendor import VendorClient
from hermes.connections.witness import CallWitness
from hermes.crypto import Keyring
from hermes.events import tasks as mail_tasks
from hermes.events.mail import Mail
from hermes.events.post import post_of
from hermes.gateway import tasks as gateway_tasks
from hermes.gateway.accounts import Accounts
from hermes.gateway.actions import ActionTrail
from hermes.gateway.admission import Admissions
from hermes.gateway.approval_desk import ApprovalDesk
from hermes.gateway.approval_rows import ApprovalRows
from hermes.gateway.approval_rules import RuleBook
from hermes.gateway.approval_runs import ApprovalRuns
from hermes.gateway.approvals import Approvals
from hermes.gateway.asking import RequestStates
from hermes.gateway.call import Gateway
from hermes.gateway.catalogue import CatalogueResources
from hermes.gateway.document_resources import DocumentResources
from hermes.gateway.documents import DocumentNotices
from hermes.gateway.idempotency import Answers
from hermes.gateway.jobs import JOBS
from hermes.gateway.long_calls import LongCalls
from hermes.gateway.long_rows import LongCallRows
from hermes.gateway.lookup import CallLookup
from hermes.gateway.own_tools import OwnTools
from hermes.gateway.prompts import Prompts
from hermes.gateway.resources import Resources
from hermes.identity.authenticate import Authenticator
from hermes.identity.callers import Callers
from hermes.identity.changes import CustomerChanges
from hermes.identity.csrf import Csrf
from hermes.identity.people import People, build_people
from hermes.identity.people import register_tasks as register_people_tasks
from hermes.identity.service import ApiKeys, Customers
from hermes.identity.sessions import Sessions
from hermes.identity.versions import Versions
from hermes.keys.service import Keys, open_keys
from hermes.media import tasks as media_tasks
from hermes.media.limits import limit_of
from hermes.media.places import FolderPlace, Place
from hermes.media.store import MediaStore
from hermes.net.guarded import GuardedClient
from hermes.net.upstream import Upstream
from hermes.oauth.server import AuthorizationServer
from hermes.observability.metrics import Metrics
from hermes.platforms.catalog import Catalog, load_catalog
from hermes.platforms.ports import Ports
from hermes.sandbox_mode import on_sandbox, origin_of, remember_origin
from hermes.settings import Settings
from hermes.storage.data_folder import DataFolder, Holder
from hermes.storage.leases import RedisLeases
from hermes.storage.notices import Notices
from hermes.storage.pace import Pace
from hermes.storage.queue import JobQueue
from hermes.storage.rates import Rates
from hermes.storage.revisions import require_newest_schema
from hermes.storage.secrets import ensure_secrets
from hermes.storage.stores import Stores, open_stores
from hermes.webhooks import tasks as webhook_tasks
from hermes.webhooks.service import InboundEvents


@dataclass(frozen=True)
class House:
    """Everything that a front door may use."""

    settings: Settings
    stores: Stores
    catalog: Catalog
    keyring: Keyring = field(repr=False)
    keys: Keys
    customers: Customers
    api_keys: ApiKeys
    callers: Callers
    authenticator: Authenticator
    csrf: Csrf
    sessions: Sessions
    oauth: AuthorizationServer
    mail: Mail
    people: People
    credentials: CredentialStore
    connections: Connections
    connect_links: ConnectLinks
    connection_checks: ConnectionChecks
    health_rows: HealthRows
    witness: CallWitness
    renewals: Renewals
    choosing: Choosing
    sign_ins: SignIns
    gateway: Gateway
    approvals: ApprovalDesk
    rules: RuleBook
    admissions: Admissions
    lookup: CallLookup
    states: RequestStates
    prompts: Prompts
    resources: Resources
    long_calls: LongCalls
    trail: Trail
    actions: ActionTrail
    notices: Notices
    media: MediaStore
    ledger: UsageLedger
    quotas: Quotas
    inbound: InboundEvents
    upstream: Upstream
    queue: JobQueue
    metrics: Metrics

    @property
    def sandbox_origin(self) -> str | None:
        """Where the stand-ins answer, when this hermes runs on them."""
        return self.settings.environ.get("SANDBOX_ORIGIN")

    async def close(self) -> None:
        """Finish writes that have begun, then close what this house opened."""
        await self.gateway.close()
        await self.witness.close()
        await self.renewals.close()
        await self.callers.close()
        await self.notices.close()
        await self.upstream.close()
        self.media.close()


@asynccontextmanager
async def open_house(settings: Settings, *, holder: Holder, sandbox: str | None = None) -> AsyncIterator[House]:
    """Open the stores, check the keys, and wire the house for as long as the block lasts.

    Args:
        holder: `server` for `hermes serve`'s main process, `command` for everything else.
        sandbox: where the stand-ins answer, for a server that uses them. A server marks its data folder as the
            sandbox's or as one of real accounts; a command follows the mark.

    Raises:
        SettingsError: something that must be set is not, or the encryption key is not the one in use.
        DataFolderError: the data folder is in use, or belongs to the other mode.
    """
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(settings, holder=holder))
        await require_newest_schema(stores.database)
        catalog = load_catalog()
        origin = _sandbox_origin(stores.data_folder, holder, sandbox)
        if origin is not None:
            settings = on_sandbox(settings, origin, catalog)
        settings = ensure_secrets(_with_vaults(settings), stores.data_folder)
        house = build_house(settings, stores, catalog, keys=await open_keys(stores.database, settings))
        await verify_key_check(stores.database, house.keyring)
        await stack.enter_async_context(house.keys.following())
        if stores.embedded is not None:
            # Nobody else can be running a call in this folder, so whatever is pending was left by a dead process.
            await house.admissions.sweep(everything=True)
            await house.long_calls.abandon_all()
            await house.ledger.flush(alone=True)
        await stack.enter_async_context(house.queue)
        stack.push_async_callback(house.close)
        yield house


def build_house(
    settings: Settings,
    stores: Stores,
    catalog: Catalog,
    upstream: Upstream | None = None,
    documents: GuardedClient | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    keys: Keys | None = None,
) -> House:
    """Wire every service. Nothing is connected or started here.

    Args:
        upstream: the client for the platforms' APIs, if it is to have other limits than the usual ones.
        documents: the client for what OAuth clients publish about themselves, if it is to find and believe other hosts
            than the public internet's. For tests.
        now: the time by which accounts are renewed. For tests.
        keys: the keys, opened; without them, those that the settings hold themselves.
    """
    database, redis = stores.database, stores.redis
    for platform in catalog:
        platform.check_settings(settings)
    keys = keys or Keys(database, settings, None, Keyring.from_settings(settings))
    keyring = keys.keyring
    metrics = Metrics(catalog.tools)
    queue = JobQueue(redis, stores.redis_url)
    upstream = upstream or Upstream()
    versions, notices = Versions(redis), Notices(redis)
    callers = Callers(database, redis, settings)
    changes = CustomerChanges(database, versions)
    csrf = Csrf(keyring, settings)
    routing = Routing(database, redis)
    inbound = InboundEvents(database, PhoneNumbers(routing), queue)
    media = MediaStore(database, keyring, GuardedClient(trusted=_trusted(settings)), _media_place(settings))
    ports = Ports(message_statuses=inbound, leases=RedisLeases(redis), media=media)
    long_rows = LongCallRows(database, notices)
    admissions = Admissions(redis, alive=long_rows.alive)
    actions = ActionTrail(admissions)
    sessions = Sessions(database, changes, callers.known, settings, actions)
    mail = Mail(database, keyring, queue, post_of(settings))
    people = build_people(settings, database, redis, changes, keyring, sessions, mail, actions)
    oauth = AuthorizationServer(
        settings,
        database,
        redis,
        keyring,
        catalog,
        known=callers.known,
        changes=changes,
        audit=actions,
        guarded=documents or GuardedClient(),
    )
    ledger = UsageLedger(database, redis, consumer=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}")
    quotas = Quotas(redis, ledger)
    telling = Telling({platform.id: platform.title for platform in catalog}, settings.public_url, mail)
    credentials = CredentialStore(database, redis, keyring, telling)
    renewal_rows = RenewalRows(database, telling)
    vendor = VendorClient(upstream, settings, Pace(redis), now=now)
    prober, connect_links = Prober(upstream, settings, ports), ConnectLinks(keyring, settings.public_url)
    connections = Connections(
        catalog,
        credentials,
        prober,
        actions,
        settings,
        DefaultAccounts(database, changes),
        connect_links,
        plan_includes=lambda caller, platform: plan_of(caller.plan).includes(platform),
        notices=notices,
        revocation=Revocation(credentials, renewal_rows, vendor),
        onboardings=Onboardings(database, credentials, prober),
    )
    renewals = Renewals(
        catalog,
        credentials,
        renewal_rows,
        vendor,
        RedisLeases(redis),
        Rescue(redis, keyring),
        connections.mark_needs_reconnect,
        now=now,
    )
    connection_tasks.register_tasks(queue, renewal_rows, renewals)
    health_rows = HealthRows(database)
    witness = CallWitness(health_rows)
    health = Health(
        catalog,
        credentials,
        health_rows,
        prober,
        renewals,
        redis,
        connections.mark_needs_reconnect,
        every=timedelta(minutes=settings.health_check_minutes),
        per_second=settings.health_checks_per_second,
        observe=metrics.observe_check,
    )
    connection_tasks.register_checks(queue, health_rows, health)
    accounts = Accounts(
        catalog,
        settings,
        credentials,
        connections,
        connect_links,
        upstream,
        ports,
        key_name=key_name,
        renewals=renewals,
    )
    trail, answers = Trail(redis), Answers(keyring)
    long_calls = LongCalls(long_rows, keyring, catalog, accounts, admissions, callers, answers, observe=metrics.observe)
    lookup, states = CallLookup(redis, trail, long_calls), RequestStates(keyring)
    approvals = Approvals(
        ApprovalRows(database),
        keyring,
        catalog,
        accounts,
        actions,
        settings.public_url,
        minutes=settings.approval_minutes,
        files=media.describe,
    )
    runs = ApprovalRuns(approvals, callers.refresh, long_calls)
    gateway = Gateway(
        catalog,
        accounts,
        admissions,
        quotas,
        callers,
        answers,
        observe=metrics.observe,
        long_calls=long_calls,
        own=OwnTools(lookup, media, limit_of),
        states=states,
        documents=DocumentNotices(catalog, notices),
        witness=witness,
        approvals=runs,
    )
    desk = ApprovalDesk(runs, gateway, catalog, actions)
    gateway_tasks.register_approvals(queue, desk, runs)
    choosing = Choosing(connections, PendingChoices(redis, keyring))
    house = House(
        settings=settings,
        stores=stores,
        catalog=catalog,
        keyring=keyring,
        keys=keys,
        customers=Customers(database, versions, actions),
        api_keys=ApiKeys(database, versions, actions, catalog.platforms),
        callers=callers,
        authenticator=Authenticator([callers, oauth.access, sessions], csrf),
        csrf=csrf,
        sessions=sessions,
        oauth=oauth,
        mail=mail,
        people=people,
        credentials=credentials,
        connections=connections,
        connect_links=connect_links,
        connection_checks=ConnectionChecks(connections, health, Rates(redis)),
        health_rows=health_rows,
        witness=witness,
        renewals=renewals,
        choosing=choosing,
        sign_ins=SignIns(connections, vendor, choosing, redis, keyring, settings),
        gateway=gateway,
        approvals=desk,
        rules=RuleBook(database, changes, catalog, actions),
        admissions=admissions,
        lookup=lookup,
        states=states,
        prompts=Prompts(JOBS, states),
        resources=Resources([CatalogueResources(catalog, settings.public_url), DocumentResources(gateway)]),
        long_calls=long_calls,
        trail=trail,
        actions=actions,
        notices=notices,
        media=media,
        ledger=ledger,
        quotas=quotas,
        inbound=inbound,
        upstream=upstream,
        queue=queue,
        metrics=metrics,
    )
    _register_jobs(house)
    return house


def _register_jobs(house: House) -> None:
    mail_tasks.register_tasks(house.queue, house.mail)
    register_people_tasks(house.queue, house.people)
    webhook_tasks.register_tasks(house.queue, house.inbound)
    billing_tasks.register_tasks(house.queue, house.ledger)
    gateway_tasks.register_tasks(house.queue, house.admissions, house.long_calls)
    media_tasks.register_tasks(house.queue, house.media)
    house.oauth.register_tasks(house.queue)


def _media_place(settings: Settings) -> Place:
    if settings.media_s3_bucket is None:
        return FolderPlace(settings.data_dir / "media")
    # What knows S3 takes a while to import, and most houses have no bucket.
    from hermes.media.bucket import BucketPlace  # noqa: PLC0415

    return BucketPlace.from_settings(settings, settings.media_s3_bucket)


def _trusted(settings: Settings) -> list[tuple[str, int]]:
    """The stand-ins, whose files may be fetched although they answer on this machine."""
    parts = urlsplit(settings.environ.get("SANDBOX_ORIGIN", ""))
    return [(parts.hostname, parts.port)] if parts.hostname and parts.port else []


def _sandbox_origin(folder: DataFolder | None, holder: Holder, sandbox: str | None) -> str | None:
    """Where the stand-ins answer, if this house is to use them; keeps the data folder's mark."""
    if folder is None:
        return sandbox
    if holder == "server":
        folder.claim_mode("live" if sandbox is None else "sandbox")
    if sandbox is not None:
        remember_origin(folder, sandbox)
        return sandbox
    return origin_of(folder)


def _with_vaults(settings: Settings) -> Settings:
    """In the embedded default customers' vaults lie in the data folder."""
    if settings.obsidian_vaults_root is not None or not settings.embedded:
        return settings
    return settings.model_copy(update={"obsidian_vaults_root": settings.data_dir.resolve() / "vaults"})
