"""What the Bot API's refusals mean. Source: the Bot API server's and TDLib's own texts; they carry no finer code."""

from __future__ import annotations

from hermes.errors import (
    Conflict,
    HermesError,
    InvalidArguments,
    NeedsReconnect,
    NotFound,
    PayloadTooLarge,
    PlatformRejected,
    RateLimited,
)
from hermes.platforms.refusals import Refusal

_ADD_AGAIN = "Somebody who may do so has to add the bot to that chat again."
_RIGHTS = "An administrator of that chat has to give the bot this right."

REFUSALS: tuple[tuple[int, str, Refusal], ...] = (
    (
        401,
        "",
        Refusal(
            NeedsReconnect, "The bot's token was revoked or replaced: take the new one from BotFather and link it."
        ),
    ),
    (403, "blocked by the user", Refusal(PlatformRejected, "Only that person can unblock the bot.")),
    (403, "user is deactivated", Refusal(PlatformRejected, "That account no longer exists; remove it from your list.")),
    (403, "bot was kicked", Refusal(PlatformRejected, _ADD_AGAIN)),
    (403, "not a member", Refusal(PlatformRejected, "Add the bot to that chat first.")),
    (
        403,
        "can't initiate conversation",
        Refusal(PlatformRejected, "A bot cannot write first: that person has to open the bot and press Start."),
    ),
    (
        403,
        "messages to bots",
        Refusal(PlatformRejected, "Bots cannot write to bots; use the chat_id of a person or group."),
    ),
    (403, "chat was deleted", Refusal(PlatformRejected, "That group is gone; use another chat_id.")),
    (403, "", Refusal(PlatformRejected, "The bot is not allowed to do this in that chat.")),
    (
        409,
        "webhook is active",
        Refusal(
            Conflict,
            "A webhook is set for this bot, so its updates go there: remove it with deleteWebhook to read them here.",
        ),
    ),
    (
        409,
        "terminated by other",
        Refusal(Conflict, "Another program reads this bot's updates: stop it, or read them there.", retry_after=5),
    ),
    (409, "", Refusal(Conflict, "Something else uses this bot in the same way right now; try again later.")),
    (413, "", Refusal(PayloadTooLarge, "Send something smaller.")),
    (429, "", Refusal(RateLimited, "Wait as long as Telegram asks, then try again.")),
    (
        400,
        "chat not found",
        Refusal(
            NotFound,
            "Check chat_id. A person must have started the bot, a group must have it as a member; only public "
            "chats can be named with @.",
        ),
    ),
    (400, "chat_id is empty", Refusal(InvalidArguments, "must name a chat", "chat_id")),
    (400, "text is empty", Refusal(InvalidArguments, "must hold something that is visible after formatting", "text")),
    (400, "text must be non-empty", Refusal(InvalidArguments, "must hold something that is visible", "text")),
    (400, "caption is too long", Refusal(InvalidArguments, "must have at most 1,024 UTF-16 units", "caption")),
    (400, "is too long", Refusal(InvalidArguments, "must have at most 4,096 UTF-16 units; send it in parts", "text")),
    (
        400,
        "can't parse entities",
        Refusal(InvalidArguments, "must follow Telegram's formatting rules, or be sent with parse_mode none", "text"),
    ),
    (
        400,
        "replied",
        Refusal(InvalidArguments, "must be a message that exists in that chat", "reply_to_message_id"),
    ),
    (
        400,
        "message to reply not found",
        Refusal(InvalidArguments, "must be a message that exists in that chat", "reply_to_message_id"),
    ),
    (
        400,
        "thread not found",
        Refusal(InvalidArguments, "must be a topic that exists in that group", "message_thread_id"),
    ),
    (400, "file identifier", Refusal(InvalidArguments, "must be an https URL or a file_id that this bot got", "photo")),
    (
        400,
        "failed to get http url content",
        Refusal(InvalidArguments, "must be a URL that Telegram's servers can fetch, 5 MB at most", "photo"),
    ),
    (400, "wrong type of the web page", Refusal(InvalidArguments, "must lead straight to a picture file", "photo")),
    (
        400,
        "photo_invalid_dimensions",
        Refusal(InvalidArguments, "must have width + height of at most 10,000 and a ratio of at most 20", "photo"),
    ),
    (400, "not enough rights", Refusal(PlatformRejected, _RIGHTS)),
    (400, "have no rights", Refusal(PlatformRejected, _RIGHTS)),
    (400, "need administrator rights", Refusal(PlatformRejected, _RIGHTS)),
)
"""(code, part of the description in lower case, meaning); the first that fits counts."""

OTHER = Refusal(PlatformRejected, "Change the request before trying it again.")

CANNOT_PARSE = "can't parse entities"
"""Nothing was sent: the same text can be sent again without formatting."""


def refusal_error(code: int, description: str, retry_after: float | None = None) -> HermesError:
    """The error for a clear refusal by the Bot API."""
    text = description.lower()
    found = next((refusal for known, part, refusal in REFUSALS if known == code and part in text), OTHER)
    return found.error("telegram", "Telegram", code, description, retry_after=retry_after)
