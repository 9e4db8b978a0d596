"""What Redis remembers of a credential for a minute, and how it is kept from outliving a change (versions.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson
from redis.asyncio import Redis

from hermes.identity.approval_rules import ApprovalRule, ApprovalRules
from hermes.identity.caller import Caller, Grants, Via
from hermes.identity.models import Role
from hermes.identity.versions import VERSION_PREFIX, VERSION_SECONDS, version_key
from hermes.storage.redis import Script

ENTRY_SECONDS: Final = 60


_FAMILIES: Final = {
    Via.API_KEY: "customer:apikey",
    Via.SESSION: "customer:session",
    Via.OAUTH: "customer:token",
}


def entry_key(name: str, via: Via = Via.API_KEY) -> str:
    """The Redis key of what is known about a credential.

    Args:
        name: by which credentials of this kind are found (`readers.py`): never the secret itself.
    """
    return f"{_FAMILIES[via]}:{name}"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A credential that exists and is not revoked, and its customer, as one read of SQL saw them.

    Attributes:
        id: the customer's.
        key_id: what the audit trail calls the credential: a key's id, a session's, an authorization's.
        client: the name of the assistant or browser that it was given to, if that is known.
        obtainable: what an OAuth caller could get by asking for more, beyond `grants`.
        expires_at: when it ends by itself, in seconds since 1970; none: never.
        default_accounts: as in `Caller`.
        approval_rules: the customer's.
    """

    id: str
    plan: str
    active: bool
    email: str
    role: Role
    grants: tuple[str, ...]
    key_id: str
    version: int
    via: Via = Via.API_KEY
    client: str | None = None
    obtainable: tuple[str, ...] | None = None
    expires_at: float | None = None
    default_accounts: Mapping[str, str] = field(default_factory=dict)
    approval_rules: tuple[ApprovalRule, ...] = ()

    def caller(self, name: str) -> Caller:
        """Who that is.

        Args:
            name: of the credential, by which `KnownCallers.refresh` finds it again.
        """
        return Caller(
            kind="customer",
            customer_id=self.id,
            via=self.via,
            key_id=self.key_id,
            grants=Grants.parse(self.grants),
            plan=self.plan,
            role=self.role,
            version=self.version,
            client=self.client,
            email=self.email,
            obtainable=None if self.obtainable is None else Grants.parse(self.obtainable),
            default_accounts=self.default_accounts,
            approval_rules=ApprovalRules(self.approval_rules),
            credential=name,
        )

    def to_json(self) -> bytes:
        return orjson.dumps({**asdict(self), "approval_rules": ApprovalRules(self.approval_rules).rows()})

    @classmethod
    def from_json(cls, text: str | bytes) -> KnownKey | None:
        """Read an entry; none if it is not one of this form (an older hermes wrote it, say)."""
        try:
            members: dict[str, Any] = orjson.loads(text)
            obtainable = members.get("obtainable")
            exact = {
                "grants": tuple(members["grants"]),
                "via": Via(members.get("via", Via.API_KEY)),
                "obtainable": None if obtainable is None else tuple(obtainable),
                # Required: an entry of a hermes that knew no rules must not stand for a customer who has some.
                "approval_rules": ApprovalRules.stored(members["approval_rules"]).each,
            }
            return cls(**{**members, **exact})
        except (ValueError, TypeError, KeyError):
            return None


_LOOKUP = Script("""
local text = redis.call('GET', KEYS[1])
if not text then return false end
local readable, entry = pcall(cjson.decode, text)
if not readable or type(entry) ~= 'table' or type(entry.id) ~= 'string' then return false end
local version = redis.call('GET', ARGV[1] .. entry.id)
if not version or tonumber(version) ~= entry.version then return false end
return text
""")
"""KEYS: entry. ARGV: prefix of version keys (whose it is stands in the entry). Returns the entry if it is valid now."""

_FILL = Script("""
local state = redis.call('GET', KEYS[1])
if ARGV[2] ~= '' and state == ARGV[2] then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
  state = ARGV[1]
end
if state == ARGV[1] then
  if KEYS[2] then redis.call('SET', KEYS[2], ARGV[4], 'EX', ARGV[5]) end
  return 1
end
local number = state and tonumber(state)
if number and number < tonumber(ARGV[1]) then redis.call('DEL', KEYS[1]) end
return 0
""")
"""KEYS: version, and the entry if one is to be written. ARGV: the row's version, the reading mark that was there before
the row was read ('' = none), seconds of a number, the entry, seconds of the entry. Returns 1 if the row is current. A
number that SQL has passed (Redis restored from a backup) is removed."""


class KeyCache:
    """The entries in Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def lookup(self, name: str, via: Via = Via.API_KEY) -> KnownKey | None:
        """What is known of the credential of this name, if it is valid at this moment: one round trip."""
        text = await _LOOKUP(self._redis, [entry_key(name, via)], [VERSION_PREFIX])
        return None if text is None else KnownKey.from_json(text)

    async def fill(self, name: str, known: KnownKey, state: str = "") -> bool:
        """Remember what SQL said, unless it has been overtaken.

        Args:
            name: of the credential.
            state: what `Versions.observe` gave before SQL was read, if it was asked.

        Returns:
            Whether it is current, and so was written.
        """
        keys = [version_key(known.id), entry_key(name, known.via)]
        arguments: list[str | bytes | float] = [
            str(known.version),
            _mark(state),
            VERSION_SECONDS,
            known.to_json(),
            ENTRY_SECONDS,
        ]
        return bool(await _FILL(self._redis, keys, arguments))

    async def confirm(self, customer_id: str, version: int, state: str) -> bool:
        """The same for a customer's version alone."""
        arguments: list[str | bytes | float] = [str(version), _mark(state), VERSION_SECONDS]
        return bool(await _FILL(self._redis, [version_key(customer_id)], arguments))

    async def forget_version(self, customer_id: str) -> None:
        """Make the next reader ask SQL for the version. Always safe."""
        await self._redis.delete(version_key(customer_id))


def _mark(state: str) -> str:
    return state if state.startswith("reading:") else ""
