"""The second step of linking an account: the person says which of several is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hermes.connections.choosing import Pending, PendingChoices
from hermes.connections.models import Connection
from hermes.connections.names import printable
from hermes.connections.service import Connections
from hermes.errors import HermesError, NotFound
from hermes.identity.caller import Caller
from hermes.platforms.catalog import AnyPlatform
from hermes.platforms.oauth import Choice, OAuthConnect


class NotLinked(HermesError):
    """Nothing was linked. `message` says why, and what the person does now."""

    code = "platform_rejected"
    status = 400

    def __init__(self, message: str) -> None:
        super().__init__(message, nothing_sent=True)


@dataclass(frozen=True, slots=True)
class ToChoose:
    """The person has to say which of several accounts is meant."""

    platform: str
    label: str


class Choosing:
    """Keeps a choice open and takes it. A caller is a person in a browser, and acts for themselves only."""

    def __init__(self, connections: Connections, pending: PendingChoices) -> None:
        self._connections = connections
        self._pending = pending

    async def connect_pasted(
        self, caller: Caller, platform: str, credentials: Mapping[str, Any], label: str
    ) -> Connection | ToChoose:
        """As `Connections.connect`; where the credentials leave open which of several accounts is meant, the person
        is to choose."""
        declared = self._connections.may_connect(caller, platform, label)
        found = await self._connections.left_open(caller, declared, credentials, label)
        if len(found) > 1:
            return await self.leave_open(caller, declared, label, Pending(None, None, found))
        given = found[0].credentials if found else credentials
        return await self._connections.connect(caller, platform, given, label)

    async def leave_open(self, caller: Caller, platform: AnyPlatform, label: str, pending: Pending) -> ToChoose:
        """Keep what can be chosen. The caller has passed `may_connect`."""
        await self._pending.keep(caller.customer_id, platform.id, label, pending)
        await self._connections.leave_incomplete(caller, platform.id, pending.provider, label)
        return ToChoose(platform.id, label)

    async def choices(self, caller: Caller, platform: str, label: str) -> Sequence[Choice]:
        """What the person can choose from, with names fit to be shown; empty when there is nothing to choose, or not
        any more."""
        pending = await self._pending.of(caller.customer_id, platform, label)
        return [] if pending is None else [replace(one, name=printable(one.name, 200)) for one in pending.choices]

    async def choose(self, caller: Caller, platform: str, label: str, choice_id: str) -> Connection:
        """Link the account that the person chose.

        Raises:
            NotLinked: there is nothing to choose any more, or it is none of those.
            HermesError: as `Connections.connect`.
        """
        declared = self._connections.may_connect(caller, platform, label)
        pending = await self._pending.of(caller.customer_id, platform, label)
        if pending is None:
            raise nothing_to_choose()
        chosen = next((one for one in pending.choices if one.id == choice_id), None)
        if chosen is None:
            raise NotLinked("That is none of the accounts that you may use. Choose one of the list.")
        if pending.provider is None or pending.tokens is None:
            connection = await self._connections.connect(caller, platform, chosen.credentials, label)
        else:
            connect = way_in(declared, pending.provider)
            connection = await self._connections.connect_signed_in(
                caller, declared, connect, pending.tokens, chosen.credentials, label
            )
        await self._pending.forget(caller.customer_id, platform, label)
        return connection


def nothing_to_choose() -> NotLinked:
    """The refusal of a choice that is over."""
    return NotLinked("There is nothing to choose any more: the account was linked, or an hour has passed. Begin again.")


def way_in(platform: AnyPlatform, provider: str | None) -> OAuthConnect:
    """How an account is linked by signing in, at that vendor or the first.

    Raises:
        NotFound: it cannot be.
    """
    connect = platform.sign_in(provider)
    if connect is None:
        known = ", ".join(one.provider for one in platform.oauth)
        raise NotFound(
            f"{platform.title} accounts are linked by signing in with one of {known}."
            if known
            else f"{platform.title} accounts are not linked by signing in."
        )
    return connect
