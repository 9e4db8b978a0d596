"""What Discord's error codes mean.

Source: https://discord.com/developers/docs/topics/opcodes-and-status-codes#json and …/topics/rate-limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from hermes.errors import (
    HermesError,
    InvalidArguments,
    NeedsReconnect,
    NotFound,
    PayloadTooLarge,
    PlatformRejected,
    RateLimited,
)
from hermes.platforms.refusals import Refusal

INVALID_FORM: Final = 50035
"""Carries `errors`: a tree by field whose leaves are `_errors`."""

UNCLEAR: Final = frozenset({130000})
"""Overloaded: does not say whether anything was done."""

_TOKEN = Refusal(
    NeedsReconnect,
    "The bot's token was reset or is not one: take the present one from the developer portal (Bot, Reset Token) and "
    "link it.",
)
_PERMISSION = "Somebody who manages that server has to give the bot's role this right there: "
_SEE = Refusal(PlatformRejected, f"{_PERMISSION}View Channel, and to read, Read Message History.")
_HELD_BACK = Refusal(PlatformRejected, "The server's rules or Discord hold this text back: change it.")
_SLOW = Refusal(RateLimited, "Wait as long as Discord asks, then try again.")

REFUSALS: Final[dict[int, Refusal]] = {
    40001: _TOKEN,
    50014: _TOKEN,
    50025: _TOKEN,
    10003: Refusal(NotFound, "Check channel_id with discord_get_channels; the bot must be in that server."),
    10004: Refusal(NotFound, "Check guild_id with discord_get_guilds; the bot must be in that server."),
    10008: Refusal(NotFound, "That message is not in that channel, or was deleted."),
    10013: Refusal(NotFound, "There is no such user."),
    20016: _SLOW,
    20022: _SLOW,
    20028: _SLOW,
    20029: _SLOW,
    40003: _SLOW,
    40062: _SLOW,
    31001: _SLOW,
    31002: _SLOW,
    110000: Refusal(RateLimited, "Discord is still preparing this; try again shortly.", retry_after=5),
    20001: Refusal(PlatformRejected, "Bots cannot do this."),
    20009: Refusal(PlatformRejected, "Explicit content cannot be sent to that recipient."),
    40002: Refusal(PlatformRejected, "The account has to be verified at Discord first."),
    40005: Refusal(PayloadTooLarge, "Send something smaller."),
    50045: Refusal(PayloadTooLarge, "Send something smaller."),
    40007: Refusal(PlatformRejected, "The bot is banned there; only that server's moderators can change that."),
    40333: Refusal(PlatformRejected, "Discord's front server blocked this; the operator of this gateway has to look."),
    50001: _SEE,
    50007: Refusal(PlatformRejected, "That person does not take messages from this bot; only they can change that."),
    50009: Refusal(PlatformRejected, "The server's verification level is too high for this account."),
    50013: Refusal(PlatformRejected, f"{_PERMISSION}Send Messages (or …in Threads), and Embed Links for embeds."),
    50083: Refusal(PlatformRejected, "That thread is archived: somebody has to open it again first."),
    160002: Refusal(PlatformRejected, f"{_PERMISSION}Read Message History, without which it cannot reply."),
    160014: Refusal(PlatformRejected, "A message that the bot cannot read cannot be forwarded."),
    200000: _HELD_BACK,
    200001: _HELD_BACK,
    240000: _HELD_BACK,
    50006: Refusal(InvalidArguments, "must hold something that is visible, or embeds must be given", "content"),
    50008: Refusal(
        InvalidArguments,
        "must be a channel that takes messages: not a category, and in a forum one of its threads",
        "channel_id",
    ),
    50024: Refusal(InvalidArguments, "must be a channel of a kind that allows this", "channel_id"),
    50033: Refusal(InvalidArguments, "Correct the recipient and try again."),
    50034: Refusal(InvalidArguments, "The messages asked for are too old for this."),
    50109: Refusal(InvalidArguments, "Correct what is named here and try again."),
    INVALID_FORM: Refusal(InvalidArguments, "Correct what is named here and try again."),
    30046: Refusal(RateLimited, "Too many edits of an old message; wait an hour.", retry_after=3600),
}  # fmt: skip

OTHER: Final = Refusal(PlatformRejected, "Change the request before trying it again.")

_BY_STATUS: Final[dict[int, Refusal]] = {
    401: _TOKEN,
    404: Refusal(NotFound, "Check the ids; discord_get_guilds and discord_get_channels show what the bot can see."),
    413: REFUSALS[40005],
    429: _SLOW,
}

_ARGUMENTS: Final = {"message_reference": "reply_to_message_id", "allowed_mentions": "mention"}
"""Discord's field → the tool's argument, where they differ."""


def refusal_error(
    status: int, code: int | None, message: str, *, errors: Any = None, retry_after: float | None = None
) -> HermesError:
    """The error for a clear refusal.

    Args:
        status: the HTTP status, which decides when the code is missing, 0 or unknown.
        code: Discord's JSON error code.
        message: Discord's own words.
        errors: the tree that comes with an invalid form.
        retry_after: seconds that Discord asks to wait.
    """
    # Every answer with this status means too fast, also with a code of its own.
    refusal = _SLOW if status == 429 else REFUSALS.get(code or 0) or _BY_STATUS.get(status, OTHER)
    leaves = list(_leaves(errors)) if isinstance(errors, dict) else []
    if leaves and refusal.kind is InvalidArguments:
        message = "; ".join(f"{path}: {problem}" for path, problem in leaves)
    error = refusal.error("discord", "Discord", code or status, message, retry_after=retry_after)
    if leaves and refusal.kind is InvalidArguments:
        error.data["fields"] = [{"field": _argument(path), "problem": problem} for path, problem in leaves]
    return error


def _leaves(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, below in node.items():
        if name == "_errors" and isinstance(below, list):
            for leaf in below:
                if isinstance(leaf, dict):
                    yield path or "body", str(leaf.get("message") or leaf.get("code"))
        elif isinstance(below, dict):
            yield from _leaves(below, f"{path}.{name}" if path else name)


def _argument(path: str) -> str:
    first, dot, rest = path.partition(".")
    return _ARGUMENTS.get(first, first + dot + rest)
