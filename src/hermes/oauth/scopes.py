"""Scopes, and the grants that they are: `telegram:read` … for one platform, `all:read` and `all:write` for every one.

`write` does not imply `read`; an umbrella covers the narrower. `offline_access` may be asked for and changes nothing:
whether there is a refresh token depends on what the client registered.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from hermes.identity.caller import Access, Grants

OFFLINE: Final = "offline_access"
UMBRELLAS: Final = ("all:read", "all:write")
BASELINE: Final = " ".join(UMBRELLAS)
"""What is asked for when a client asks for nothing in particular."""

ACCESSES: Final[tuple[Access, ...]] = ("read", "write")
_ALL = "all:"
_EVERY = "*:"


@dataclass(frozen=True, slots=True)
class AskedScopes:
    """What a `scope` parameter asks for.

    Attributes:
        grants: of the scopes that are known here.
        unknown: words that are no scope here.
        offline: whether `offline_access` is among them.
    """

    grants: Grants
    unknown: tuple[str, ...]
    offline: bool


class ScopeCatalogue:
    """The scopes that there are."""

    def __init__(self, platforms: Collection[str]) -> None:
        """
        Args:
            platforms: ids of the platforms.
        """
        self._platforms = sorted(platforms)
        narrow = [f"{platform}:{access}" for platform in self._platforms for access in ACCESSES]
        self.all: Final = (*UMBRELLAS, *narrow, OFFLINE)
        """Every scope, for the metadata."""
        self._known = frozenset((*UMBRELLAS, *narrow))

    def parse(self, text: str) -> AskedScopes:
        """Read a `scope` parameter: words with blanks between, in any order (RFC 6749, 3.3)."""
        words = dict.fromkeys(text.split())
        known = [word for word in words if word in self._known]
        unknown = tuple(word for word in words if word not in self._known and word != OFFLINE)
        return AskedScopes(grants_of(known), unknown, OFFLINE in words)

    def after(self, before: Grants, asked: Grants, given: Grants) -> Grants:
        """What is agreed to after `given` was answered to `asked`: what was asked and not given is taken away, what was
        not asked stays as it was `before`."""
        pairs: set[tuple[str, Access]] = set()
        for access in ACCESSES:
            every: set[tuple[str, Access]] = {(name, access) for name in self._platforms}
            declined = {pair for pair in every if asked.allow(*pair) and not given.allow(*pair)}
            kept = {pair for pair in before.pairs if pair[1] == access}
            if declined:
                kept = {pair for pair in every if before.allow(*pair)} - declined
            pairs |= kept | {pair for pair in given.pairs if pair[1] == access}
        return Grants(frozenset(pairs))


def grants_of(scopes: Collection[str]) -> Grants:
    """The grants that known scopes are.

    Raises:
        ValueError: a word that is no scope.
    """
    return Grants.parse(_EVERY + word.removeprefix(_ALL) if word.startswith(_ALL) else word for word in scopes)


def scope_text(grants: Grants) -> str:
    """The `scope` that names these grants, in a fixed order."""
    words = (_ALL + word.removeprefix(_EVERY) if word.startswith(_EVERY) else word for word in grants.words())
    return " ".join(sorted(words))
