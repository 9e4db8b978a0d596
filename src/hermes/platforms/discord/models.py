"""What Discord's tools take and return. Ids are snowflakes and stay strings: no JSON number holds them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hermes.platforms.base import Redaction

SNOWFLAKE: Final = r"^[1-9][0-9]{4,19}$"
HttpsUrl = Annotated[str, Field(pattern=r"^https?://\S+$", max_length=2048)]

CHANNEL_TYPES: Final = {
    0: "text", 1: "dm", 2: "voice", 3: "group_dm", 4: "category", 5: "announcement", 10: "announcement_thread",
    11: "public_thread", 12: "private_thread", 13: "stage", 14: "directory", 15: "forum", 16: "media",
}  # fmt: skip
"""Source: "Channel Types"."""

TAKES_MESSAGES: Final = frozenset({0, 1, 2, 3, 5, 10, 11, 12, 13})
"""Forums and media channels take threads, not messages; categories and directories neither."""


class Given(BaseModel):
    """A part of a tool's arguments."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Found(BaseModel):
    """A part of a tool's result. Unknown members of the answer are normal."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class EmbedField(Given):
    name: Annotated[str, Field(min_length=1, max_length=256)]
    value: Annotated[str, Field(min_length=1, max_length=1024)]
    inline: bool = False


class Embed(Given):
    """A box below the text. Source: "Embed Limits"."""

    title: Annotated[str, Field(max_length=256)] | None = None
    description: Annotated[str, Field(max_length=4096)] | None = None
    url: HttpsUrl | None = None
    color: Annotated[int, Field(ge=0, le=0xFFFFFF)] | None = None
    image_url: HttpsUrl | None = None
    author: Annotated[str, Field(max_length=256)] | None = None
    footer: Annotated[str, Field(max_length=2048)] | None = None
    fields: Annotated[list[EmbedField], Field(max_length=25)] | None = None

    @property
    def text_length(self) -> int:
        """What counts towards the limit of all embeds together."""
        texts = [self.title, self.description, self.author, self.footer]
        texts.extend(text for field in self.fields or () for text in (field.name, field.value))
        return sum(len(text) for text in texts if text)

    @property
    def empty(self) -> bool:
        return self.text_length == 0 and self.image_url is None

    def to_discord(self) -> dict[str, Any]:
        given = self.model_dump(exclude_none=True, exclude={"image_url", "author", "footer"})
        if self.image_url is not None:
            given["image"] = {"url": self.image_url}
        if self.author is not None:
            given["author"] = {"name": self.author}
        if self.footer is not None:
            given["footer"] = {"text": self.footer}
        return given


class Bot(Found):
    id: str
    username: str
    global_name: str | None = None
    discriminator: str | None = None
    bot: bool | None = None
    verified: bool | None = None
    mfa_enabled: bool | None = None


class Guild(Found):
    id: str
    name: str
    owner: bool | None = Field(default=None, description="the bot owns it")
    permissions: str | None = Field(default=None, description="the bot's rights in it, as Discord's bit set")
    member_count: int | None = Field(default=None, validation_alias="approximate_member_count")
    online_count: int | None = Field(default=None, validation_alias="approximate_presence_count")


class Guilds(Found):
    guilds: list[Guild]
    next_after: str | None = Field(default=None, description="pass as after for the next page; absent: that was all")


def _type_name(value: Any) -> Any:
    return CHANNEL_TYPES.get(value, f"type_{value}") if isinstance(value, int) else value


class Channel(Found):
    id: str
    name: str | None = None
    type: Annotated[str, BeforeValidator(_type_name)] = Field(
        description="text, voice, category, announcement, forum …"
    )
    takes_messages: bool = Field(description="false: a category, or a forum, whose threads take them")
    topic: str | None = None
    category_id: str | None = Field(default=None, validation_alias="parent_id", description="of a thread: its channel")
    position: int | None = None
    nsfw: bool | None = None
    slowmode_seconds: int | None = Field(default=None, validation_alias="rate_limit_per_user")
    last_message_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _judge(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        kind = value.get("type")
        return {**value, "takes_messages": isinstance(kind, int) and kind in TAKES_MESSAGES}


class Channels(Found):
    channels: list[Channel]


class Author(Found):
    id: str
    username: str
    global_name: str | None = None
    bot: bool | None = None


class Attachment(Found):
    filename: str
    size: int | None = None
    content_type: str | None = None
    url: str


class SeenEmbed(Found):
    title: str | None = None
    description: str | None = None
    url: str | None = None


def _referenced(value: Any) -> Any:
    return value.get("message_id") if isinstance(value, dict) else value


class Message(Found):
    id: str
    channel_id: str
    author: Author
    content: str
    timestamp: datetime
    edited_at: datetime | None = Field(default=None, validation_alias="edited_timestamp")
    type: int = Field(default=0, description="0 a message, 19 a reply, others are notices")
    reply_to_message_id: Annotated[str | None, BeforeValidator(_referenced)] = Field(
        default=None, validation_alias="message_reference"
    )
    attachments: list[Attachment] | None = None
    embeds: list[SeenEmbed] | None = None
    pinned: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: item for key, item in value.items() if key not in ("attachments", "embeds") or item}


class Messages(Found):
    messages: list[Message] = Field(description="newest first")
    next_before: str | None = Field(default=None, description="pass as before for older ones; absent: no more that way")
    next_after: str | None = Field(default=None, description="pass as after for newer ones")
    note: str | None = None


class SentMessage(Found):
    id: str
    channel_id: str
    content: str
    timestamp: datetime
    nonce: str | None = Field(default=None, description="repeating the call with it within minutes does not post twice")


Snowflake = Annotated[str, Redaction.PLAIN, Field(pattern=SNOWFLAKE)]
