"""What the Discord stand-in takes as a message, and how it pages. Source: "Message", "Create Message"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hermes.sandbox.discord_state import DiscordError, invalid_form
from hermes.sandbox.http import is_web_url

LONGEST_CONTENT = 2000
LONGEST_NONCE = 25
MOST_EMBEDS = 10
MOST_FIELDS = 25
ALL_EMBEDS = 6000
EMBED_TEXTS = {"title": 256, "description": 4096}
EMBED_NAMED = {"author": ("name", 256), "footer": ("text", 2048)}
EMBED_PICTURES = ("image", "thumbnail")
MENTIONS = ("users", "roles", "everyone")
KEYS: dict[str, type | tuple[type, ...]] = {
    "content": str, "embeds": list, "allowed_mentions": dict, "message_reference": dict, "components": list,
    "sticker_ids": list, "attachments": list, "flags": int, "tts": bool, "nonce": (str, int), "enforce_nonce": bool,
    "poll": dict,
}  # fmt: skip


def check_message(body: Mapping[str, Any]) -> None:
    """Refuse what Discord refuses.

    Raises:
        DiscordError: 50035 with the place, or 50006 for an empty message.
    """
    for key, kind in KEYS.items():
        value = body.get(key)
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise invalid_form(key, "BASE_TYPE_BAD", "This value is of a wrong type.")
    content = body.get("content") or ""
    if len(content) > LONGEST_CONTENT:
        raise _too_long("content", LONGEST_CONTENT)
    nonce = body.get("nonce")
    if isinstance(nonce, str) and len(nonce) > LONGEST_NONCE:
        raise _too_long("nonce", LONGEST_NONCE)
    if body.get("enforce_nonce") and nonce is None:
        raise invalid_form("nonce", "BASE_TYPE_REQUIRED", "This field is required")
    _check_embeds(body.get("embeds") or [])
    _check_mentions(body.get("allowed_mentions") or {})
    reference = body.get("message_reference")
    if reference is not None and not isinstance(reference.get("message_id"), str):
        raise invalid_form("message_reference.message_id", "NUMBER_TYPE_COERCE", "Value is not snowflake.")
    if not content.strip() and not any(body.get(key) for key in ("embeds", "sticker_ids", "components", "poll")):
        raise DiscordError(400, 50006, "Cannot send an empty message")


def _check_embeds(embeds: list[Any]) -> None:
    if len(embeds) > MOST_EMBEDS:
        raise invalid_form("embeds", "BASE_TYPE_MAX_LENGTH", f"Must be {MOST_EMBEDS} or fewer in length.")
    total = 0
    for number, embed in enumerate(embeds):
        place = f"embeds.{number}"
        if not isinstance(embed, dict):
            raise invalid_form(place, "MODEL_TYPE_CONVERT", "Only dictionaries may be used")
        total += _check_embed(place, embed)
    if total > ALL_EMBEDS:
        raise invalid_form("embeds", "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {ALL_EMBEDS}")


def _check_embed(place: str, embed: Mapping[str, Any]) -> int:
    texts = [(f"{place}.{name}", embed.get(name), longest) for name, longest in EMBED_TEXTS.items()]
    for part, (name, longest) in EMBED_NAMED.items():
        texts.append((f"{place}.{part}.{name}", (embed.get(part) or {}).get(name), longest))
    fields = embed.get("fields") or []
    if len(fields) > MOST_FIELDS:
        raise invalid_form(f"{place}.fields", "BASE_TYPE_MAX_LENGTH", f"Must be {MOST_FIELDS} or fewer in length.")
    for number, field in enumerate(fields):
        for name, longest in (("name", 256), ("value", 1024)):
            if not field.get(name):
                raise invalid_form(f"{place}.fields.{number}.{name}", "BASE_TYPE_REQUIRED", "This field is required")
            texts.append((f"{place}.fields.{number}.{name}", field[name], longest))
    for path, text, longest in texts:
        if text is not None and len(text) > longest:
            raise _too_long(path, longest)
    for url_at, url in (("url", embed.get("url")), *((n, (embed.get(n) or {}).get("url")) for n in EMBED_PICTURES)):
        if url is not None and not is_web_url(url):
            raise invalid_form(f"{place}.{url_at}", "URL_TYPE_INVALID_URL", "Not a well formed URL.")
    if not any(embed.get(name) for name in (*EMBED_TEXTS, *EMBED_NAMED, *EMBED_PICTURES, "fields")):
        raise invalid_form(f"{place}.description", "BASE_TYPE_REQUIRED", "This field is required")
    return sum(len(text) for _, text, _ in texts if text)


def _check_mentions(allowed: Mapping[str, Any]) -> None:
    parse = allowed.get("parse") or []
    if any(one not in MENTIONS for one in parse) or len(set(parse)) != len(parse):
        raise invalid_form("allowed_mentions.parse", "BASE_TYPE_CHOICES", f"Value must be one of {MENTIONS}.")
    for kind in ("users", "roles"):
        if kind in parse and allowed.get(kind):
            raise invalid_form(
                "allowed_mentions",
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.',
            )


def page_of(
    messages: list[dict[str, Any]], limit: int, marks: Mapping[str, int], *, hidden: bool
) -> list[dict[str, Any]]:
    """One page, newest first.

    Args:
        messages: oldest first.
        limit: at most so many.
        marks: at most one of before, after and around, with the id.
        hidden: the bot lacks the Message Content Intent.
    """
    if "before" in marks:
        page = [one for one in messages if int(one["id"]) < marks["before"]][-limit:]
    elif "after" in marks:
        page = [one for one in messages if int(one["id"]) > marks["after"]][:limit]
    elif "around" in marks:
        at = next((n for n, one in enumerate(messages) if int(one["id"]) >= marks["around"]), len(messages))
        first = max(0, at - limit // 2)
        page = messages[first : first + limit]
    else:
        page = messages[-limit:]
    shown = page[::-1]
    if not hidden:
        return shown
    blank = {"content": "", "embeds": [], "attachments": [], "components": []}
    return [one if one["author"].get("bot") else one | blank for one in shown]


def _too_long(path: str, longest: int) -> DiscordError:
    return invalid_form(path, "BASE_TYPE_MAX_LENGTH", f"Must be {longest} or fewer in length.")
