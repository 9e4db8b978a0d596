"""Second factors as a service: codes, replays, rotation of the key that they are sealed with."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pyotp.totp import TOTP

from hermes.crypto import Keyring
from hermes.errors import Conflict, InvalidArguments
from hermes.identity.second_factor import SEAL, SecondFactors
from hermes.keys.seals import move_seal

pytestmark = pytest.mark.storage

OLD, NEW = b"k" * 32, b"n" * 32


@pytest.fixture
async def ada(identity: Any) -> str:
    return str((await identity.customers.create("ada@example.com")).row.id)


@pytest.fixture
def factors(identity: Any) -> SecondFactors:
    return SecondFactors(identity.database, Keyring(OLD), now=identity.clock)


async def add(identity: Any, factors: SecondFactors, customer_id: str) -> tuple[TOTP, list[str]]:
    totp = TOTP((await factors.start(customer_id, "ada@example.com")).secret)
    async with identity.database.session() as session:
        codes = await factors.confirm(customer_id, session, totp.at(int(identity.clock.now)))
    return totp, codes


async def test_codes_of_the_steps_beside_the_present_one_are_taken_and_no_others(
    identity: Any, ada: str, factors: SecondFactors
) -> None:
    totp, _ = await add(identity, factors, ada)
    identity.clock.now += 300
    now = int(identity.clock.now)
    for offset, taken in (
        (-2, False),
        (2, False),
        (-1, True),
        (-1, False),
        (0, True),
        (-1, False),
        (1, True),
        (0, False),
    ):
        assert await factors.check(ada, totp.at(now, counter_offset=offset)) is taken, offset


async def test_of_many_who_bring_one_code_at_once_one_gets_in(identity: Any, ada: str, factors: SecondFactors) -> None:
    totp, codes = await add(identity, factors, ada)
    identity.clock.now += 60
    code = totp.at(int(identity.clock.now))
    assert sum(await asyncio.gather(*(factors.check(ada, code) for _ in range(8)))) == 1
    assert sum(await asyncio.gather(*(factors.check(ada, codes[0]) for _ in range(8)))) == 1


@pytest.mark.parametrize("odd", ["", " ", "\x00", "１２３４５６", "\ud800", "0" * 10_000, "12345", "-000001"])
async def test_odd_codes_are_wrong(identity: Any, ada: str, factors: SecondFactors, odd: str) -> None:
    await add(identity, factors, ada)
    assert await factors.check(ada, odd) is False


async def test_codes_of_others_are_wrong(identity: Any, ada: str, factors: SecondFactors) -> None:
    eve = str((await identity.customers.create("eve@example.com")).row.id)
    totp, codes = await add(identity, factors, ada)
    await add(identity, factors, eve)
    identity.clock.now += 60
    assert await factors.check(eve, codes[0]) is False
    assert await factors.check(eve, totp.at(int(identity.clock.now))) is False
    assert await factors.check("cus_nobody", codes[0]) is False


async def test_a_wrong_first_code_adds_nothing(identity: Any, ada: str, factors: SecondFactors) -> None:
    await factors.start(ada, "ada@example.com")
    async with identity.database.session() as session:
        with pytest.raises(InvalidArguments):
            await factors.confirm(ada, session, "000000")
    assert not (await factors.state(ada)).on
    await add(identity, factors, ada)
    with pytest.raises(Conflict):
        await factors.start(ada, "ada@example.com")


async def test_the_key_is_rotated_and_what_does_not_open_is_named(
    identity: Any, ada: str, factors: SecondFactors
) -> None:
    totp, _ = await add(identity, factors, ada)
    eve = str((await identity.customers.create("eve@example.com")).row.id)
    await add(identity, SecondFactors(identity.database, Keyring(b"x" * 32), now=identity.clock), eve)
    both = Keyring(NEW, [OLD])
    assert (await move_seal(identity.database, both, SEAL, dry_run=True)).done == 1
    report = await move_seal(identity.database, both, SEAL)
    assert (report.done, [item.id for item in report.unreadable], report.remaining) == (1, [eve], 0)
    assert (await move_seal(identity.database, both, SEAL)).done == 0
    identity.clock.now += 60
    only_new = SecondFactors(identity.database, Keyring(NEW), now=identity.clock)
    assert await only_new.check(ada, totp.at(int(identity.clock.now)))
