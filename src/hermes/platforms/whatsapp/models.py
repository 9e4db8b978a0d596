"""What WhatsApp's tools take and return. Limits: Cloud API reference, "Messages" and "Message templates"."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FileLink = Annotated[str, Field(pattern=r"^(https://\S+|media_[A-Za-z0-9]{1,58})$", max_length=2048)]


class Given(BaseModel):
    """A part of a tool's arguments."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Found(BaseModel):
    """A part of a tool's result. Unknown members of the answer are normal."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Media(Given):
    kind: Literal["image", "video", "audio", "document", "sticker"]
    link: Annotated[
        FileLink,
        Field(
            description="https URL of the file, or media handle: jpeg, png up to 5 MB; mp4, 3gp, aac, amr, mp3, m4a, "
            "ogg/opus up to 16 MB; documents up to 100 MB (16 by handle); webp stickers"
        ),
    ]
    caption: Annotated[str, Field(max_length=1024)] | None = None
    filename: Annotated[str, Field(max_length=240)] | None = Field(default=None, description="for a document")


class Location(Given):
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    name: Annotated[str, Field(max_length=1000)] | None = None
    address: Annotated[str, Field(max_length=1000)] | None = None


class ContactCard(Given):
    first_name: Annotated[str, Field(min_length=1, max_length=200)]
    last_name: Annotated[str, Field(max_length=200)] | None = None
    phone: Annotated[str, Field(pattern=r"^\+?[0-9 ().-]{4,32}$")] | None = None
    email: Annotated[str, Field(max_length=254)] | None = None
    company: Annotated[str, Field(max_length=200)] | None = None


class Reaction(Given):
    message_id: Annotated[str, Field(min_length=1, max_length=255, description="the message to react to")]
    emoji: Annotated[str, Field(max_length=32, description="one emoji; empty takes the reaction back")]


class ReplyButton(Given):
    id: Annotated[str, Field(min_length=1, max_length=256, description="comes back when it is pressed")]
    title: Annotated[str, Field(min_length=1, max_length=20)]


class ListRow(Given):
    id: Annotated[str, Field(min_length=1, max_length=200, description="comes back when it is chosen")]
    title: Annotated[str, Field(min_length=1, max_length=24)]
    description: Annotated[str, Field(max_length=72)] | None = None


class ListSection(Given):
    title: Annotated[str, Field(max_length=24)] | None = Field(
        default=None, description="needed when there are several"
    )
    rows: Annotated[list[ListRow], Field(min_length=1, max_length=10)]


class ListMenu(Given):
    button: Annotated[str, Field(min_length=1, max_length=20, description="opens the list")]
    sections: Annotated[list[ListSection], Field(min_length=1, max_length=10, description="10 rows in all at most")]


TemplateText = Annotated[
    str, Field(min_length=1, max_length=1024, pattern=r"^[^\r\n\t]+$", description="no line breaks, tabs or long gaps")
]
ParameterName = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$", description="the variable's name, if the template has named ones")
]


class TemplateParameter(Given):
    text: TemplateText
    name: ParameterName | None = None


class TemplateHeader(Given):
    kind: Literal["text", "image", "video", "document", "location"]
    text: TemplateText | None = None
    name: ParameterName | None = None
    link: FileLink | None = Field(default=None, description="for image, video and document: https URL or media handle")
    filename: Annotated[str, Field(max_length=240)] | None = None
    location: Location | None = None


class TemplateButton(Given):
    index: Annotated[int, Field(ge=0, le=9, description="the button's place in the template, from 0")]
    kind: Literal["quick_reply", "url", "copy_code"]
    value: Annotated[
        str, Field(min_length=1, max_length=2000, description="the payload, the end of the URL, or the code to copy")
    ]


class SentMessage(Found):
    """A message that WhatsApp accepted, which does not mean that it was delivered."""

    message_id: str
    status: str = Field(description="accepted: get_message_status tells later whether it was delivered")
    wa_id: str | None = Field(
        default=None, description="the recipient's number as WhatsApp has it; it may differ from `to`"
    )
    user_id: str | None = Field(default=None, description="the recipient's id in your business")


class Button(Found):
    type: str
    text: str | None = None
    url: str | None = None
    phone_number: str | None = None


class Component(Found):
    type: str = Field(description="HEADER, BODY, FOOTER, BUTTONS …")
    format: str | None = Field(default=None, description="of a header: TEXT, IMAGE, VIDEO, DOCUMENT or LOCATION")
    text: str | None = Field(default=None, description="with its variables, such as {{1}} or {{name}}")
    buttons: list[Button] | None = None


class Template(Found):
    id: str
    name: str
    language: str
    status: str
    category: str | None = None
    parameter_format: str | None = Field(default=None, description="POSITIONAL or NAMED")
    components: list[Component] | None = None
    rejected_reason: str | None = None


class Templates(Found):
    templates: list[Template]
    after: str | None = Field(default=None, description="pass it as `after` for the next page; missing on the last one")


class MessageStatus(Found):
    message_id: str
    status: str = Field(description="sent, delivered, read, played, failed, deleted, or unknown")
    at: datetime | None = None
    recipient: str | None = None
    errors: list[dict[str, Any]] | None = None
    explanation: str | None = None
