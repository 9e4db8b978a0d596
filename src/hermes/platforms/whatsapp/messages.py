"""From a tool's arguments to the Cloud API's message objects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hermes.platforms.meta.errors import wrong
from hermes.platforms.whatsapp.models import (
    ContactCard,
    ListMenu,
    Location,
    Media,
    Reaction,
    ReplyButton,
    TemplateButton,
    TemplateHeader,
    TemplateParameter,
)

MAX_LIST_ROWS = 10
MAX_BUTTON_TEXT = 1024
_GAP = re.compile(r" {5}")
_CAPTIONED = ("image", "video", "document")


def recipient(to: str) -> dict[str, str]:
    """A phone number goes as its digits; an id of a person in one's business has a member of its own."""
    if to[0].isalpha():
        return {"recipient": to}
    return {"to": re.sub(r"[^0-9]", "", to)}


def worded_message(
    text: str,
    buttons: Sequence[ReplyButton] | None,
    menu: ListMenu | None,
    footer: str | None,
    *,
    preview_url: bool,
) -> dict[str, Any]:
    """A text, with buttons or a list below it if there are any.

    Raises:
        InvalidArguments: the parts, or their numbers, titles and ids, do not fit together.
    """
    if buttons is not None and menu is not None:
        raise wrong("list_menu", "cannot be combined with buttons")
    if buttons is not None:
        kind, action = "button", _buttons(text, buttons)
    elif menu is not None:
        kind, action = "list", _menu(menu)
    elif footer is not None:
        raise wrong("footer", "is for messages with buttons or list_menu")
    else:
        return {"type": "text", "text": {"body": text, "preview_url": preview_url}}
    interactive: dict[str, Any] = {"type": kind, "body": {"text": text}, "action": action}
    if footer is not None:
        interactive["footer"] = {"text": footer}
    return {"type": "interactive", "interactive": interactive}


def bare_message(
    media: Media | None,
    location: Location | None,
    contacts: Sequence[ContactCard] | None,
    reaction: Reaction | None,
) -> dict[str, Any]:
    """A message without text of its own, from the one part that is given.

    Raises:
        InvalidArguments: this kind of file has no caption or file name.
    """
    if media is not None:
        return _media(media)
    if location is not None:
        return {"type": "location", "location": location.model_dump(exclude_none=True)}
    if contacts is not None:
        return {"type": "contacts", "contacts": [_contact(card) for card in contacts]}
    if reaction is not None:
        return {"type": "reaction", "reaction": reaction.model_dump()}
    raise wrong("text", "or another content must be given")


def _buttons(text: str, buttons: Sequence[ReplyButton]) -> dict[str, Any]:
    if len(text) > MAX_BUTTON_TEXT:
        raise wrong("text", f"must have at most {MAX_BUTTON_TEXT:,} characters above buttons")
    _distinct("buttons", [button.id for button in buttons], [button.title for button in buttons])
    return {"buttons": [{"type": "reply", "reply": {"id": button.id, "title": button.title}} for button in buttons]}


def _menu(menu: ListMenu) -> dict[str, Any]:
    rows = [row for section in menu.sections for row in section.rows]
    if len(rows) > MAX_LIST_ROWS:
        raise wrong("list_menu", f"must have at most {MAX_LIST_ROWS} rows in all")
    if len(menu.sections) > 1 and not all(section.title for section in menu.sections):
        raise wrong("list_menu", "must give each of its sections a title")
    _distinct("list_menu", [row.id for row in rows])
    return {"button": menu.button, "sections": [section.model_dump(exclude_none=True) for section in menu.sections]}


def _distinct(field: str, *columns: list[str]) -> None:
    if any(len(set(column)) != len(column) for column in columns):
        raise wrong(field, "must not have two entries with the same id or title")


def _media(media: Media) -> dict[str, Any]:
    if media.caption is not None and media.kind not in _CAPTIONED:
        raise wrong("media", f"of the kind {media.kind} has no caption; send the text by itself")
    if media.filename is not None and media.kind != "document":
        raise wrong("media", f"of the kind {media.kind} has no filename; only documents do")
    return {"type": media.kind, media.kind: media.model_dump(exclude={"kind"}, exclude_none=True)}


def _contact(card: ContactCard) -> dict[str, Any]:
    names = {"first_name": card.first_name} | ({"last_name": card.last_name} if card.last_name else {})
    contact: dict[str, Any] = {"name": {"formatted_name": " ".join(names.values()), **names}}
    if card.phone is not None:
        contact["phones"] = [{"phone": card.phone, "type": "CELL"}]
    if card.email is not None:
        contact["emails"] = [{"email": card.email, "type": "WORK"}]
    if card.company is not None:
        contact["org"] = {"company": card.company}
    return contact


def template_message(
    name: str,
    language: str,
    header: TemplateHeader | None,
    body: Sequence[TemplateParameter] | None,
    buttons: Sequence[TemplateButton] | None,
) -> dict[str, Any]:
    """A template and what fills it.

    Raises:
        InvalidArguments: the header's members do not fit its kind, or named and other parameters are mixed.
    """
    components: list[dict[str, Any]] = []
    if header is not None:
        components.append({"type": "header", "parameters": [_header(header)]})
    if body:
        if len({parameter.name is None for parameter in body}) > 1:
            raise wrong("body", "must have a name on each of its parameters, or on none")
        components.append({"type": "body", "parameters": [_parameter("body", one.text, one.name) for one in body]})
    components.extend(_button(button) for button in buttons or ())
    template: dict[str, Any] = {"name": name, "language": {"code": language}}
    if components:
        template["components"] = components
    return {"type": "template", "template": template}


def _parameter(field: str, text: str, name: str | None) -> dict[str, Any]:
    if _GAP.search(text) or not text.strip():
        raise wrong(field, "must hold texts that are not empty and have at most four spaces in a row")
    return {"type": "text", "text": text} | ({"parameter_name": name} if name else {})


def _header(header: TemplateHeader) -> dict[str, Any]:
    if header.kind == "text":
        if header.text is None:
            raise wrong("header", "of the kind text needs text")
        return _parameter("header", header.text, header.name)
    if header.kind == "location":
        if header.location is None:
            raise wrong("header", "of the kind location needs location")
        return {"type": "location", "location": header.location.model_dump(exclude_none=True)}
    if header.link is None:
        raise wrong("header", f"of the kind {header.kind} needs link")
    file = {"link": header.link}
    if header.filename is not None and header.kind == "document":
        file["filename"] = header.filename
    return {"type": header.kind, header.kind: file}


def _button(button: TemplateButton) -> dict[str, Any]:
    parameter = {
        "quick_reply": {"type": "payload", "payload": button.value},
        "url": {"type": "text", "text": button.value},
        "copy_code": {"type": "coupon_code", "coupon_code": button.value},
    }[button.kind]
    return {"type": "button", "sub_type": button.kind, "index": str(button.index), "parameters": [parameter]}
