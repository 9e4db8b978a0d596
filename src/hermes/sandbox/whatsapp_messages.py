"""The checks that the Cloud API makes before it accepts a message.

Source: developers.facebook.com/docs/whatsapp/cloud-api/reference/messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hermes.sandbox.graph import GraphError, parameter_error
from hermes.sandbox.http import is_web_url
from hermes.sandbox.whatsapp_templates import Template, check_sending

BSUID = re.compile(r"^[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}$")
LONGEST_TEXT = 4096
LONGEST_CAPTION = 1024
LONGEST_CALLBACK_DATA = 512
MEDIA = frozenset({"image", "video", "audio", "document", "sticker"})
WITHOUT_CAPTION = frozenset({"audio", "sticker"})
Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checked:
    """A message that is accepted: `to` as given, `wa_id` (None for a BSUID), what it says in one line."""

    kind: str
    to: str
    wa_id: str | None
    user_id: str | None
    text: str
    callback_data: str | None
    template: Template | None


def check_message(args: Mapping[str, Any], known_media: Callable[[str], bool]) -> Checked:
    """Check the body of POST …/messages.

    Args:
        known_media: whether a media id belongs to the sending number.

    Raises:
        GraphError: what the API would answer.
    """
    check_product(args)
    if args.get("recipient_type") not in (None, "individual", "group"):
        raise _one_of("recipient_type", ("INDIVIDUAL", "GROUP"), args["recipient_type"])
    to, wa_id, user_id = _recipient(args)
    kind = args.get("type") or "text"
    check = CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        raise _one_of("type", tuple(sorted(name.upper() for name in CHECKS)), kind)
    content = args.get(kind)
    if content is None:
        raise GraphError(131008, details=f"The parameter {kind} is required when type is '{kind}'")
    if kind != "contacts" and not isinstance(content, dict):
        raise parameter_error(f"Param {kind} must be a JSON object.")
    _check_context(args.get("context"))
    data = args.get("biz_opaque_callback_data")
    if data is not None and (not isinstance(data, str) or len(data) > LONGEST_CALLBACK_DATA):
        raise GraphError(131009, details=f"biz_opaque_callback_data must be at most {LONGEST_CALLBACK_DATA} characters")
    template = check_sending(content, to_phone=wa_id is not None) if kind == "template" else None
    text = check(content)
    if kind in MEDIA:
        _check_media(kind, content, known_media)
    return Checked(kind, to, wa_id, user_id, text, data, template)


def check_product(args: Mapping[str, Any]) -> None:
    """`messaging_product` must say whatsapp."""
    product = args.get("messaging_product")
    if product is None:
        raise parameter_error("The parameter messaging_product is required.")
    if str(product).lower() != "whatsapp":
        raise _one_of("messaging_product", ("WHATSAPP",), product)


def wa_id_of(digits: str) -> str:
    """The id that WhatsApp knows a number under: Mexican numbers carry a 1, Argentinian ones a 9, as typed or not."""
    if re.fullmatch(r"52\d{10}", digits):
        return "521" + digits[2:]
    if re.fullmatch(r"54\d{10}", digits):
        return "549" + digits[2:]
    return digits


def _recipient(args: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    to = args.get("to")
    if to is not None and to != "":
        if not isinstance(to, str):
            raise parameter_error("Param to must be a string.")
        if args.get("recipient_type") == "group":
            return to, to, None
        digits = re.sub(r"[\s()+.-]", "", to)
        if not re.fullmatch(r"[1-9]\d{6,14}", digits):
            raise GraphError(131009, details="Recipient phone number is not a valid phone number")
        return to, wa_id_of(digits), None
    user = args.get("recipient")
    if user is None:
        raise GraphError(131008, details="The parameter to is required.")
    if not isinstance(user, str) or not BSUID.match(user):
        raise GraphError(131009, details="recipient is not a business-scoped user id")
    return user, None, user


def _check_context(context: Any) -> None:
    if context is None:
        return
    if not isinstance(context, dict) or not isinstance(context.get("message_id"), str) or not context["message_id"]:
        raise GraphError(131009, details="context.message_id must be the id of a message")


def _one_of(name: str, allowed: tuple[str, ...], got: Any) -> GraphError:
    return parameter_error(f'Param {name} must be one of {{{", ".join(allowed)}}} - got "{got}".')


def _required(content: Content, name: str, where: str, longest: int) -> str:
    value = content.get(name)
    if value is None or value == "":
        raise GraphError(131008, details=f"The parameter {where}['{name}'] is required.")
    if not isinstance(value, str):
        raise parameter_error(f"Param {where}['{name}'] must be a string.")
    if len(value) > longest:
        raise parameter_error(f"Param {where}['{name}'] must be at most {longest} characters long.")
    return value


def _text(content: Content) -> str:
    body = _required(content, "body", "text", LONGEST_TEXT)
    preview = content.get("preview_url", False)
    if not isinstance(preview, bool):
        raise parameter_error("Param text['preview_url'] must be a boolean.")
    return body


def _media(content: Content) -> str:
    caption = content.get("caption", "")
    return caption if isinstance(caption, str) else ""


def _check_media(kind: str, content: Content, known: Callable[[str], bool]) -> None:
    number, link = content.get("id"), content.get("link")
    if (number is None) == (link is None):
        raise GraphError(131009, details=f"Exactly one of {kind}['id'] and {kind}['link'] is required")
    if number is not None and not known(str(number)):
        raise parameter_error(f"Param {kind}['id'] is not a valid whatsapp business account media attachment ID")
    if link is not None and not is_web_url(link):
        raise parameter_error(f"Param {kind}['link'] must be a valid URI.")
    caption = content.get("caption")
    if caption is None:
        return
    if kind in WITHOUT_CAPTION:
        raise parameter_error(f'Unexpected key "caption" on param "{kind}".')
    if not isinstance(caption, str) or len(caption) > LONGEST_CAPTION:
        raise parameter_error(f"Param {kind}['caption'] must be at most {LONGEST_CAPTION} characters long.")


def _location(content: Content) -> str:
    for name, most in (("latitude", 90), ("longitude", 180)):
        try:
            value = float(content[name])
        except KeyError:
            raise GraphError(131008, details=f"The parameter location['{name}'] is required.") from None
        except (TypeError, ValueError):
            raise parameter_error(f"Param location['{name}'] must be a number.") from None
        if abs(value) > most:
            raise GraphError(131009, details=f"location['{name}'] is out of range")
    return f"{content['latitude']}, {content['longitude']}"


def _contacts(content: Any) -> str:
    if not isinstance(content, list) or not content:
        raise parameter_error("Param contacts must be a non-empty array.")
    names: list[str] = []
    for contact in content:
        name = contact.get("name") if isinstance(contact, dict) else None
        if not isinstance(name, dict) or not name.get("formatted_name"):
            raise GraphError(131008, details="The parameter contacts['name']['formatted_name'] is required.")
        if len(name) < 2:
            raise GraphError(131008, details="At least one other part of contacts['name'] is required.")
        names.append(str(name["formatted_name"]))
    return ", ".join(names)


def _reaction(content: Content) -> str:
    _required(content, "message_id", "reaction", 512)
    if not isinstance(content.get("emoji"), str):
        raise GraphError(131008, details="The parameter reaction['emoji'] is required.")
    return str(content["emoji"])


def _interactive(content: Content) -> str:
    kinds = ("button", "list", "cta_url", "flow", "product", "product_list", "catalog_message",
             "location_request_message", "address_message", "carousel")  # fmt: skip
    kind = content.get("type")
    if kind not in kinds:
        raise _one_of("interactive['type']", tuple(sorted(name.upper() for name in kinds)), kind)
    body = content.get("body")
    text = ""
    if kind not in ("product", "carousel"):
        longest = 4096 if kind == "list" else 1024
        text = _required(body if isinstance(body, dict) else {}, "text", "interactive['body']", longest)
    action = content.get("action")
    if not isinstance(action, dict):
        raise GraphError(131008, details="The parameter interactive['action'] is required.")
    if kind == "button":
        _buttons(action.get("buttons"))
    if kind == "list":
        _rows(action)
    return text


def _buttons(buttons: Any) -> None:
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= 3:
        raise GraphError(131009, details="Invalid buttons count. Min allowed buttons: 1, Max allowed buttons: 3")
    for button in buttons:
        reply = button.get("reply") if isinstance(button, dict) else None
        reply = reply if isinstance(reply, dict) else {}
        _required(reply, "id", "interactive['action']['buttons']['reply']", 256)
        _required(reply, "title", "interactive['action']['buttons']['reply']", 20)


def _rows(action: Content) -> None:
    _required(action, "button", "interactive['action']", 20)
    sections = action.get("sections")
    sections = sections if isinstance(sections, list) else []
    rows = [row for section in sections if isinstance(section, dict) for row in section.get("rows") or []]
    if not 1 <= len(rows) <= 10:
        raise GraphError(131009, details="Total row count exceed max allowed count: 10")
    for row in rows:
        row_given = row if isinstance(row, dict) else {}
        _required(row_given, "id", "interactive['action']['sections']['rows']", 200)
        _required(row_given, "title", "interactive['action']['sections']['rows']", 24)
        if len(str(row_given.get("description") or "")) > 72:
            raise GraphError(131009, details="Row description is too long. Max length: 72")


def _template(content: Content) -> str:
    return str(content.get("name", ""))


CHECKS: dict[str, Callable[[Any], str]] = {
    "text": _text,
    **dict.fromkeys(MEDIA, _media),
    "location": _location,
    "contacts": _contacts,
    "reaction": _reaction,
    "interactive": _interactive,
    "template": _template,
}
