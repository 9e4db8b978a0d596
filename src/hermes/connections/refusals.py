"""What is said of accounts that cannot be linked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hermes.connections.names import printable
from hermes.connections.rows import RoutingTaken
from hermes.errors import Conflict, InvalidArguments
from hermes.platforms.catalog import AnyPlatform
from hermes.platforms.oauth import Choice
from hermes.platforms.pasting import FieldChoices

_LISTED: Final = 50
"""More than these are not named; who has that many knows where to look an id up."""


def several_found(platform: AnyPlatform, choices: FieldChoices, found: Sequence[Choice]) -> InvalidArguments:
    """The refusal that lists the accounts, of which one has to be named."""
    field = choices.alias(platform.credentials)
    listed = [{"id": one.id, "name": printable(one.name, 200)} for one in found[:_LISTED]]
    named = "; ".join(f"{one['id']} ({one['name']})" for one in listed)
    more = f"; and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return InvalidArguments(
        f"These {platform.title} credentials reach several accounts, and nothing was stored. Say which one is meant "
        f"with `{field}`: {named}{more}.",
        fields=[{"field": field, "problem": f"must be one of {', '.join(one['id'] for one in listed)}{more}"}],
        choices=listed,
    )


def none_found(platform: AnyPlatform, choices: FieldChoices) -> InvalidArguments:
    """The refusal when there is no account to link."""
    return InvalidArguments(
        f"{platform.title} accepts these credentials, but there is nothing to link: {choices.without_choice}. Then "
        "connect again.",
        fields=[{"field": choices.alias(platform.credentials), "problem": choices.without_choice}],
    )


def taken_elsewhere(platform: AnyPlatform, taken: RoutingTaken) -> Conflict:
    """The refusal of a routing id that another account holds."""
    if taken.label is not None:
        return Conflict(
            f"This {platform.title} number is already linked as your account {taken.label!r}. Connect it again under "
            "that label, or disconnect that account first.",
            platform=platform.id,
            account=taken.label,
        )
    return Conflict(
        f"This {platform.title} number is already linked elsewhere on this server. Disconnect it there first, or ask "
        "the operator of this server to release it.",
        platform=platform.id,
    )
