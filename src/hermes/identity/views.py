"""What routes and commands show of customers and keys, and what routes take in."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hermes.identity.caller import Caller
from hermes.identity.models import ApiKey, Customer, PlanName, Role, Status
from hermes.identity.service import NewCustomer, NewKey, Page


class MeView(BaseModel):
    """Who you are to hermes, and by what."""

    customer_id: str
    kind: Literal["operator", "customer"]
    email: str | None
    plan: str
    role: Role
    via: str
    key_id: str
    grants: list[str]

    @classmethod
    def of(cls, caller: Caller) -> MeView:
        return cls(
            customer_id=caller.customer_id,
            kind=caller.kind,
            email=caller.email,
            plan=caller.plan,
            role=caller.role,
            via=caller.via,
            key_id=caller.key_id,
            grants=caller.grants.words(),
        )


class CustomerView(BaseModel):
    """A customer."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    email: str
    plan: PlanName
    role: Role
    status: Status
    created_at: datetime

    @classmethod
    def of(cls, row: Customer) -> CustomerView:
        return cls.model_validate(row)


class NewCustomerView(CustomerView):
    """A customer just made, with the first API key: shown this once."""

    api_key: str

    @classmethod
    def made(cls, new: NewCustomer) -> NewCustomerView:
        return cls(**CustomerView.of(new.row).model_dump(), api_key=new.key.secret)


class CustomerPage(BaseModel):
    """Customers in the order they came; `next_cursor` is absent on the last page."""

    customers: list[CustomerView]
    next_cursor: str | None = None

    @classmethod
    def of(cls, page: Page[Customer]) -> CustomerPage:
        return cls(customers=[CustomerView.of(row) for row in page.rows], next_cursor=page.cursor)


class ApiKeyView(BaseModel):
    """An API key, by its name and its last four characters. `last_used_at` is right to the minute."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    hint: str
    grants: list[str]
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, row: ApiKey) -> ApiKeyView:
        return cls.model_validate(row)


class NewApiKeyView(ApiKeyView):
    """A key just made, with the key itself: shown this once."""

    api_key: str

    @classmethod
    def made(cls, new: NewKey) -> NewApiKeyView:
        return cls(**ApiKeyView.of(new.row).model_dump(), api_key=new.secret)


class ApiKeyPage(BaseModel):
    """Keys in the order they were made; `next_cursor` is absent on the last page."""

    api_keys: list[ApiKeyView]
    next_cursor: str | None = None

    @classmethod
    def of(cls, page: Page[ApiKey]) -> ApiKeyPage:
        return cls(api_keys=[ApiKeyView.of(row) for row in page.rows], next_cursor=page.cursor)


class CustomerRequest(BaseModel):
    """A customer to be made."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=254, examples=["ada@example.com"])
    plan: PlanName = "free"
    role: Role = "customer"


class PlanRequest(BaseModel):
    """The plan to put a customer on."""

    model_config = ConfigDict(extra="forbid")

    plan: PlanName


class ApiKeyRequest(BaseModel):
    """A key to be made. Without `grants` it gets all that the key has with which it is asked for."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(examples=["Laptop"])
    grants: list[str] | None = Field(None, max_length=100, examples=[["telegram:read", "telegram:write"]])
