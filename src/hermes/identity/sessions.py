"""Sessions: a signed-in person's browser or program.

A session is a row, and a JWT that names it (RFC 7519; HS256 under JWT_SECRET, RFC 7518, section 3.2): cookie `session`
or bearer token, on `/api/*` and the pages only. The JWT proves which session it is and nothing more: whether it still
lasts, the plan, the role and whether the customer is suspended are read like those of an API key (known_callers.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.errors import NotAuthenticated, NotFound, NotGranted, Suspended
from hermes.identity.actions import ActionAudit, audit_action
from hermes.identity.caller import Caller, Grants, Via
from hermes.identity.changes import CustomerChanges
from hermes.identity.ids import new_id
from hermes.identity.known_callers import KnownCallers
from hermes.identity.models import Customer, Session
from hermes.identity.readers import Read, known_of, not_used_since
from hermes.settings import Settings, SettingsError
from hermes.storage.sql import Database, rows_matched

LIFETIME: Final = timedelta(days=7)
LONGEST_CLIENT: Final = 200
_EVERYTHING: Final = tuple(Grants.everything().words())
_ALGORITHMS: Final = ["HS256"]
_DOTS: Final = 2
_KEPT: Final = timedelta(days=30)
"""How long an ended session's row is kept."""


class SessionReader:
    """Reads sessions for `KnownCallers`; their name is their id, which the JWT's signature vouches for."""

    via = Via.SESSION

    def __init__(self, database: Database, public_url: str) -> None:
        self._database = database
        self._public_url = public_url

    async def named(self, name: str) -> Read | None:
        """For the house: whose session it is must be found out; `Sessions.verify` compares that with the JWT."""
        return await self._read(Session.id == name)

    async def numbered(self, customer_id: str, key_id: str) -> Read | None:
        return await self._read(Session.customer_id == customer_id, Session.id == key_id)

    async def note_use(self, customer_id: str, key_id: str) -> None:
        now = datetime.now(UTC)
        mine = (Session.customer_id == customer_id, Session.id == key_id, not_used_since(Session.last_used_at, now))
        async with self._database.session() as session:
            await session.execute(update(Session).where(*mine).values(last_used_at=now))

    def refusal(self) -> NotAuthenticated:
        return NotAuthenticated(f"This session has ended; sign in again at {self._public_url}/login.", reason="invalid")

    async def _read(self, *which: ColumnElement[bool]) -> Read | None:
        """For the house: both ways of asking end here."""
        query = select(Session, Customer).join(Customer, Session.customer_id == Customer.id).where(*which)
        async with self._database.reading() as session:
            row = (await session.execute(query)).one_or_none()
        if row is None:
            return None
        mine, customer = row
        known = known_of(customer, Via.SESSION, mine.id, _EVERYTHING, client=mine.client, expires_at=mine.expires_at)
        return Read(mine.id, known, mine.ended_at is not None, mine.last_used_at)


class Sessions:
    """Begins, knows and ends sessions. A verifier (authenticate.py) for their JWTs."""

    credentials = frozenset({"bearer", "cookie"})
    surfaces = frozenset({"api"})

    def __init__(
        self,
        database: Database,
        changes: CustomerChanges,
        known: KnownCallers,
        settings: Settings,
        audit: ActionAudit,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            now: seconds since 1970.

        Raises:
            SettingsError: JWT_SECRET is not set.
        """
        if settings.jwt_secret is None:
            raise SettingsError("JWT_SECRET is not set (example: the output of `hermes keys generate`)")
        self._database = database
        self._changes = changes
        self._known = known
        self._issuer = settings.public_url
        self._key = OctKey.import_key(settings.jwt_secret.get_secret_value())
        self._audit = audit
        self._now = now
        self._reader = SessionReader(database, settings.public_url)
        known.register(self._reader)

    async def begin(self, customer_id: str, *, client: str) -> str:
        """Sign the customer in. Whoever holds the answer is the customer for seven days, unless the session is ended.

        Args:
            client: what the browser or program says of itself; the first 200 characters are kept.

        Returns:
            The JWT.

        Raises:
            NotFound: there is no such customer.
        """
        begun = datetime.fromtimestamp(self._now(), UTC)
        row = Session(
            id=new_id("ses"),
            customer_id=customer_id,
            client="".join(filter(str.isprintable, client))[:LONGEST_CLIENT],
            created_at=begun,
            last_used_at=begun,
            expires_at=begun + LIFETIME,
            ended_at=None,
        )
        async with self._database.session() as session:
            customer = await session.get(Customer, customer_id)
            if customer is None:
                raise NotFound("This customer is no longer there.")
            session.add(row)
        who = known_of(customer, Via.SESSION, row.id, _EVERYTHING, client=row.client).caller(row.id)
        await audit_action(self._audit, customer_id, who, "session.begin", session=row.id)
        return self._sign(customer, row)

    async def verify(self, token: str) -> Caller | None:
        """The customer whose session the JWT names; none if the text is no JWT.

        Raises:
            NotAuthenticated: it is forged, was not made here, has expired, or the session was ended.
            Suspended: the customer is suspended.
        """
        if token.count(".") != _DOTS:
            return None
        claims = self._claims(token)
        caller = await self._known.recognise(Via.SESSION, claims["sid"])
        if caller.customer_id != claims["sub"]:
            raise self._reader.refusal()
        return caller

    async def of_browser(self, token: str) -> Caller | None:
        """The same for a page, where nobody is signed in with a session that does not count any more. A suspended
        customer is told so when they sign in, and may sign in as somebody else."""
        try:
            return await self.verify(token)
        except (NotAuthenticated, Suspended):
            return None

    async def end(self, customer_id: str, session_id: str, *, by: Caller) -> None:
        """End one session. Effective everywhere within five seconds. Ending it again changes nothing.

        Raises:
            NotFound: the customer has no such session.
            NotGranted: it is ended with a key that has not all grants, which a session has.
        """
        _require_everything(by)
        mine = (Session.customer_id == customer_id, Session.id == session_id)
        now = datetime.fromtimestamp(self._now(), UTC)
        end = update(Session).where(*mine).values(ended_at=func.coalesce(Session.ended_at, now))
        async with self._changes.change(customer_id) as session:
            known = await rows_matched(session, end)
        if not known:
            raise NotFound("There is no such session; the list of sessions shows those that there are.")
        await audit_action(self._audit, customer_id, by, "session.end", session=session_id)

    async def end_all(self, customer_id: str, *, by: Caller, but: str | None = None) -> None:
        """Sign the customer out everywhere. Effective within five seconds.

        Args:
            but: the id of a session that goes on.

        Raises:
            NotGranted: as `end`.
        """
        _require_everything(by)
        async with self._changes.change(customer_id) as session:
            await self.end_within(customer_id, session, but=but)
        await audit_action(self._audit, customer_id, by, "session.end_all", kept=but or "none")

    async def end_within(self, customer_id: str, session: AsyncSession, *, but: str | None = None) -> None:
        """The same within a transaction of `CustomerChanges.change`, which audits for itself."""
        mine = (Session.customer_id == customer_id, Session.id != (but or ""), Session.ended_at.is_(None))
        await session.execute(update(Session).where(*mine).values(ended_at=datetime.fromtimestamp(self._now(), UTC)))

    async def list(self, customer_id: str) -> list[Session]:
        """The customer's sessions that still last, the newest first."""
        lasting = (Session.ended_at.is_(None), Session.expires_at > datetime.fromtimestamp(self._now(), UTC))
        query = select(Session).where(Session.customer_id == customer_id, *lasting).order_by(Session.id.desc())
        async with self._database.reading() as session:
            return list(await session.scalars(query))

    async def purge(self) -> None:
        """For the house: delete sessions that ended by themselves a month ago, or earlier."""
        async with self._database.session() as session:
            before = datetime.fromtimestamp(self._now(), UTC) - _KEPT
            await session.execute(delete(Session).where(Session.expires_at < before))

    def _sign(self, customer: Customer, row: Session) -> str:
        claims = {
            "iss": self._issuer,
            "sub": customer.id,
            "email": customer.email,
            "plan": customer.plan,
            "role": customer.role,
            "sid": row.id,
            "iat": int(row.created_at.timestamp()),
            "exp": int(row.expires_at.timestamp()),
        }
        return jwt.encode({"alg": "HS256"}, claims, self._key, algorithms=_ALGORITHMS)

    def _claims(self, token: str) -> dict[str, Any]:
        required: jwt.ClaimsOption = {"essential": True}
        rules = jwt.JWTClaimsRegistry(
            now=lambda: int(self._now()),
            iss={"essential": True, "value": self._issuer},
            sub=required,
            sid=required,
            exp=required,
        )
        try:
            claims = jwt.decode(token, self._key, algorithms=_ALGORITHMS).claims
            rules.validate(claims)
        except (JoseError, ValueError, TypeError):
            raise self._reader.refusal() from None
        if not isinstance(claims["sid"], str):
            raise self._reader.refusal()
        return claims


def _require_everything(by: Caller) -> None:
    if by.grants != Grants.everything():
        raise NotGranted("Your key has only part of the grants, so it cannot end sessions; use one that has them all.")
