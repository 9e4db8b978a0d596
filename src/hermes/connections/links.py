"""Links that lead a person from an assistant to our page where they link an account.

A link names the customer whose call needed the account, sealed, so that the page can refuse everybody else: with a link
of their own making, nobody can have their account linked by somebody else or somebody else's linked as theirs (MCP,
client/elicitation, "phishing"). It signs nobody in.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import orjson

from hermes.crypto import Keyring, Undecryptable

LINK_SECONDS: Final = 15 * 60
_NAME: Final = "connect-link"
_LONGEST: Final = 2048


class LinkUnusable(Exception):
    """A link is too old, or not one of ours."""


@dataclass(frozen=True, slots=True)
class ConnectLink:
    """What a link says.

    Attributes:
        customer_id: whose account is to be linked.
        platform: the platform's id.
        label: the account's label, if the call named one.
    """

    customer_id: str
    platform: str
    label: str | None = None


class ConnectLinks:
    """Makes links and opens them; any replica opens another's."""

    def __init__(self, keyring: Keyring, public_url: str, *, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since 1970."""
        self._keyring = keyring
        self._public_url = public_url
        self._clock = clock

    def url(self, customer_id: str, platform: str, label: str | None = None) -> str:
        """The address to open in a browser within `LINK_SECONDS`.

        Args:
            customer_id: who has to be signed in there.
            platform: the platform's id.
            label: the account's label, where it is not the first.
        """
        members = [customer_id, platform, label, int(self._clock()) + LINK_SECONDS]
        return f"{self._public_url}/connect/{platform}?link={self._keyring.seal(orjson.dumps(members), _NAME)}"

    def open(self, token: str) -> ConnectLink:
        """Read the `link` of an address.

        Raises:
            LinkUnusable: it is too old, changed, or no link at all.
        """
        try:
            if len(token) > _LONGEST:
                raise LinkUnusable("too long")
            customer_id, platform, label, ends = orjson.loads(self._keyring.open(token, _NAME))
        except Undecryptable as error:
            raise LinkUnusable(error.reason) from None
        if ends <= self._clock():
            raise LinkUnusable("too old")
        return ConnectLink(customer_id, platform, label)
