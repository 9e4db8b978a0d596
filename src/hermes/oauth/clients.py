"""Clients as the other parts see them, and finding one by its id."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from hermes.identity.caller import Grants
from hermes.oauth.client_details import ClientDetails
from hermes.oauth.models import ClientKind, OAuthClient
from hermes.oauth.scopes import grants_of


@dataclass(frozen=True, slots=True)
class Client:
    """A program that asks for access.

    Attributes:
        kind: how it is known: by a document at its id's URL, registered by itself, or by an operator.
        name: as it calls itself, fit to be shown.
        secret_digest: SHA-256 of its secret in hex, if it has one.
        acts_for: the customer as whom it may sign in by itself.
    """

    id: str
    kind: ClientKind
    name: str
    details: ClientDetails
    secret_digest: str | None = field(default=None, repr=False)
    acts_for: str | None = None

    @classmethod
    def of(cls, row: OAuthClient) -> Self:
        return cls(row.id, row.kind, row.name, ClientDetails(**row.details), row.secret_digest, row.acts_for)

    @property
    def verified(self) -> bool:
        """Whether somebody vouches for who it is: the host of its document, or the operator who registered it."""
        return self.kind != "dynamic"

    @property
    def host(self) -> str | None:
        """The host that its id names; none if its id names none."""
        return urlsplit(self.id).netloc if self.kind == "document" else None

    @property
    def allowed(self) -> Grants:
        """The most that it can be given. Only an operator bounds it; otherwise the person decides."""
        return allowed_to(self.kind, self.details)

    @property
    def refreshes(self) -> bool:
        """Whether it is given refresh tokens."""
        return "refresh_token" in self.details.grant_types


def allowed_to(kind: ClientKind, details: ClientDetails) -> Grants:
    """See `Client.allowed`."""
    if kind != "registered" or details.scope is None:
        return Grants.everything()
    return grants_of(details.scope.split())
