"""The parts of the Bot API's objects that tools return. Unknown fields and kinds are normal: the API grows monthly."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)


class TelegramModel(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Bot(TelegramModel):
    id: int
    first_name: str
    username: str | None = None
    can_join_groups: bool | None = None
    can_read_all_group_messages: bool | None = Field(
        default=None, description="false: in groups the bot sees only commands and replies to it"
    )
    supports_inline_queries: bool | None = None


class User(TelegramModel):
    id: int
    is_bot: bool
    first_name: str
    last_name: str | None = None
    username: str | None = None
    language_code: str | None = None


class Chat(TelegramModel):
    id: int
    type: str = Field(description="private, group, supergroup or channel")
    title: str | None = None
    username: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    is_forum: bool | None = None


class SentMessage(TelegramModel):
    """A message that Telegram accepted."""

    message_id: int
    chat: Chat
    date: datetime
    text: str | None = None
    caption: str | None = None
    photo_file_id: Annotated[str | None, Field(description="with it the same photo can be sent again")] = None
    message_thread_id: int | None = None
    sent_as_plain_text: bool | None = Field(
        default=None, description="true: Telegram could not parse the formatting, so the text was sent without it"
    )
    migrated_to_chat_id: int | None = Field(
        default=None, description="the group became a supergroup with this id; use it from now on"
    )

    @model_validator(mode="before")
    @classmethod
    def _largest_photo(cls, value: Any) -> Any:
        photo = _largest(value.get("photo")) if isinstance(value, dict) else None
        return {**value, "photo_file_id": photo.get("file_id")} if photo else value


class Attachment(TelegramModel):
    kind: str
    file_id: str
    file_name: str | None = None
    mime_type: str | None = None
    file_size: int | None = None
    width: int | None = None
    height: int | None = None
    duration: int | None = None
    emoji: str | None = None


class Location(TelegramModel):
    latitude: float
    longitude: float


class Contact(TelegramModel):
    phone_number: str
    first_name: str
    last_name: str | None = None
    user_id: int | None = None


_FILES = ("photo", "video", "animation", "document", "audio", "voice", "video_note", "sticker")


class Message(TelegramModel):
    message_id: int
    date: datetime
    chat: Chat
    sender: User | None = Field(default=None, alias="from")
    sender_chat: Chat | None = None
    text: str | None = None
    caption: str | None = None
    attachments: list[Attachment] | None = None
    location: Location | None = None
    contact: Contact | None = None
    edit_date: datetime | None = None
    message_thread_id: int | None = None
    reply_to_message_id: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, value: Any) -> Any:
        """Bring the files into one list, and keep of the message replied to only its id."""
        if not isinstance(value, dict):
            return value
        files = [
            {**content, "kind": kind}
            for kind in _FILES
            if isinstance(content := _largest(value.get(kind)), dict)
            # an animation is repeated as a document for old clients
            and not (kind == "document" and "animation" in value)
        ]
        reply = value.get("reply_to_message")
        return {
            **value,
            "attachments": files or None,
            "reply_to_message_id": reply.get("message_id") if isinstance(reply, dict) else None,
        }


def _largest(content: Any) -> Any:
    """A photo comes in several sizes, the largest last."""
    if isinstance(content, list):
        return content[-1] if content and isinstance(content[-1], dict) else None
    return content


class CallbackQuery(TelegramModel):
    """Somebody pressed a button below one of the bot's messages."""

    id: str
    sender: User = Field(alias="from")
    data: str | None = None
    message_id: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, value: Any) -> Any:
        message = value.get("message") if isinstance(value, dict) else None
        return {**value, "message_id": message.get("message_id")} if isinstance(message, dict) else value


_MESSAGE_KINDS = frozenset(
    {
        "message",
        "edited_message",
        "channel_post",
        "edited_channel_post",
        "business_message",
        "edited_business_message",
        "guest_message",
    }
)


class Update(TelegramModel):
    """One thing that happened to the bot. `kind` names it; messages and button presses come in their own members."""

    update_id: int
    kind: str
    message: Message | None = None
    callback_query: CallbackQuery | None = None
    other: dict[str, Any] | None = Field(default=None, description="what Telegram sent, for every other kind")

    @model_validator(mode="wrap")
    @classmethod
    def _sort(cls, value: Any, handler: ModelWrapValidatorHandler[Update]) -> Update:
        """Put the content where its kind belongs; what cannot be read as that goes to `other` and is not lost."""
        if not isinstance(value, dict):
            return handler(value)
        kind = next((name for name in value if name != "update_id"), "unknown")
        content = value.get(kind)
        update = {"update_id": value.get("update_id"), "kind": kind}
        other = content if isinstance(content, dict) else None
        member = "message" if kind in _MESSAGE_KINDS else "callback_query" if kind == "callback_query" else "other"
        if member == "other":
            return handler(update | {"other": other})
        try:
            return handler(update | {member: content})
        except ValidationError:
            return handler(update | {"other": other})


class Updates(TelegramModel):
    updates: list[Update]
    next_offset: int | None = Field(
        default=None,
        description="pass it as offset to confirm these updates, which removes them, and get the ones after them",
    )


def _pinned_text(value: Any) -> Any:
    return (value.get("text") or value.get("caption")) if isinstance(value, dict) else None


class ChatInfo(Chat):
    bio: str | None = None
    description: str | None = None
    invite_link: str | None = None
    linked_chat_id: int | None = None
    slow_mode_delay: int | None = None
    has_protected_content: bool | None = None
    permissions: dict[str, Any] | None = None
    pinned_text: Annotated[str | None, BeforeValidator(_pinned_text)] = Field(
        default=None, validation_alias="pinned_message"
    )
