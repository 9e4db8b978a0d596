"""Addresses that people give: checked, and in the two forms that headers and envelopes want."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.headerregistry import Address
from email.utils import formataddr

from email_validator import EmailNotValidError, validate_email

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MAX_GIVEN = 512


class AddressError(ValueError):
    """Not an address; the text says why, without quoting it."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One checked address.

    Attributes:
        name: the name beside it, may be empty.
        local: before the @; not ASCII only where the server must speak SMTPUTF8.
        domain: after the @, in ASCII.
    """

    name: str
    local: str
    domain: str

    @property
    def address(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def is_ascii(self) -> bool:
        return self.local.isascii()

    def for_header(self) -> Address:
        return Address(self.name, self.local, self.domain)

    def __str__(self) -> str:
        return formataddr((self.name, self.address)) if self.name.isascii() else f'"{self.name}" <{self.address}>'


def mailbox_address(text: str, name: str = "") -> Mailbox:
    """Check an address, with or without a name: `ada@example.com`, `Ada <ada@example.com>`.

    Args:
        text: what was given.
        name: the name to use when the text has none.

    Raises:
        AddressError: it is none.
    """
    text = text.strip()
    if _CONTROL.search(text) or _CONTROL.search(name) or len(text) > _MAX_GIVEN:
        raise AddressError("must be one address without control characters")
    try:
        checked = validate_email(text, check_deliverability=False, globally_deliverable=False, allow_display_name=True)
    except EmailNotValidError as error:
        problem = str(error)
    else:
        return Mailbox(checked.display_name or name, checked.ascii_local_part or checked.local_part, _domain(checked))
    raise AddressError(f"is not an email address such as ada@example.com ({problem.rstrip('.')})"[:300])


def _domain(checked: object) -> str:
    # The library leaves `ascii_email` empty when the local part is not ASCII, but always gives the domain's ASCII form.
    return str(getattr(checked, "ascii_domain", "")).lower()
