"""Linking an account by pasting credentials, when they do not say which of several accounts is meant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hermes.platforms.base import ApiContext, Credentials
from hermes.platforms.oauth import Choice


@dataclass(frozen=True, slots=True)
class FieldChoices:
    """A field that may be left out: the vendor is asked which accounts the rest reaches. Of several, one is chosen.

    Attributes:
        field: its name in the platform's credentials; what is kept always has it.
        rest: the credentials without it.
        find: the accounts that the rest reaches, each with whole credentials.
        hint: for the form: what leaving it out does.
        without_choice: what the person does at the vendor when the rest reaches none.
    """

    field: str
    rest: type[Credentials]
    find: Callable[[ApiContext, Any], Awaitable[list[Choice]]]
    hint: str
    without_choice: str

    def alias(self, credentials: type[Credentials]) -> str:
        """The field's name as programs and the documentation write it."""
        return credentials.model_fields[self.field].alias or self.field

    def are_open(self, credentials: type[Credentials], given: Mapping[str, Any]) -> bool:
        """Whether what was pasted leaves the field out."""
        return all(given.get(name) is None for name in (self.field, self.alias(credentials)))
