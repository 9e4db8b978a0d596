"""The house: every service, wired once from the settings, and the ASGI application over it."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from hermes.audit.trail import Trail
from hermes.billing.plans import plan_of
from hermes.billing.quota import Quotas
from hermes.billing.usage import UsageLedger
from hermes.connections.key_check import verify_key_check
from hermes.connections.names import key_name
from hermes.connections.routing import PhoneNumbers, Routing
from hermes.connections.service import Connections
from hermes.connections.store import CredentialStore
from hermes.crypto import Keyring
from hermes.gateway.accounts import Accounts
from hermes.gateway.actions import ActionTrail
from hermes.gateway.admission import Admissions
from hermes.gateway.call import Gateway, Observer
from hermes.gateway.idempotency import Answers
from hermes.gateway.lookup import CallLookup
from hermes.identity.authenticate import Authenticator
from hermes.identity.callers import Callers
from hermes.identity.service import ApiKeys, Customers
from hermes.net.upstream import Upstream
from hermes.observability.metrics import Metrics
from hermes.platforms.catalog import Catalog, load_catalog
from hermes.platforms.ports import Ports
from hermes.settings import Settings
from hermes.storage.data_folder import Holder
from hermes.storage.leases import RedisLeases
from hermes.storage.queue import JobQueue
from hermes.storage.secrets import ensure_secrets
from hermes.storage.stores import Stores, open_stores
from hermes.webhooks.service import InboundEvents


@dataclass(frozen=True)
class House:
    """Everything that a front door may use."""

    settings: Settings
    stores: Stores
    catalog: Catalog
    keyring: Keyring = field(repr=False)
    customers: Customers
    api_keys: ApiKeys
    callers: Callers
    authenticator: Authenticator
    credentials: CredentialStore
    connections: Connections
    gateway: Gateway
    admissions: Admissions
    lookup: CallLookup
    trail: Trail
    ledger: UsageLedger
    quotas: Quotas
    inbound: InboundEvents
    upstream: Upstream
    queue: JobQueue
    metrics: Metrics
