"""What is acceptable as an address, a plan, a name, a grant. Each refusal names the field and says what is allowed."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import NoReturn, TypeVar, cast

from email_validator import EmailNotValidError, validate_email

from hermes.errors import InvalidArguments, NotGranted
from hermes.identity.caller import Grants
from hermes.identity.models import PLAN_NAMES, ROLES, PlanName, Role

Word = TypeVar("Word", bound=str)

LONGEST_KEY_NAME = 64


def check_email(text: str) -> str:
    """The address in its normal form.

    Raises:
        InvalidArguments: it is no e-mail address.
    """
    try:
        return validate_email(text.strip(), check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        _refuse("email", f"is no e-mail address: {error}")


def email_key(address: str) -> str:
    """The form in which two addresses are compared: they are the same customer whatever the case of their letters."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", address.strip()).casefold())


def check_plan(text: str) -> PlanName:
    """The plan of that name.

    Raises:
        InvalidArguments: there is none.
    """
    return _one_of("plan", text, PLAN_NAMES)


def check_role(text: str) -> Role:
    """The role of that name.

    Raises:
        InvalidArguments: there is none.
    """
    return _one_of("role", text, ROLES)


def check_key_name(text: str) -> str:
    """The name of a key, without blanks around it.

    Raises:
        InvalidArguments: it is empty, too long, or has characters that are not shown.
    """
    name = unicodedata.normalize("NFC", text.strip())
    if not 1 <= len(name) <= LONGEST_KEY_NAME or not name.isprintable():
        _refuse("name", f"must be 1 to {LONGEST_KEY_NAME} printable characters")
    return name


def check_grants(words: Iterable[str], platforms: Collection[str]) -> Grants:
    """The grants that the words name.

    Raises:
        InvalidArguments: there are none, one is of another form, or one names a platform that is not there.
    """
    try:
        grants = Grants.parse(words)
    except ValueError as error:
        _refuse("grants", str(error))
    unknown = sorted({platform for platform, _ in grants.pairs} - {*platforms, "*"})
    if unknown:
        _refuse("grants", f"{unknown[0]!r} is no platform; there are {', '.join(sorted(platforms))}, and * for all")
    if not grants.pairs:
        _refuse("grants", "must name at least one, e.g. telegram:read; leave it away for everything")
    return grants


def require_covered(holder: Grants, asked: Grants, action: str) -> None:
    """Check that the holder has all of the asked grants.

    Raises:
        NotGranted: it lacks one.
    """
    lacking = sorted(f"{platform}:{access}" for platform, access in asked.pairs if not holder.allow(platform, access))
    if lacking:
        raise NotGranted(
            f"Your key cannot {action} a key with {', '.join(lacking)}, which it lacks itself; use one that has them.",
            lacking=lacking,
        )


def _one_of(field: str, text: str, allowed: Sequence[Word]) -> Word:
    if text not in allowed:
        _refuse(field, f"must be one of {', '.join(allowed)}")
    return cast(Word, text)


def _refuse(field: str, problem: str) -> NoReturn:
    raise InvalidArguments(f"{field}: {problem}.", fields=[{"field": field, "problem": problem}])
