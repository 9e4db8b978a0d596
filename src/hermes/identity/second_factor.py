"""The second factor: an authenticator app (TOTP, RFC 6238) and recovery codes for when it is lost."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import pyotp
from pyotp.totp import TOTP
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.crypto import Keyring
from hermes.errors import Conflict, InvalidArguments
from hermes.identity.api_key import digest_of
from hermes.identity.models import RecoveryCode, SecondFactor
from hermes.keys.seals import Seal
from hermes.storage.sql import Database, rows_matched

ISSUER: Final = "SquareMCP"
RECOVERY_CODES: Final = 10
_STEP: Final = 30
_NEAR: Final = (0, -1, 1)
"""Steps beside the present one whose codes are taken, for clocks that differ (RFC 6238, section 5.2)."""
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS: Final = 4
_GROUP: Final = 4  # 31 ** 16: 79 random bits, so a plain hash is enough


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the app is to be told: as text, and as a QR code (an SVG in a `data:` URI)."""

    secret: str = field(repr=False)
    qr: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FactorState:
    """Whether a code is asked for at sign-in, and how many recovery codes are left."""

    on: bool
    codes_left: int


class SecondFactors:
    """Adds, checks and removes second factors."""

    def __init__(self, database: Database, keyring: Keyring, *, now: Callable[[], float] = time.time) -> None:
        """
        Args:
            now: seconds since 1970.
        """
        self._database = database
        self._keyring = keyring
        self._now = now

    async def state(self, customer_id: str) -> FactorState:
        """How the customer's second factor stands."""
        unused = (RecoveryCode.customer_id == customer_id, RecoveryCode.used_at.is_(None))
        async with self._database.reading() as session:
            factor = await session.get(SecondFactor, customer_id)
            left = await session.scalar(select(func.count()).select_from(RecoveryCode).where(*unused))
        return FactorState(factor is not None and factor.confirmed_at is not None, left or 0)

    async def start(self, customer_id: str, email: str) -> Enrolment:
        """Make a new secret for an app. It is asked for once `confirm` has seen a code of it.

        Raises:
            Conflict: there is an app already.
        """
        secret = pyotp.random_base32()
        row = SecondFactor(
            customer_id=customer_id,
            sealed_secret=self._keyring.seal(secret.encode(), factor_name(customer_id)),
            last_step=0,
            created_at=self._moment(),
            confirmed_at=None,
        )
        async with self._database.session() as session:
            if await self._confirmed(customer_id, session) is not None:
                raise Conflict("There is an authenticator app already; remove it first.")
            await session.execute(delete(SecondFactor).where(SecondFactor.customer_id == customer_id))
            session.add(row)
        return _enrolment(secret, email)

    async def pending(self, customer_id: str, email: str) -> Enrolment | None:
        """What `start` gave, as long as it is not confirmed."""
        async with self._database.reading() as session:
            row = await session.get(SecondFactor, customer_id)
        if row is None or row.confirmed_at is not None:
            return None
        return _enrolment(await self._secret(row), email)

    async def confirm(self, customer_id: str, session: AsyncSession, code: str) -> list[str]:
        """Ask for the app's codes from now on, within a transaction.

        Returns:
            The recovery codes, to be shown this once.

        Raises:
            InvalidArguments: the code is not one that the app shows now.
            Conflict: no app is being added.
        """
        row = await session.get(SecondFactor, customer_id)
        if row is None or row.confirmed_at is not None:
            raise Conflict("No authenticator app is being added; begin again on the account page.")
        if not await self._take_code(customer_id, session, row, code):
            raise _wrong_code()
        row.confirmed_at = self._moment()
        return await self.renew_recovery_codes(customer_id, session)

    async def check(self, customer_id: str, code: str) -> bool:
        """Whether the code is one that the app shows now, or a recovery code; either counts once."""
        async with self._database.session() as session:
            row = await self._confirmed(customer_id, session)
            if row is None:
                return False
            return await self._take_code(customer_id, session, row, code) or await self._take_recovery_code(
                customer_id, session, code
            )

    async def remove(self, customer_id: str, session: AsyncSession) -> None:
        """Ask for no code any more, within a transaction."""
        await session.execute(delete(SecondFactor).where(SecondFactor.customer_id == customer_id))
        await session.execute(delete(RecoveryCode).where(RecoveryCode.customer_id == customer_id))

    async def renew_recovery_codes(self, customer_id: str, session: AsyncSession) -> list[str]:
        """Replace the recovery codes, within a transaction; the new ones are to be shown this once."""
        await session.execute(delete(RecoveryCode).where(RecoveryCode.customer_id == customer_id))
        codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
        session.add_all(
            RecoveryCode(customer_id=customer_id, digest=_digest(customer_id, code), used_at=None) for code in codes
        )
        return codes

    async def _confirmed(self, customer_id: str, session: AsyncSession) -> SecondFactor | None:
        row = await session.get(SecondFactor, customer_id)
        return row if row is not None and row.confirmed_at is not None else None

    async def _take_code(self, customer_id: str, session: AsyncSession, row: SecondFactor, code: str) -> bool:
        totp, given = TOTP(await self._secret(row), interval=_STEP), "".join(code.split()).encode("utf-8", "replace")
        now = int(self._now())
        for offset in _NEAR:
            if hmac.compare_digest(totp.at(now, counter_offset=offset).encode(), given):
                step = now // _STEP + offset
                newer = (SecondFactor.customer_id == customer_id, SecondFactor.last_step < step)
                return await rows_matched(session, update(SecondFactor).where(*newer).values(last_step=step)) == 1
        return False

    async def _take_recovery_code(self, customer_id: str, session: AsyncSession, code: str) -> bool:
        unused = (
            RecoveryCode.customer_id == customer_id,
            RecoveryCode.digest == _digest(customer_id, code),
            RecoveryCode.used_at.is_(None),
        )
        return await rows_matched(session, update(RecoveryCode).where(*unused).values(used_at=self._moment())) == 1

    async def _secret(self, row: SecondFactor) -> str:
        return (await self._keyring.open_stored(row.sealed_secret, factor_name(row.customer_id))).decode()

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)


def factor_name(customer_id: str) -> str:
    """The name under which a customer's secret is sealed."""
    return f"second_factors:{customer_id}"


SEAL: Final = Seal(
    "second factors",
    SecondFactor.customer_id,
    SecondFactor.sealed_secret,
    lambda row: factor_name(row.customer_id),
    "those customers sign in with a recovery code and set up their authenticator app again",
)


def _enrolment(secret: str, email: str) -> Enrolment:
    import segno  # noqa: PLC0415  (at first use: few processes ever draw a code)

    uri = TOTP(secret, interval=_STEP).provisioning_uri(name=email, issuer_name=ISSUER)
    return Enrolment(secret, segno.make(uri, error="m", micro=False).svg_data_uri(scale=5, border=4, light="#fff"))


def _recovery_code() -> str:
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))


def _digest(customer_id: str, code: str) -> str:
    plain = "".join(letter for letter in code.lower() if letter.isalnum())
    return digest_of(f"{customer_id}:{plain}").hex()


def _wrong_code() -> InvalidArguments:
    problem = "is not the one that the app shows now"
    return InvalidArguments(f"The code {problem}; try the next one.", fields=[{"field": "code", "problem": problem}])
