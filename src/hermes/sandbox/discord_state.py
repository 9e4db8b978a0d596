"""One bot of the Discord stand-in: its servers, channels and messages, all of which follow from its token."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from hermes.sandbox.clock import Clock
from hermes.sandbox.http import account_key, derived_digits

EPOCH_MS = 1_420_070_400_000
"""Discord's: 2015. An id's first 42 bits are milliseconds since then."""

NONCE_SECONDS = 300.0
SEEDED = 120
LAYOUT: tuple[tuple[str, int, str | None], ...] = (
    ("Text", 4, None),
    ("general", 0, "Text"),
    ("private", 0, "Text"),
    ("read-only", 0, "Text"),
    ("slow", 0, "Text"),
    ("no-history", 0, "Text"),
    ("news", 5, "Text"),
    ("ideas", 15, "Text"),
    ("Voice", 4, None),
    ("lounge", 2, "Voice"),
    ("rules", 0, None),
    ("a thread", 11, "general"),
)
"""Every server's channels: name, type, and what they belong to."""

REFUSALS = {"read-only": 50013, "slow": 20016}


class DiscordError(Exception):
    """A refusal as Discord words it."""

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        *,
        errors: dict[str, Any] | None = None,
        retry_after: float | None = None,
        everywhere: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors
        self.retry_after = retry_after
        self.everywhere = everywhere


def invalid_form(path: str, code: str, message: str) -> DiscordError:
    """50035, with the leaf at `path` (dots between its parts)."""
    tree: dict[str, Any] = {"_errors": [{"code": code, "message": message}]}
    for name in reversed(path.split(".")):
        tree = {name: tree}
    return DiscordError(400, 50035, "Invalid Form Body", errors=tree)


def not_found(code: int) -> DiscordError:
    names = {10003: "Unknown Channel", 10004: "Unknown Guild", 10008: "Unknown Message"}
    return DiscordError(404, code, names[code])


def to_flag(value: str | None) -> bool:
    return value in ("true", "True", "1")


@dataclass(slots=True)
class Channel:
    id: str
    guild_id: str
    name: str
    kind: int
    parent_id: str | None
    position: int

    @property
    def is_thread(self) -> bool:
        return self.kind in (10, 11, 12)

    @property
    def refusal(self) -> int | None:
        return REFUSALS.get(self.name)

    @property
    def slowmode(self) -> float | None:
        return 12.5 if self.name == "slow" else None

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": self.kind,
            "flags": 0,
            "guild_id": self.guild_id,
            "name": self.name,
            "parent_id": self.parent_id,
            "position": self.position,
            "topic": f"About {self.name}" if self.kind == 0 else None,
            "nsfw": False,
            "rate_limit_per_user": 13 if self.name == "slow" else 0,
            "permission_overwrites": [],
            "last_message_id": None,
        }


@dataclass
class Bot:
    """All that one token sees."""

    token: str = field(repr=False)
    clock: Clock
    guilds: list[dict[str, Any]] = field(init=False, repr=False)
    user: dict[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.id = derived_digits(self.token, "discord-bot", 18)
        self.user = person(self.id, f"sandbox-{account_key(self.token)[:6]}", "Sandbox bot") | {"bot": True}
        first = int(derived_digits(self.token, "discord-guild", 17)) // 1000 * 1000
        how_many = 450 if "many" in self.token else 3
        self.guilds = [self._guild(str(first + 1000 * number), number) for number in range(how_many)]
        self._guild_ids = {guild["id"] for guild in self.guilds}
        self._messages: dict[str, list[dict[str, Any]]] = {}
        self._nonces: dict[str, tuple[float, dict[str, Any]]] = {}
        self._sequence = count(1)

    def _guild(self, guild_id: str, number: int) -> dict[str, Any]:
        return {
            "id": guild_id,
            "name": f"Server {number + 1}",
            "icon": None,
            "banner": None,
            "owner": False,
            "permissions": "274878024704",
            "features": [],
        }

    def channels_of(self, guild_id: str) -> list[Channel]:
        ids = {name: str(int(guild_id) + number) for number, (name, _, _) in enumerate(LAYOUT, start=1)}
        return [
            Channel(ids[name], guild_id, name, kind, ids.get(home or ""), position)
            for position, (name, kind, home) in enumerate(LAYOUT)
        ]

    def channel(self, channel_id: str) -> Channel | None:
        if not channel_id.isdigit():
            return None
        guild_id = str(int(channel_id) // 1000 * 1000)
        if guild_id not in self._guild_ids:
            return None
        return next((one for one in self.channels_of(guild_id) if one.id == channel_id), None)

    def first_text_channel(self) -> Channel:
        return next(one for one in self.channels_of(self.guilds[0]["id"]) if one.name == "general")

    def messages_of(self, channel: Channel) -> list[dict[str, Any]]:
        """A channel's messages, oldest first; #general of the first server has had a past."""
        messages = self._messages.get(channel.id)
        if messages is None:
            messages = self._messages[channel.id] = []
            if channel.id == self.first_text_channel().id:
                for number in range(SEEDED):
                    at = self.clock.now() - 60.0 * (SEEDED - number)
                    writer = person(f"80351110224678{number % 3:04d}", f"person{number % 3}", f"Person {number % 3}")
                    messages.append(self._message(channel, writer, f"Message {number + 1}", at))
        return messages

    def post(self, channel: Channel, body: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Post as the bot. Returns the message and whether it is new: an enforced nonce brings back the first one."""
        now = self.clock.now()
        nonce = body.get("nonce")
        known = self._nonces.get(str(nonce)) if nonce is not None and body.get("enforce_nonce") is True else None
        if known is not None and now - known[0] < NONCE_SECONDS:
            return known[1], False
        reference = body.get("message_reference")
        messages = self.messages_of(channel)
        message = self._message(channel, self.user, body.get("content") or "", now)
        if reference:
            if not any(one["id"] == reference.get("message_id") for one in messages):
                raise invalid_form("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
            message |= {"type": 19, "message_reference": reference | {"channel_id": channel.id}}
        message["embeds"] = [{"type": "rich", **embed} for embed in body.get("embeds") or ()]
        message["flags"] = body.get("flags") or 0
        message["mention_everyone"] = _pings_everyone(body)
        if nonce is not None:
            message["nonce"] = nonce
            self._nonces[str(nonce)] = now, message
        messages.append(message)
        return message, True

    def person_writes(self, channel: Channel, text: str) -> dict[str, Any]:
        writer = person("803511102246780007", "someone", "Someone")
        message = self._message(channel, writer, text, self.clock.now())
        self.messages_of(channel).append(message)
        return message

    def _message(self, channel: Channel, author: dict[str, Any], content: str, at: float) -> dict[str, Any]:
        number = ((int(at * 1000) - EPOCH_MS) << 22) | next(self._sequence)
        return {
            "id": str(number),
            "channel_id": channel.id,
            "author": author,
            "content": content,
            "timestamp": datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds"),
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "attachments": [],
            "embeds": [],
            "pinned": False,
            "type": 0,
            "flags": 0,
            "components": [],
        }


def person(number: str, username: str, name: str) -> dict[str, Any]:
    return {
        "id": number,
        "username": username,
        "avatar": None,
        "discriminator": "0",
        "public_flags": 0,
        "flags": 0,
        "global_name": name,
    }


def _pings_everyone(body: dict[str, Any]) -> bool:
    """Without `allowed_mentions`, Discord pings whoever the text mentions."""
    text = body.get("content") or ""
    allowed = body.get("allowed_mentions")
    parse = ["everyone"] if allowed is None else allowed.get("parse") or []
    return "everyone" in parse and ("@everyone" in text or "@here" in text)
