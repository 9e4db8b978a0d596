"""The browser in front of which a person sits, as far as signing in has to know it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from hermes.crypto import Keyring, Undecryptable
from hermes.identity.caller import Caller, Grants, Via
from hermes.identity.ids import new_id
from hermes.identity.models import Customer

_NAME: Final = "cookie device"


@dataclass(frozen=True, slots=True)
class Browser:
    """Who sends a form.

    Attributes:
        address: its IP address.
        client: what it says of itself (`User-Agent`).
        binding: what only this browser holds (its visitor cookie); a sign-in that was begun in another does not count.
        device: its device cookie (`Devices`), if it has one.
    """

    address: str
    client: str
    binding: str = field(repr=False)
    device: str | None = field(default=None, repr=False)


class Devices:
    """Device cookies: a browser in which a customer signed in before is known by one, and so is never kept out by the
    wrong guesses of strangers (throttle.py). The cookie signs nobody in."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def issue(self, customer_id: str) -> str:
        """A new cookie, for after a sign-in."""
        return self._keyring.seal(orjson.dumps({"customer": customer_id, "id": new_id("dev")}), _NAME)

    def known(self, customer_id: str, cookie: str | None) -> str | None:
        """The device's id, if the cookie was issued for this customer."""
        try:
            members: dict[str, Any] = orjson.loads(self._keyring.open(cookie or "", _NAME))
        except Undecryptable:
            return None
        return str(members["id"]) if members["customer"] == customer_id else None


def person(customer: Customer, browser: Browser, session_id: str = "browser") -> Caller:
    """The customer as they act on our pages: who did it, in the trail."""
    return Caller(
        kind="customer",
        customer_id=customer.id,
        via=Via.SESSION,
        key_id=session_id,
        grants=Grants.everything(),
        plan=customer.plan,
        role=customer.role,
        version=customer.version,
        client="".join(filter(str.isprintable, browser.client))[:200] or None,
        email=customer.email,
    )
