"""Who is calling now, and what they may use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from hermes.identity.approval_rules import NO_RULES, ApprovalRules

Access = Literal["read", "write"]

OPERATOR_ID = "operator"
"""The id under which the operator's own calls (single-user mode) are audited and counted; no customer can have it."""


class Via(StrEnum):
    """How the caller proved who they are."""

    OPERATOR_KEY = "operator_key"
    API_KEY = "api_key"
    SESSION = "session"
    OAUTH = "oauth"


@dataclass(frozen=True, slots=True)
class Grants:
    """The right to use platforms' tools, read and write apart. Written `telegram:read`, `email:write`, `*:read`."""

    pairs: frozenset[tuple[str, Access]]

    @classmethod
    def everything(cls) -> Grants:
        return cls(frozenset({("*", "read"), ("*", "write")}))

    @classmethod
    def parse(cls, words: Iterable[str]) -> Grants:
        """Read `platform:read` and `platform:write` words (`*` for every platform).

        Raises:
            ValueError: a word of another form; the message names it.
        """
        pairs: set[tuple[str, Access]] = set()
        for word in words:
            platform, _, access = word.partition(":")
            if not platform or access not in ("read", "write"):
                raise ValueError(f"{word!r} is not a grant; write platform:read or platform:write")
            pairs.add((platform, "read" if access == "read" else "write"))
        return cls(frozenset(pairs))

    def allow(self, platform: str, access: Access) -> bool:
        return (platform, access) in self.pairs or ("*", access) in self.pairs

    def covers(self, other: Grants) -> bool:
        """Whether this allows everything that the other allows."""
        return all(self.allow(platform, access) for platform, access in other.pairs)

    def both(self, other: Grants) -> Grants:
        """What this and the other allow."""
        mine = {pair for pair in self.pairs if other.allow(*pair)}
        return Grants(frozenset(mine | {pair for pair in other.pairs if self.allow(*pair)}))

    def __or__(self, other: Grants) -> Grants:
        """What this or the other allows."""
        return Grants(self.pairs | other.pairs)

    def words(self) -> list[str]:
        return sorted(f"{platform}:{access}" for platform, access in self.pairs)


@dataclass(frozen=True, slots=True)
class Caller:
    """The operator, or a customer, at this moment.

    `customer_id` is the tenant whose accounts, quota and trail the call uses: a customer's id, or `OPERATOR_ID` for the
    operator in single-user mode. The operator acting for a customer (`/api/admin/customers/{id}/…`, `--customer`) has
    kind `operator` and that customer's id.
    """

    kind: Literal["operator", "customer"]
    customer_id: str
    via: Via
    key_id: str
    grants: Grants
    plan: str
    role: Literal["customer", "admin"] = "customer"
    version: int = 0
    """The customer's version when this caller was read; a newer one makes it stale (design.md, section 4)."""
    client: str | None = None
    email: str | None = None
    obtainable: Grants | None = None
    """What an OAuth caller could have by asking the person for more; none for everybody else."""
    default_accounts: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Platform → label of the account that is meant when none is named, where it is not called `default`."""
    approval_rules: ApprovalRules = NO_RULES
    """What the customer wants to be asked about, and what never to be done."""
    credential: str | None = field(default=None, repr=False, compare=False)
    """The name by which the credential is looked up again (readers.py): a SHA-256 or an id, never the secret."""

    @property
    def single_user(self) -> bool:
        """The operator using the environment's own credentials: no plan, no quota."""
        return self.customer_id == OPERATOR_ID

    def could_have(self, platform: str, access: Access) -> bool:
        """Whether the caller has the grant, or would have it after asking the person for more."""
        return self.grants.allow(platform, access) or (
            self.obtainable is not None and self.obtainable.allow(platform, access)
        )


OPERATOR = Caller(
    kind="operator",
    customer_id=OPERATOR_ID,
    via=Via.OPERATOR_KEY,
    key_id=OPERATOR_ID,
    grants=Grants.everything(),
    plan="operator",
    role="admin",
)
"""Whoever holds MCP_API_KEY, or runs commands on the server."""
