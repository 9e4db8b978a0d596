"""Tokens for codes, for refresh tokens, and for clients that sign in by themselves.

Sources: RFC 6749, 4.1.3, 4.4, 5 and 6; RFC 7636, 4.6; RFC 8707, 2.2; OAuth 2.1, 4.1.3 and 4.3.1.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.crypto import Keyring, Undecryptable
from hermes.identity.caller import Grants
from hermes.oauth.clients import Client
from hermes.oauth.errors import OAuthError
from hermes.oauth.grants import TokenAnswer, give_access, give_refresh, is_active, lock_chain, new_chain
from hermes.oauth.models import OAuthAuthorization, OAuthChain, OAuthCode, OAuthRefreshToken
from hermes.oauth.resources import Audience
from hermes.oauth.reuse import Reuse
from hermes.oauth.scopes import ScopeCatalogue
from hermes.oauth.secrets import CODE, REFRESH, digest, looks_like
from hermes.storage.sql import Database, rows_matched

GRACE: Final = timedelta(seconds=30)
"""How long a refresh token that was used gives the same successor again: the first answer may have been lost, and some
clients refresh in several processes at once."""

_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


class OAuthTokens:
    """Gives tokens to clients that have proved who they are."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        reuse: Reuse,
        scopes: ScopeCatalogue,
        audience: Audience,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._reuse = reuse
        self._scopes = scopes
        self._audience = audience
        self._clock = clock

    async def redeem(
        self, client: Client, code: str, verifier: str, redirect_uri: str | None, resources: Sequence[str]
    ) -> TokenAnswer:
        """Tokens for an authorization code. A code that comes a second time takes away what it gave.

        Args:
            verifier: of PKCE.
            redirect_uri: as in the authorization request; OAuth 2.1 clients do not send it.
            resources: the `resource` parameters; none are needed.

        Raises:
            OAuthError: `invalid_grant` or `invalid_target`.
        """
        found = await self._find_code(code) if looks_like(CODE, code) else None
        if found is None or found.client_id != client.id:
            raise _unknown("code")
        if found.chain_id is not None:
            await self._reuse.of_code(found.customer_id, found.chain_id, found.authorization_id)
            raise _used_twice("code")
        self._check_code(found, verifier, redirect_uri, resources)
        answer = await self._use_code(found.customer_id, found)
        if answer is None:  # somebody else used it meanwhile
            again = await self._find_code(code)
            if again is not None and again.chain_id is not None:
                await self._reuse.of_code(again.customer_id, again.chain_id, again.authorization_id)
            raise _used_twice("code")
        return answer

    async def refresh(self, client: Client, token: str, scope: str, resources: Sequence[str]) -> TokenAnswer:
        """Tokens for a refresh token, which is replaced by its successor. A token that comes again within `GRACE` gives
        the same successor; later, it ends its chain, for one of its two holders has stolen it.

        Args:
            scope: what the access token is to be able to do; nothing: all that the sign-in gave.
            resources: the `resource` parameters; none are needed.

        Raises:
            OAuthError: `invalid_grant`, `invalid_scope` or `invalid_target`.
        """
        found = await self._find_refresh(token) if looks_like(REFRESH, token) else None
        if found is None or found[1].client_id != client.id:
            raise _unknown("refresh token")
        row, chain = found
        if row.expires_at <= self._clock():
            raise OAuthError("invalid_grant", "The refresh token has expired; send the person to sign in again.")
        if not self._audience.accepts_all(resources):
            raise OAuthError("invalid_target", f"The only resource here is {self._audience.resource}.")
        grants = self._narrowed(Grants.parse(chain.grants), scope)
        answer = await self._rotate(row.customer_id, chain.id, token, grants)
        if answer is None:
            await self._reuse.of_refresh(row.customer_id, chain.id, chain.authorization_id)
            raise _used_twice("refresh token")
        return answer

    async def _find_code(self, code: str) -> OAuthCode | None:
        """For the house: a request brings a code, and whose that is must be found out."""
        async with self._database.reading() as session:
            return await session.get(OAuthCode, digest(code))

    async def _find_refresh(self, token: str) -> tuple[OAuthRefreshToken, OAuthChain] | None:
        """For the house: a request brings a token, and whose that is must be found out."""
        query = select(OAuthRefreshToken, OAuthChain).join(OAuthChain, OAuthRefreshToken.chain_id == OAuthChain.id)
        async with self._database.reading() as session:
            row = (await session.execute(query.where(OAuthRefreshToken.digest == digest(token)))).one_or_none()
        return None if row is None else (row[0], row[1])

    def _check_code(self, found: OAuthCode, verifier: str, redirect_uri: str | None, resources: Sequence[str]) -> None:
        if found.expires_at <= self._clock():
            raise OAuthError("invalid_grant", "The code has expired; send the person to sign in again.")
        if redirect_uri is not None and redirect_uri != found.redirect_uri:
            raise OAuthError("invalid_grant", "redirect_uri is not the one of the authorization request.")
        if not _fits(verifier, found.code_challenge):
            raise OAuthError("invalid_grant", "code_verifier does not fit the code_challenge of the request.")
        if not self._audience.accepts_all(resources):
            raise OAuthError("invalid_target", f"The code is for {found.resource} only.")

    async def _use_code(self, customer_id: str, code: OAuthCode) -> TokenAnswer | None:
        """The tokens; none if the code was used meanwhile."""
        now, grants = self._clock(), Grants.parse(code.grants)
        chain = new_chain(customer_id, code.authorization_id, code.client_id, code.resource, grants, now)
        mine = (OAuthCode.customer_id == customer_id, OAuthCode.digest == code.digest)
        async with self._database.session() as session:
            await _lock_authorization(session, customer_id, code.authorization_id)
            if not await is_active(session, customer_id):
                raise _not_active()
            claim = update(OAuthCode).where(*mine, OAuthCode.chain_id.is_(None)).values(chain_id=chain.id)
            if await rows_matched(session, claim) != 1:
                return None
            session.add(chain)
            await session.flush()
            answer = give_access(session, chain, grants, now)
            if not code.refreshable:
                return answer
            refresh = await give_refresh(session, customer_id, chain.id, now)
        return TokenAnswer(answer.access_token, answer.expires_in, answer.scope, refresh)

    def _narrowed(self, has: Grants, scope: str) -> Grants:
        asked = self._scopes.parse(scope)
        if asked.unknown or not has.covers(asked.grants):
            raise OAuthError(
                "invalid_scope", "The scope is more than the person agreed to; a refresh can only narrow it."
            )
        return asked.grants if asked.grants.pairs else has

    async def _rotate(self, customer_id: str, chain_id: str, token: str, grants: Grants) -> TokenAnswer | None:
        """The tokens; none if the refresh token was used too long ago."""
        now = self._clock()
        async with self._database.session() as session:
            chain = await lock_chain(session, customer_id, chain_id)
            if chain is None:
                raise _unknown("refresh token")
            if not await is_active(session, customer_id):
                raise _not_active()
            successor = await self._successor(session, customer_id, chain_id, token, now)
            if successor is None:
                return None
            answer = give_access(session, chain, grants, now)
        return TokenAnswer(answer.access_token, answer.expires_in, answer.scope, successor)

    async def _successor(
        self, session: AsyncSession, customer_id: str, chain_id: str, token: str, now: datetime
    ) -> str | None:
        name = digest(token)
        mine = (OAuthRefreshToken.customer_id == customer_id, OAuthRefreshToken.digest == name)
        row = (await session.scalars(select(OAuthRefreshToken).where(*mine))).one()
        if row.used_at is None:
            successor = await give_refresh(session, customer_id, chain_id, now)
            row.used_at = now
            row.sealed_successor = self._keyring.seal(successor.encode(), _sealed_name(name))
            return successor
        if row.sealed_successor is None or row.used_at < now - GRACE:
            return None
        try:
            return (await self._keyring.open_stored(row.sealed_successor, _sealed_name(name))).decode()
        except Undecryptable:  # its key was taken away just now, which is nobody's theft
            raise _unknown("refresh token") from None


async def _lock_authorization(session: AsyncSession, customer_id: str, authorization_id: str) -> None:
    """Keep it from being revoked until the transaction ends; revoking locks it before what belongs to it, too."""
    mine = (OAuthAuthorization.customer_id == customer_id, OAuthAuthorization.id == authorization_id)
    if (await session.scalars(select(OAuthAuthorization).where(*mine).with_for_update())).one_or_none() is None:
        raise _unknown("code")


def _fits(verifier: str, challenge: str) -> bool:
    """Whether the verifier is the one that was hashed (RFC 7636, 4.6)."""
    if _VERIFIER.fullmatch(verifier) is None:
        return False
    hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=")
    return hmac.compare_digest(hashed, challenge.encode("ascii"))


def _sealed_name(token_digest: str) -> str:
    return f"oauth:successor:{token_digest}"


def _unknown(what: str) -> OAuthError:
    return OAuthError("invalid_grant", f"The {what} is unknown, was revoked, or is another client's.")


def _used_twice(what: str) -> OAuthError:
    return OAuthError(
        "invalid_grant", f"The {what} was used before, so what it gave was revoked; send the person to sign in again."
    )


def _not_active() -> OAuthError:
    return OAuthError("invalid_grant", "The person's account is suspended, so nothing is given out for it.")
