"""`/api/connect/…` and `/api/connections`: a customer's linked accounts, and the operator's look at one customer's."""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from hermes.connections.checks import ConnectionChecks
from hermes.connections.names import LABEL_RULE
from hermes.connections.service import Connections
from hermes.errors import InvalidArguments
from hermes.identity.caller import Caller
from hermes.net.incoming import read_body
from hermes.platforms.base import DEFAULT_ACCOUNT
from hermes.platforms.catalog import Catalog
from hermes.routing import RoomRouter

_MAX_BODY: Final = 64 * 1024
_ADMIN: Final = "/api/admin/customers/{customer_id}"
_JSON_BODY: Final = "Send the credentials as one JSON object (Content-Type: application/json)."

PlatformId = Annotated[str, Path(description="A platform's id, e.g. `telegram`.")]
AccountLabel = Annotated[
    str | None, Query(description=f"The account's label ({LABEL_RULE}); needed if there are several.")
]

AccountToCheck = Annotated[
    str | None, Query(description=f"The account's label ({LABEL_RULE}); without it the one that is used by default.")
]


class StepDetail(BaseModel):
    """One step of setting an account up at its vendor. `state`: done, missing (do what `remedy` says), unknown (it
    could not be found out now) or kept (left as it is on purpose)."""

    id: str
    title: str
    state: str
    detail: str
    remedy: str | None = None


class Connected(BaseModel):
    """The account is linked. `account` is its label, `name` what the platform calls it."""

    connected: bool = True
    platform: str
    account: str
    status: str
    external_id: str | None
    display_name: str | None
    scopes: list[str]
    expires_at: datetime | None
    steps: list[StepDetail] = []


class SetUp(BaseModel):
    """How the steps of setting the account up at its vendor stand."""

    platform: str
    account: str
    steps: list[StepDetail]


class Disconnected(BaseModel):
    """The account is no longer linked; its credential is forgotten. `revoked`: the vendor confirmed that the access has
    ended; null where there was none to take back. `left`: what is to be done at the vendor by hand, if anything.
    `default_account`: which of the platform's other accounts is used from now on when none is named.
    `steps`: how what was set up at the vendor was undone."""

    disconnected: bool = True
    platform: str
    account: str
    revoked: bool | None = None
    left: str | None = None
    default_account: str | None = None
    steps: list[StepDetail] = []


class DefaultAccount(BaseModel):
    """The account that is used when a call names none, by its label."""

    account: str = Field(max_length=32, examples=["work"])


class Checked(BaseModel):
    """What a look at an account found. `outcome`: works, ended (connect it again) or trouble (it could not be found
    out)."""

    platform: str
    account: str
    outcome: str
    error: str | None
    checked_at: datetime


class Missing(BaseModel):
    """Something that an account lacks. `kind`: reconnect, choice, step, scopes or setting. `scopes`: any one of
    them is enough; `tools` cannot work without."""

    kind: str
    message: str
    scopes: list[str]
    tools: list[str]


class ConnectionDetail(BaseModel):
    """One linked account. `status`: connected, expiring, needs_reconnect or incomplete. `default`: whether it is used
    when a call names none. `connect_url`: the page for its owner, for fifteen minutes, where they have to act."""

    platform: str
    account: str
    default: bool
    status: str
    external_id: str | None
    display_name: str | None
    scopes: list[str]
    expires_at: datetime | None
    last_checked_at: datetime | None
    last_success_at: datetime | None
    last_error: str | None
    connected_at: datetime | None
    missing: list[Missing]
    connect_url: str | None
    steps: list[StepDetail] = []


class ConnectionsOverview(BaseModel):
    """For every platform whether an account of it works, and the details of each account."""

    customer_id: str = Field(alias="customerId")
    connections: dict[str, bool]
    details: list[ConnectionDetail]


def build_router(
    connections: Connections,
    checks: ConnectionChecks,
    catalog: Catalog,
    current_caller: Callable[..., Any],
    acting_for: Callable[..., Any],
) -> APIRouter:
    """The routes.

    Args:
        connections: what can be done.
        checks: looks at accounts.
        catalog: for the description of each platform's credentials.
        current_caller: dependency that gives the caller.
        acting_for: dependency that gives the operator acting for the customer in the path.
    """
    router = RoomRouter(tags=["connections"])
    described = {"requestBody": _request_body(catalog)}

    @router.post("/api/connect/{platform}", openapi_extra=described)
    async def connect(
        platform: PlatformId, request: Request, caller: Annotated[Caller, Depends(current_caller)]
    ) -> Connected:
        """Link an account: the credentials are tried at the platform, then kept encrypted."""
        return await _connect(connections, caller, platform, request)

    @router.get("/api/connections")
    async def overview(caller: Annotated[Caller, Depends(current_caller)]) -> ConnectionsOverview:
        """Your linked accounts."""
        return ConnectionsOverview.model_validate(await connections.overview(caller))

    @router.delete("/api/connections/{platform}")
    async def disconnect(
        platform: PlatformId, caller: Annotated[Caller, Depends(current_caller)], account: AccountLabel = None
    ) -> Disconnected:
        """Unlink one account and forget its credential."""
        return await _disconnect(connections, caller, platform, account)

    @router.put("/api/connections/{platform}/default")
    async def make_default(
        platform: PlatformId, chosen: DefaultAccount, caller: Annotated[Caller, Depends(current_caller)]
    ) -> DefaultAccount:
        """Choose the account that is used when a call names none."""
        await connections.make_default(caller, platform, chosen.account)
        return chosen

    @router.post("/api/connections/{platform}/check")
    async def check(
        platform: PlatformId, caller: Annotated[Caller, Depends(current_caller)], account: AccountToCheck = None
    ) -> Checked:
        """Try at the platform whether an account still works."""
        return Checked.model_validate(await checks.check(caller, platform, account))

    @router.post("/api/connections/{platform}/steps")
    async def check_steps(
        platform: PlatformId, caller: Annotated[Caller, Depends(current_caller)], account: AccountLabel = None
    ) -> SetUp:
        """Look again at what an account needs to be set up at its vendor, and do what can be done."""
        return await _check_steps(connections, caller, platform, account)

    @router.post(f"{_ADMIN}/connections/{{platform}}/steps")
    async def check_steps_for(
        platform: PlatformId, caller: Annotated[Caller, Depends(acting_for)], account: AccountLabel = None
    ) -> SetUp:
        """Look again at what an account of a customer needs to be set up at its vendor."""
        return await _check_steps(connections, caller, platform, account)

    @router.post(f"{_ADMIN}/connect/{{platform}}", openapi_extra=described)
    async def connect_for(
        platform: PlatformId, request: Request, caller: Annotated[Caller, Depends(acting_for)]
    ) -> Connected:
        """Link an account for a customer."""
        return await _connect(connections, caller, platform, request)

    @router.get(f"{_ADMIN}/connections")
    async def overview_of(caller: Annotated[Caller, Depends(acting_for)]) -> ConnectionsOverview:
        """A customer's linked accounts."""
        return ConnectionsOverview.model_validate(await connections.overview(caller))

    @router.delete(f"{_ADMIN}/connections/{{platform}}")
    async def disconnect_for(
        platform: PlatformId, caller: Annotated[Caller, Depends(acting_for)], account: AccountLabel = None
    ) -> Disconnected:
        """Unlink one account of a customer."""
        return await _disconnect(connections, caller, platform, account)

    @router.put(f"{_ADMIN}/connections/{{platform}}/default")
    async def make_default_for(
        platform: PlatformId, chosen: DefaultAccount, caller: Annotated[Caller, Depends(acting_for)]
    ) -> DefaultAccount:
        """Choose the account of a customer that is used when a call names none."""
        await connections.make_default(caller, platform, chosen.account)
        return chosen

    @router.post(f"{_ADMIN}/connections/{{platform}}/check")
    async def check_for(
        platform: PlatformId, caller: Annotated[Caller, Depends(acting_for)], account: AccountToCheck = None
    ) -> Checked:
        """Try at the platform whether an account of a customer still works."""
        return Checked.model_validate(await checks.check(caller, platform, account))

    return router


async def _connect(connections: Connections, caller: Caller, platform: str, request: Request) -> Connected:
    body = await _json_object(request)
    label = body.pop("account", DEFAULT_ACCOUNT)
    if not isinstance(label, str):
        raise InvalidArguments(
            "`account` is the account's label, a text.",
            fields=[{"field": "account", "problem": f"must be {LABEL_RULE}"}],
        )
    connection = await connections.connect(caller, platform, body, label)
    return Connected.model_validate(connection.as_dict())


async def _disconnect(connections: Connections, caller: Caller, platform: str, account: str | None) -> Disconnected:
    unlinked = await connections.disconnect(caller, platform, account)
    return Disconnected(
        platform=platform,
        account=unlinked.account,
        revoked=unlinked.revoked,
        left=unlinked.left,
        default_account=unlinked.default_account,
        steps=[StepDetail(**step.as_dict()) for step in unlinked.steps],
    )


async def _check_steps(connections: Connections, caller: Caller, platform: str, account: str | None) -> SetUp:
    label, steps = await connections.check_steps(caller, platform, account)
    return SetUp(platform=platform, account=label, steps=[StepDetail(**step.as_dict()) for step in steps])


async def _json_object(request: Request) -> dict[str, Any]:
    """The body, read here and not by FastAPI, whose errors repeat what was sent.

    Raises:
        InvalidArguments: it is not a JSON object.
        PayloadTooLarge: it is longer than any credentials are.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise InvalidArguments(_JSON_BODY)
    body = await read_body(request, _MAX_BODY, "The body with the credentials")
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise InvalidArguments(_JSON_BODY)
    return parsed


def _request_body(catalog: Catalog) -> dict[str, Any]:
    """The OpenAPI description of the body: each platform's credentials, and the label."""
    account = {
        "type": "string",
        "pattern": "^[a-z0-9_-]{1,32}$",
        "default": DEFAULT_ACCOUNT,
        "description": "The account's label, where several are to be linked.",
    }
    schemas = []
    for platform in catalog:
        credentials: type[BaseModel] = platform.credentials
        schema, choices = _schema_of(credentials), platform.connect.choices
        properties = schema.get("properties", {}) | {"account": account}
        may_be_left_out = choices.alias(platform.credentials) if choices is not None else None
        required = [name for name in schema.get("required", ()) if name != may_be_left_out]
        schemas.append(schema | {"title": platform.title, "properties": properties, "required": required})
    return {"required": True, "content": {"application/json": {"schema": {"oneOf": schemas}}}}


@cache
def _schema_of(credentials: type[BaseModel]) -> dict[str, Any]:
    return credentials.model_json_schema(by_alias=True)
