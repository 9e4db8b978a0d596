"""Waiting for Meta to process what it was given, as long as the operator's settings allow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

from hermes.platforms.base import ApiContext, Setting
from hermes.settings import Settings, SettingsError

T = TypeVar("T")

_FIRST_SECONDS: Final = 0.5
_LAST_SECONDS: Final = 10.0


async def wait_for(
    look: Callable[[], Awaitable[T | None]], *, every: float, patience: float, deadline: float
) -> T | None:
    """Look until there is something to see; Meta tells of no event that could be awaited.

    Args:
        look: asks Meta; None means "not yet".
        every: seconds between two looks; the first ones come sooner, because small files are ready at once.
        patience: seconds after which it is given up.
        deadline: when the whole call ends (`loop.time()`); a few seconds are left for what is still to be said.

    Returns:
        What was seen, or None when patience ended first.
    """
    loop = asyncio.get_running_loop()
    left = deadline - loop.time()
    until = min(loop.time() + patience, deadline - min(_LAST_SECONDS, left / 4))
    pause = min(_FIRST_SECONDS, every)
    while (seen := await look()) is None:
        if loop.time() + pause > until:
            return None
        await asyncio.sleep(pause)
        pause = min(2 * pause, every)
    return seen


def number_setting(context: ApiContext, declared: Setting) -> float:
    """The value of a numeric setting, which `check_numbers` approved at start."""
    return float(context.setting(declared))


def check_numbers(settings: Settings, declared: Iterable[Setting]) -> None:
    """Refuse numeric settings that are none.

    Raises:
        SettingsError: names the setting and shows an example.
    """
    for one in declared:
        value = settings.environ.get(one.name) or one.default
        try:
            fits = float(value) > 0
        except ValueError:
            fits = False
        if not fits:
            raise SettingsError(f"{one.name}: must be a number above 0 (example: {one.name}={one.default})")
