"""What has ended is deleted: codes, tokens, and sign-ins of which nothing works any more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import delete, update

from hermes.oauth.models import OAuthAccessToken, OAuthChain, OAuthCode, OAuthRefreshToken
from hermes.oauth.tokens import GRACE
from hermes.storage.sql import Database

_CODE_KEPT: Final = timedelta(days=1)
"""How long a code is remembered, so that a second use is noticed."""


class Expiry:
    """For the house: what is over by its own date is over for every customer."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._database = database
        self._clock = clock

    async def sweep(self) -> None:
        """Delete what has ended, each kind in a transaction of its own; and successors that nobody can ask for any
        more. Used refresh tokens stay as long as they would have lasted, so that their reuse is noticed."""
        now = self._clock()
        over = (
            update(OAuthRefreshToken)
            .where(OAuthRefreshToken.sealed_successor.is_not(None), OAuthRefreshToken.used_at < now - GRACE)
            .values(sealed_successor=None),
            delete(OAuthCode).where(OAuthCode.expires_at < now - _CODE_KEPT),
            delete(OAuthAccessToken).where(OAuthAccessToken.expires_at < now),
            delete(OAuthRefreshToken).where(OAuthRefreshToken.expires_at < now),
            delete(OAuthChain).where(OAuthChain.ends_at < now),
        )
        for statement in over:
            async with self._database.session() as session:
                await session.execute(statement)
