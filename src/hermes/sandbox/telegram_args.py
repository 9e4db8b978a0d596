"""The arguments of a Bot API call, read the way the server reads them: as text, whatever the body was."""

from __future__ import annotations

from typing import Any

import orjson

from hermes.sandbox.http import Incoming, MalformedBody, Upload
from hermes.sandbox.telegram_markup import Entity, parse_markup, utf16_length
from hermes.sandbox.telegram_state import bad_request

LONGEST_TEXT_BYTES = 1 << 15
Args = dict[str, str]


async def arguments(incoming: Incoming) -> tuple[Args, dict[str, Upload]]:
    """Query and body together, every value as text: what is nested in a JSON body becomes JSON text, as in a form."""
    try:
        body, files = await incoming.body_args()
    except MalformedBody as error:
        raise bad_request(f"can't parse request: {error}") from error
    args: Args = incoming.query_args()
    for name, value in body.items():
        if isinstance(value, str):
            args[name] = value
        elif value is not None:
            args[name] = orjson.dumps(value).decode()
    return args, files


def formatted(args: Args, name: str, entities_name: str) -> tuple[str, list[Entity]]:
    """The text of argument `name` without markup and outer white space, and its entities.

    Raises:
        TelegramError: too long, or the markup or entities are wrong.
    """
    text = args[name]
    if len(text.encode()) > LONGEST_TEXT_BYTES:
        raise bad_request("text is too long")
    mode = args.get("parse_mode", "")
    try:
        plain, entities = parse_markup(text, mode)
    except ValueError as error:
        raise bad_request(str(error)) from error
    if not mode and args.get(entities_name):
        entities = _given_entities(args[entities_name])
    stripped = plain.rstrip()
    lead = len(stripped) - len(stripped.lstrip())
    return stripped.strip(), _shifted(entities, lead, utf16_length(stripped.strip()))


def _given_entities(text: str) -> list[Entity]:
    value = json_value(text)
    if not isinstance(value, list):
        return []
    for entity in value:
        if not isinstance(entity, dict):
            raise bad_request("can't parse MessageEntity: expected an Object")
        for name in ("offset", "length", "type"):
            if name not in entity:
                raise bad_request(f"can't parse MessageEntity: Can't find field \"{name}\"")
        for name in ("offset", "length"):
            if not isinstance(entity[name], int):
                raise bad_request(f'can\'t parse MessageEntity: Field "{name}" must be of type Number')
    return value


def _shifted(entities: list[Entity], lead: int, length: int) -> list[Entity]:
    """Entities after the text lost `lead` units in front, cut to its `length`."""
    moved: list[Entity] = []
    for entity in entities:
        start = max(0, entity["offset"] - lead)
        end = min(length, entity["offset"] + entity["length"] - lead)
        if end > start:
            moved.append(entity | {"offset": start, "length": end - start})
    return moved


def reply_to(args: Args) -> tuple[int | None, bool]:
    """The message replied to, and whether to send without it when it is missing."""
    if not args.get("reply_parameters"):
        old_style = integer(args, "reply_to_message_id", 0)
        return old_style if old_style > 0 else None, args.get("allow_sending_without_reply", "").lower() == "true"
    value = json_value(args["reply_parameters"], "can't parse reply parameters JSON object")
    if not isinstance(value, dict):
        raise bad_request("object expected as reply parameters")
    if not value:
        return None, False
    number = value.get("message_id")
    if isinstance(number, str) and number.isdigit():
        number = int(number)
    if not isinstance(number, int):
        raise bad_request("can't parse reply parameters: Can't find field \"message_id\"")
    return number, value.get("allow_sending_without_reply") is True


def integer(args: Args, name: str, default: int) -> int:
    """An argument as a number; what is none counts as missing, as on the real server."""
    try:
        return int(args[name])
    except (KeyError, ValueError):
        return default


def json_value(text: str, complaint: str | None = None) -> Any:
    """An argument that is JSON text; broken JSON is refused with the complaint, or counts as null without one."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if complaint is None:
            return None
        raise bad_request(complaint) from None
