"""How often a password or code may be tried, so that guessing is hopeless and the owner still gets in.

Wrong and right tries count alike, in sliding windows that all replicas share:

    from a browser that knows the account (device cookie)   20 in 15 minutes, counted for this browser alone
    from another: per account and address                   10 in 15 minutes
                  per address, whatever the account         60 in 15 minutes
                  per account, from all unknown browsers    100 an hour

So a stranger who guesses uses up what strangers have. The owner is not in that count with a browser that they signed in
with before; with a new one, only if strangers have used up the account's hundred, and then the link of "forgot your
password" (which makes the browser that opens it a known one) still lets them in. An IPv6 address counts by its /64.
"""

from __future__ import annotations

from typing import Final

from hermes.crypto import Keyring
from hermes.errors import RateLimited
from hermes.identity.browsers import Browser, Devices
from hermes.storage.rates import Rate, Rates, household

_QUARTER: Final = 900
_KNOWN: Final = Rate("login.device", 20, _QUARTER)
_HERE: Final = Rate("login.account_address", 10, _QUARTER)
_ADDRESS: Final = Rate("login.address", 60, _QUARTER)
_ACCOUNT: Final = Rate("login.account", 100, 3600)
_MAILS_TO: Final = Rate("mail.to", 3, 3600)
_MAILS_FROM: Final = Rate("mail.address", 20, 3600)


class Throttle:
    """Counts tries."""

    def __init__(self, rates: Rates, keyring: Keyring) -> None:
        self._rates = rates
        self._keyring = keyring
        self._devices = Devices(keyring)

    async def try_account(self, account: str, customer_id: str | None, browser: Browser) -> None:
        """Count a try of a password or code.

        Args:
            account: the address in the form that is compared (`email_key`), whether or not there is such an account.
            customer_id: whose account it is; none if nobody's.

        Raises:
            RateLimited: there were too many; it says how the owner gets in.
        """
        device = self._devices.known(customer_id, browser.device) if customer_id is not None else None
        if device is not None:
            await self._take(_KNOWN, device)
            return
        name, here = self._keyring.digest("throttle", account.encode()), household(browser.address)
        await self._take(_ADDRESS, here)
        await self._take(_HERE, f"{name}:{here}")
        await self._take(_ACCOUNT, name)

    async def may_mail(self, address: str, browser: Browser) -> bool:
        """Count a mail that a stranger causes. False: this address got enough of them, so none is sent.

        Raises:
            RateLimited: the browser caused too many, whoever gets them.
        """
        await self._take(_MAILS_FROM, household(browser.address))
        try:
            await self._rates.take(_MAILS_TO, self._keyring.digest("throttle", address.encode()))
        except RateLimited:
            return False
        return True

    async def _take(self, rate: Rate, who: str) -> None:
        try:
            await self._rates.take(rate, who)
        except RateLimited as error:
            minutes = max(1, round((error.retry_after or 60) / 60))
            raise RateLimited(
                f"There were too many tries; wait {minutes} min, use a browser that you signed in with before, or have "
                "a link sent to you with “Forgot your password?”.",
                retry_after=error.retry_after,
                limited_by="sign_in",
            ) from None
