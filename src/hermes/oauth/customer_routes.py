"""`/api/assistants` for customers, `/api/admin/oauth-clients` for operators."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Query, Response, status
from pydantic import BaseModel, ConfigDict, Field

from hermes.identity.caller import Caller
from hermes.oauth.assistants import Assistant, Assistants
from hermes.oauth.client_details import AuthMethod, ClientDetails
from hermes.oauth.client_store import NewClient
from hermes.oauth.models import OAuthClient
from hermes.oauth.registered_clients import LARGEST_PAGE, RegisteredClients, Wanted
from hermes.routing import RoomRouter

Door = Callable[..., Any]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]


class AssistantView(BaseModel):
    """A connected assistant. `host` and `verified` say who vouches for its name; `last_used_at` is right to the
    minute; `connected` is false when it gave back what it had."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    client_id: str
    name: str
    host: str | None
    verified: bool
    grants: list[str]
    connected: bool
    created_at: datetime
    last_used_at: datetime | None


class AssistantList(BaseModel):
    """The assistants, in the order in which they were connected."""

    assistants: list[AssistantView]


class ClientView(BaseModel):
    """A client that an operator registered. `customer_id` is as whom it signs in by itself, if it does."""

    client_id: str
    name: str
    redirect_uris: list[str]
    grant_types: list[str]
    token_endpoint_auth_method: AuthMethod
    scope: str | None
    customer_id: str | None
    created_at: datetime

    @classmethod
    def of(cls, row: OAuthClient) -> Self:
        return cls(**_members(row.id, ClientDetails(**row.details), row.acts_for, row.created_at))


class NewClientView(ClientView):
    """A client just registered, with its secret if it has one: shown this once."""

    client_secret: str | None

    @classmethod
    def made(cls, new: NewClient) -> Self:
        client = new.client
        return cls(**_members(client.id, client.details, client.acts_for, new.created_at), client_secret=new.secret)


class ClientList(BaseModel):
    """Clients in the order they were registered; `next_cursor` is absent on the last page."""

    clients: list[ClientView]
    next_cursor: str | None = None


class ClientRequest(BaseModel):
    """A client to be registered. With `customer_id` it is a headless one, which signs in by itself as that customer
    (`client_credentials`); otherwise it asks people and needs `redirect_uris`."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200, examples=["Nightly report"])
    redirect_uris: list[str] = Field([], max_length=20, examples=[["https://app.example.com/callback"]])
    customer_id: str | None = Field(None, max_length=64)
    scope: str | None = Field(None, max_length=2000, examples=["telegram:read telegram:write"])
    token_endpoint_auth_method: AuthMethod | None = None
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = Field(None, max_length=2048)

    def wanted(self) -> Wanted:
        return Wanted(
            name=self.name,
            redirect_uris=tuple(self.redirect_uris),
            customer_id=self.customer_id,
            scope=self.scope,
            auth_method=self.token_endpoint_auth_method,
            jwks=self.jwks,
            jwks_uri=self.jwks_uri,
        )


def build_assistants_router(assistants: Assistants, customer_only: Door, acting_for: Door) -> APIRouter:
    """The customer's own assistants, and the operator's look at one customer's.

    Args:
        customer_only: dependency that gives a customer, no assistant of theirs.
        acting_for: dependency that gives the operator acting for the customer in the path.
    """
    router = RoomRouter(tags=["assistants"])

    @router.get("/api/assistants")
    async def list_assistants(caller: Annotated[Caller, Depends(customer_only)]) -> AssistantList:
        """The assistants that you let use your accounts."""
        return _listed(await assistants.list(caller.customer_id))

    @router.delete("/api/assistants/{assistant_id}", status_code=status.HTTP_204_NO_CONTENT)
    async def revoke_assistant(caller: Annotated[Caller, Depends(customer_only)], assistant_id: str) -> None:
        """Disconnect an assistant; within five seconds it is refused everywhere."""
        await assistants.revoke(caller.customer_id, assistant_id, by=caller)

    @router.get("/api/admin/customers/{customer_id}/assistants", tags=["operator"])
    async def list_assistants_of(caller: Annotated[Caller, Depends(acting_for)]) -> AssistantList:
        """A customer's assistants."""
        return _listed(await assistants.list(caller.customer_id))

    @router.delete(
        "/api/admin/customers/{customer_id}/assistants/{assistant_id}",
        tags=["operator"],
        status_code=status.HTTP_204_NO_CONTENT,
    )
    async def revoke_assistant_of(caller: Annotated[Caller, Depends(acting_for)], assistant_id: str) -> None:
        """Disconnect a customer's assistant; within five seconds it is refused everywhere."""
        await assistants.revoke(caller.customer_id, assistant_id, by=caller)

    return router


def build_clients_router(clients: RegisteredClients, operator_only: Door) -> APIRouter:
    """The clients that operators register.

    Args:
        operator_only: dependency that lets operators through.
    """
    router = RoomRouter(prefix="/api/admin/oauth-clients", tags=["operator"], dependencies=[Depends(operator_only)])

    @router.get("")
    async def list_oauth_clients(cursor: Cursor = None, limit: Limit = 50) -> ClientList:
        """The clients that operators registered."""
        page = await clients.page(cursor=cursor, limit=limit)
        return ClientList(clients=[ClientView.of(row) for row in page.rows], next_cursor=page.cursor)

    @router.post("", status_code=status.HTTP_201_CREATED)
    async def create_oauth_client(wanted: ClientRequest, response: Response) -> NewClientView:
        """Register a client. The answer is the only time that its secret is shown."""
        new = await clients.create(wanted.wanted())
        response.headers["location"] = f"/api/admin/oauth-clients/{new.client.id}"
        response.headers["cache-control"] = "no-store"
        return NewClientView.made(new)

    @router.get("/{client_id}")
    async def show_oauth_client(client_id: str) -> ClientView:
        """One client that an operator registered."""
        return ClientView.of(await clients.get(client_id))

    @router.delete("/{client_id}", status_code=status.HTTP_204_NO_CONTENT)
    async def delete_oauth_client(client_id: str) -> None:
        """Delete a client and disconnect it from everyone; within five seconds everywhere."""
        await clients.delete(client_id)

    return router


def _listed(found: list[Assistant]) -> AssistantList:
    return AssistantList(assistants=[AssistantView.model_validate(one) for one in found])


def _members(client_id: str, details: ClientDetails, acts_for: str | None, created_at: datetime) -> dict[str, Any]:
    return {
        "client_id": client_id,
        "name": details.client_name,
        "redirect_uris": list(details.redirect_uris),
        "grant_types": list(details.grant_types),
        "token_endpoint_auth_method": details.token_endpoint_auth_method,
        "scope": details.scope,
        "customer_id": acts_for,
        "created_at": created_at,
    }
