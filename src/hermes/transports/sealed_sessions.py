"""`Mcp-Session-Id` without a session: the id itself says what its client can do, and any replica reads it.

Legacy clients say what they can do only once, at `initialize`. The one thing that we need to know of it later is
whether the client opens pages; only a client that does is given an id. An id counts for the credential it was given to
alone, and authenticates nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from hermes.crypto import Keyring, Undecryptable
from hermes.errors import NotFound
from hermes.identity.caller import Caller
from hermes.transports.connecting import opens_pages

HEADER: Final = "mcp-session-id"
SECONDS: Final = 24 * 3600
_LONGEST: Final = 1024


class SealedSessions:
    """Makes ids and reads them."""

    def __init__(self, keyring: Keyring, *, now: Callable[[], float] = time.time) -> None:
        """`now` gives seconds since 1970."""
        self._keyring = keyring
        self._now = now

    def begin(self, caller: Caller, capabilities: Any) -> str | None:
        """The id for a client that initializes with these capabilities; None when it needs none."""
        if not opens_pages(capabilities):
            return None
        return self._keyring.seal(str(int(self._now()) + SECONDS).encode(), _name(caller))

    def check(self, caller: Caller, session_id: str) -> None:
        """Accept an id of a client that opens pages.

        Raises:
            NotFound: it is none of ours, another caller's, or too old: the client initializes again.
        """
        try:
            if len(session_id) <= _LONGEST and int(self._keyring.open(session_id, _name(caller))) > self._now():
                return
        except Undecryptable:
            pass
        raise NotFound("This session is unknown or has ended; initialize again.")


def _name(caller: Caller) -> str:
    return f"mcp-session:{caller.customer_id}:{caller.via}:{caller.key_id}"
