"""Linking an account by signing in at its vendor (RFC 6749, 4.1): the way there, and back.

What is under way lies sealed in Redis under the customer's own name, so that any replica can go on with it, and nobody
but the person who began it: the answer of a vendor counts once, within ten minutes, in the session that asked for it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog
from redis.asyncio import Redis

from hermes.connections.choosing import Pending
from hermes.connections.models import Connection
from hermes.connections.names import printable
from hermes.connections.second_step import Choosing, NotLinked, ToChoose, way_in
from hermes.connections.service import Connections
from hermes.connections.vendor import VendorClient
from hermes.crypto import Keyring, Undecryptable
from hermes.errors import PlatformRejected
from hermes.identity.caller import Caller
from hermes.platforms.base import DEFAULT_ACCOUNT
from hermes.platforms.catalog import AnyPlatform
from hermes.platforms.oauth import OAuthConnect, Tokens
from hermes.settings import Settings

STATE_SECONDS: Final = 600
_STATE_BYTES: Final = 32
_VERIFIER_BYTES: Final = 48
_LONGEST: Final = 4096
_STATE: Final = "connect-state"
_SAID_NO: Final = frozenset({"access_denied", "user_denied", "user_cancelled_login", "user_cancelled_authorize"})

log = structlog.get_logger(__name__)


class SignInRefused(NotLinked):
    """Nothing was linked by signing in. `said_no`: the person did not allow it."""

    def __init__(self, message: str, *, said_no: bool = False) -> None:
        super().__init__(message)
        self.said_no = said_no


class SignInOfAnother(SignInRefused):
    """The vendor's answer belongs to a sign-in that another person began."""

    status = 403


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """What was begun: kept until the vendor's answer comes."""

    platform: str
    provider: str
    label: str
    session: str
    verifier: str


class SignIns:
    """Begins and finishes sign-ins. A caller is a person in a browser, and acts for themselves only."""

    def __init__(
        self,
        connections: Connections,
        vendor: VendorClient,
        choosing: Choosing,
        redis: Redis,
        keyring: Keyring,
        settings: Settings,
    ) -> None:
        self._connections = connections
        self._vendor = vendor
        self._choosing = choosing
        self._redis = redis
        self._keyring = keyring
        self._settings = settings

    def ways(self, platform: AnyPlatform) -> Sequence[OAuthConnect]:
        """How this platform's accounts can be linked by signing in on this server."""
        return [connect for connect in platform.oauth if connect.client(self._settings) is not None]

    async def begin(
        self, caller: Caller, platform: str, provider: str | None = None, label: str = DEFAULT_ACCOUNT
    ) -> str:
        """Where the person's browser goes to sign in.

        Args:
            caller: the person, by their session.
            platform: the platform's id.
            provider: at which of several vendors.
            label: the account's name among the customer's accounts on that platform.

        Raises:
            NotFound: no such platform, or its accounts are not linked by signing in.
            NotConnected: the vendor's app is not set up on this server.
            NotGranted: the plan or the session does not reach it.
            InvalidArguments: the label does not fit.
        """
        declared = self._connections.may_connect(caller, platform, label)
        connect = way_in(declared, provider)
        state, verifier = self._new_state(caller.customer_id), secrets.token_urlsafe(_VERIFIER_BYTES)
        location = self._vendor.authorize_location(
            connect, state=state, redirect_uri=self._redirect_uri(declared, connect), verifier=verifier
        )
        begun = [declared.id, connect.provider, label, caller.key_id, verifier]
        name = _state_name(caller.customer_id, state)
        await self._redis.set(name, self._keyring.seal(orjson.dumps(begun), name), ex=STATE_SECONDS)
        return location

    async def finish(self, caller: Caller, platform: str, answer: Mapping[str, str]) -> Connection | ToChoose:
        """Link the account with what the vendor sent the browser back with.

        Args:
            caller: the person, by their session: the one in which it was begun.
            platform: the platform's id, of the address that the browser came to.
            answer: the query: `state`, and `code` or `error`.

        Returns:
            The linked account, or what is to be chosen first.

        Raises:
            SignInOfAnother: another person began it; that person's trail says so.
            SignInRefused: nothing was linked; the message is for the person.
            HermesError: as `Connections.connect`, or the vendor could not be asked.
        """
        state = answer.get("state", "")
        await self._refuse_stranger(caller, platform, state)
        under_way = await self._take(caller.customer_id, state)
        if under_way is None or under_way.platform != platform or under_way.session != caller.key_id:
            if under_way is not None:
                await self._connections.not_linked(caller, under_way.platform, under_way.label)
            raise SignInRefused(
                "This sign-in was begun in another browser or more than ten minutes ago, or it was answered before. "
                "Begin it again."
            )
        declared = self._connections.may_connect(caller, platform, under_way.label)
        connect = way_in(declared, under_way.provider)
        code = answer.get("code", "").removesuffix("#_")  # Instagram's mark
        if not code or len(code) > _LONGEST:
            await self._connections.not_linked(caller, platform, under_way.label)
            raise _no_code(connect, answer.get("error"), answer.get("error_description"))
        try:
            tokens = await self._vendor.exchange(
                connect, code=code, redirect_uri=self._redirect_uri(declared, connect), verifier=under_way.verifier
            )
        except PlatformRejected as refused:
            await self._connections.not_linked(caller, platform, under_way.label)
            raise SignInRefused(refused.message) from None
        if connect.choices is None:
            fields = connect.credentials_of(tokens)
            return await self._connections.connect_signed_in(caller, declared, connect, tokens, fields, under_way.label)
        return await self._chosen(caller, declared, connect, tokens, under_way.label)

    async def _chosen(
        self, caller: Caller, platform: AnyPlatform, connect: OAuthConnect, tokens: Tokens, label: str
    ) -> Connection | ToChoose:
        found = await self._connections.accounts_of(caller, platform, connect, tokens, label)
        if not found:
            await self._connections.not_linked(caller, platform.id, label)
            raise SignInRefused(
                f"{connect.title} let you in, but shows no account there that this server may use for you. "
                + (connect.without_choice or "Look at which accounts you may manage, and allow access to one of them.")
                + " Then begin again."
            )
        if len(found) == 1:
            return await self._connections.connect_signed_in(
                caller, platform, connect, tokens, found[0].credentials, label
            )
        return await self._choosing.leave_open(caller, platform, label, Pending(connect.provider, tokens, found))

    def _new_state(self, customer_id: str) -> str:
        """A state that nobody can guess (RFC 6749, 10.12) and that only this server can read: it says who began."""
        return self._keyring.seal(orjson.dumps([customer_id, secrets.token_urlsafe(_STATE_BYTES)]), _STATE)

    async def _refuse_stranger(self, caller: Caller, platform: str, state: str) -> None:
        """Refuse the answer to a sign-in that somebody else began, and end that sign-in: its code is in wrong hands."""
        try:
            owner, _random = orjson.loads(self._keyring.open(state, _STATE)) if len(state) <= _LONGEST else (None, "")
        except Undecryptable:
            return
        if owner is None or owner == caller.customer_id:
            return
        under_way = await self._take(owner, state)
        label = DEFAULT_ACCOUNT if under_way is None else under_way.label
        await self._connections.refuse_stranger(owner, caller, platform, label)
        raise SignInOfAnother(
            "This sign-in was begun by another person, so nothing was linked here. If somebody sent you the address, "
            "do not go on. To connect an account of your own, begin here yourself."
        )

    async def _take(self, customer_id: str, state: str) -> _UnderWay | None:
        """What was begun with this state; it is gone afterwards, whatever comes of it."""
        name = _state_name(customer_id, state)
        sealed = await self._redis.getdel(name) if 0 < len(state) <= _LONGEST else None
        if sealed is None:
            return None
        try:
            return _UnderWay(*orjson.loads(await self._keyring.open_stored(str(sealed), name)))
        except Undecryptable as error:
            log.error("sign_in_does_not_open", reason=error.reason)
            return None

    def _redirect_uri(self, platform: AnyPlatform, connect: OAuthConnect) -> str:
        return self._settings.public_url + connect.callback(platform.id)


def _state_name(customer_id: str, state: str) -> str:
    return f"connect_state:{customer_id}:{hashlib.sha256(state.encode()).hexdigest()}"


def _no_code(connect: OAuthConnect, error: Any, described: Any) -> SignInRefused:
    if error in _SAID_NO:
        return SignInRefused(
            f"You did not allow access at {connect.title}, so nothing was linked. If that was a mistake, begin again.",
            said_no=True,
        )
    said = printable(f"{error or 'no answer'}: {described or ''}".strip(": "), 200)
    return SignInRefused(f"{connect.title} did not let this server in ({said}). Nothing was linked; begin again.")
