"""`/api/me`, `/api/api-keys` and `/api/admin/customers`.

Annotations are real objects here: FastAPI reads dependencies that only the building function knows.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response, status

from hermes.identity.caller import Caller
from hermes.identity.dependencies import Doors
from hermes.identity.service import LARGEST_PAGE, ApiKeys, Customers
from hermes.identity.views import (
    ApiKeyPage,
    ApiKeyRequest,
    ApiKeyView,
    CustomerPage,
    CustomerRequest,
    CustomerView,
    MeView,
    NewApiKeyView,
    NewCustomerView,
    PlanRequest,
)
from hermes.routing import RoomRouter

Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
Revoked = Annotated[bool, Query(description="Also keys that were revoked.")]


def build_router(doors: Doors, customers: Customers, api_keys: ApiKeys) -> APIRouter:
    """All routes of this room."""
    router = RoomRouter()
    parts = (_own_router(doors, api_keys), _customers_router(doors, customers), _customers_keys_router(doors, api_keys))
    router.routes.extend(route for part in parts for route in part.routes)
    return router


def _own_router(doors: Doors, api_keys: ApiKeys) -> APIRouter:
    router = RoomRouter(tags=["account"])
    customer_only = Depends(doors.customer_only)

    @router.get("/api/me")
    async def me(caller: Annotated[Caller, Depends(doors.current_caller)]) -> MeView:
        """Who you are to hermes, and what your key may do."""
        return MeView.of(caller)

    @router.get("/api/api-keys")
    async def list_api_keys(
        caller: Annotated[Caller, customer_only], cursor: Cursor = None, limit: Limit = 50, revoked: Revoked = False
    ) -> ApiKeyPage:
        """Your API keys."""
        return ApiKeyPage.of(await api_keys.page(caller.customer_id, cursor=cursor, limit=limit, revoked=revoked))

    @router.post("/api/api-keys", status_code=status.HTTP_201_CREATED)
    async def create_api_key(
        caller: Annotated[Caller, customer_only], wanted: ApiKeyRequest, response: Response
    ) -> NewApiKeyView:
        """Make an API key. The answer is the only time that it is shown."""
        new = await api_keys.create(caller.customer_id, wanted.name, wanted.grants, by=caller)
        return _made(new.row.id, NewApiKeyView.made(new), "/api/api-keys", response)

    @router.get("/api/api-keys/{key_id}")
    async def show_api_key(caller: Annotated[Caller, customer_only], key_id: str) -> ApiKeyView:
        """One of your API keys."""
        return ApiKeyView.of(await api_keys.get(caller.customer_id, key_id))

    @router.delete("/api/api-keys/{key_id}", status_code=status.HTTP_204_NO_CONTENT)
    async def revoke_api_key(caller: Annotated[Caller, customer_only], key_id: str) -> None:
        """End one of your API keys; within five seconds it is refused everywhere."""
        await api_keys.revoke(caller.customer_id, key_id, by=caller)

    return router


def _customers_router(doors: Doors, customers: Customers) -> APIRouter:
    router = RoomRouter(prefix="/api/admin/customers", tags=["operator"], dependencies=[Depends(doors.operator_only)])

    @router.get("")
    async def list_customers(cursor: Cursor = None, limit: Limit = 50) -> CustomerPage:
        """All customers."""
        return CustomerPage.of(await customers.page(cursor=cursor, limit=limit))

    @router.post("", status_code=status.HTTP_201_CREATED)
    async def create_customer(
        caller: Annotated[Caller, Depends(doors.operator_only)], wanted: CustomerRequest, response: Response
    ) -> NewCustomerView:
        """Make a customer and a first API key. The answer is the only time that the key is shown."""
        new = await customers.create(wanted.email, wanted.plan, wanted.role, by=caller)
        response.headers["location"] = f"/api/admin/customers/{new.row.id}"
        response.headers["cache-control"] = "no-store"
        return NewCustomerView.made(new)

    @router.get("/{customer_id}")
    async def show_customer(customer_id: str) -> CustomerView:
        """One customer."""
        return CustomerView.of(await customers.get(customer_id))

    @router.post("/{customer_id}/suspend")
    async def suspend_customer(caller: Annotated[Caller, Depends(doors.acting_for)]) -> CustomerView:
        """Refuse everything that is called for a customer; within five seconds everywhere."""
        return CustomerView.of(await customers.suspend(caller.customer_id, by=caller))

    @router.post("/{customer_id}/resume")
    async def resume_customer(caller: Annotated[Caller, Depends(doors.acting_for)]) -> CustomerView:
        """Undo a suspension."""
        return CustomerView.of(await customers.resume(caller.customer_id, by=caller))

    @router.put("/{customer_id}/plan")
    async def set_plan(caller: Annotated[Caller, Depends(doors.acting_for)], wanted: PlanRequest) -> CustomerView:
        """Put a customer on another plan."""
        return CustomerView.of(await customers.set_plan(caller.customer_id, wanted.plan, by=caller))

    return router


def _customers_keys_router(doors: Doors, api_keys: ApiKeys) -> APIRouter:
    router = RoomRouter(prefix="/api/admin/customers/{customer_id}/api-keys", tags=["operator"])
    acting_for = Depends(doors.acting_for)

    @router.get("")
    async def list_api_keys_of(
        caller: Annotated[Caller, acting_for], cursor: Cursor = None, limit: Limit = 50, revoked: Revoked = False
    ) -> ApiKeyPage:
        """A customer's API keys."""
        return ApiKeyPage.of(await api_keys.page(caller.customer_id, cursor=cursor, limit=limit, revoked=revoked))

    @router.post("", status_code=status.HTTP_201_CREATED)
    async def create_api_key_for(
        caller: Annotated[Caller, acting_for], wanted: ApiKeyRequest, response: Response
    ) -> NewApiKeyView:
        """Make an API key for a customer. The answer is the only time that it is shown."""
        new = await api_keys.create(caller.customer_id, wanted.name, wanted.grants, by=caller)
        path = f"/api/admin/customers/{caller.customer_id}/api-keys"
        return _made(new.row.id, NewApiKeyView.made(new), path, response)

    @router.get("/{key_id}")
    async def show_api_key_of(caller: Annotated[Caller, acting_for], key_id: str) -> ApiKeyView:
        """One of a customer's API keys."""
        return ApiKeyView.of(await api_keys.get(caller.customer_id, key_id))

    @router.delete("/{key_id}", status_code=status.HTTP_204_NO_CONTENT)
    async def revoke_api_key_of(caller: Annotated[Caller, acting_for], key_id: str) -> None:
        """End one of a customer's API keys; within five seconds it is refused everywhere."""
        await api_keys.revoke(caller.customer_id, key_id, by=caller)

    return router


def _made(key_id: str, view: NewApiKeyView, path: str, response: Response) -> NewApiKeyView:
    response.headers["location"] = f"{path}/{key_id}"
    response.headers["cache-control"] = "no-store"
    return view
