"""What Telegram's side knows of a bot: its chats, its pictures, its updates and who waits for them."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import orjson

from hermes.sandbox.base import Stage
from hermes.sandbox.webhooks import Delivery, is_loopback

UPDATE_LIFE = 24 * 3600.0
NOT_BY_DEFAULT = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
SUPERGROUP_BASE = -1_000_000_000_000
LARGEST_ID = 1 << 52


class TelegramError(Exception):
    """A refusal in Telegram's words."""

    def __init__(self, code: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters


def bad_request(message: str, **parameters: Any) -> TelegramError:
    return TelegramError(400, f"Bad Request: {message}", **parameters)


REFUSING_CHATS: dict[int, TelegramError] = {
    404: bad_request("chat not found"),
    403: TelegramError(403, "Forbidden: bot was blocked by the user"),
    4031: TelegramError(403, "Forbidden: user is deactivated"),
    4032: TelegramError(403, "Forbidden: bot can't initiate conversation with a user"),
    4033: TelegramError(403, "Forbidden: bots can't send messages to bots"),
    429: TelegramError(429, "Too Many Requests: retry after 7", retry_after=7),
    -404: bad_request("chat not found"),
    -403: TelegramError(403, "Forbidden: bot was kicked from the group chat"),
    -410: TelegramError(403, "Forbidden: the group chat was deleted"),
    -400: bad_request(
        "group chat was upgraded to a supergroup chat", migrate_to_chat_id=SUPERGROUP_BASE - 400
    ),
    SUPERGROUP_BASE - 403: TelegramError(403, "Forbidden: bot was kicked from the supergroup chat"),
    SUPERGROUP_BASE - 404: TelegramError(403, "Forbidden: bot is not a member of the channel chat"),
    SUPERGROUP_BASE - 405: bad_request("not enough rights to send text messages to the chat"),
}  # fmt: skip
HIDDEN_CHATS = frozenset({404, -404, SUPERGROUP_BASE - 403, SUPERGROUP_BASE - 404})
"""Chats that `getChat` does not show either; the other refusing ones can be looked at, not written to."""


def person(number: int) -> dict[str, Any]:
    return {"id": number, "is_bot": False, "first_name": f"Person {number}", "username": f"person_{number}"}


def find_chat(given: str) -> dict[str, Any]:
    """The chat of a `chat_id` argument, as its `Chat` object.

    Raises:
        TelegramError: empty, or no such chat.
    """
    if not given:
        raise bad_request("chat_id is empty")
    if given.startswith("@"):
        name = given[1:]
        if not (name.isascii() and name.replace("_", "").isalnum() and 4 <= len(name) <= 32) or "missing" in name:
            raise bad_request("chat not found")
        number = SUPERGROUP_BASE - 1 - int.from_bytes(hashlib.sha256(name.lower().encode()).digest()[:4], "big")
        return {"id": number, "title": name, "username": name, "type": "channel"}
    try:
        number = int(given)
    except ValueError:
        raise bad_request("chat not found") from None
    if number == 0 or abs(number) >= LARGEST_ID:
        raise bad_request("chat not found")
    if number > 0:
        known = person(number)
        return {"id": number, "first_name": known["first_name"], "username": known["username"], "type": "private"}
    kind = "supergroup" if number < SUPERGROUP_BASE else "group"
    return {"id": number, "title": f"Group {-number}", "type": kind}


@dataclass(slots=True)
class _Poll:
    done: asyncio.Future[None]


@dataclass(slots=True)
class Webhook:
    url: str
    secret: str = field(repr=False)
    max_connections: int = 40
    ip_address: str = ""
    error: str = ""
    error_at: int = 0


class Bot:
    """One token's bot."""

    def __init__(self, token: str, stage: Stage) -> None:
        self.token = token
        self.number = int(token.partition(":")[0])
        self.username = f"sandbox_{self.number}_bot"
        self.last_message: dict[int, int] = {}
        self.pictures: dict[str, dict[str, Any]] = {}
        self.webhook: Webhook | None = None
        self.allowed: frozenset[str] | None = None
        self._stage = stage
        self._updates: deque[tuple[float, dict[str, Any]]] = deque()
        self._next_update = 100_000_000 + self.number % 800_000_000
        self._poll: _Poll | None = None
        self._delivering: int | None = None

    @property
    def user(self) -> dict[str, Any]:
        return {"id": self.number, "is_bot": True, "first_name": "Sandbox bot", "username": self.username}

    def next_message(self, chat: int) -> int:
        number = self.last_message.get(chat, 0) + 1
        self.last_message[chat] = number
        return number

    def has_message(self, chat: int, number: int) -> bool:
        return 1 <= number <= self.last_message.get(chat, 0)

    # updates

    def add_update(self, kind: str, content: dict[str, Any]) -> dict[str, Any] | None:
        """Queue an update, wake who waits for it, or post it to the webhook; None if the bot does not want the kind."""
        wanted = kind not in NOT_BY_DEFAULT if self.allowed is None else kind in self.allowed
        if not wanted:
            return None
        update = {"update_id": self._next_update, kind: content}
        self._next_update += 1
        self._updates.append((self._stage.clock.now(), update))
        if self._poll is not None and not self._poll.done.done():
            self._poll.done.set_result(None)
        self.push()
        return update

    def pending(self) -> int:
        self._expire()
        return len(self._updates)

    def drop_updates(self) -> None:
        self._updates.clear()

    def take_updates(self, offset: int, limit: int) -> list[dict[str, Any]]:
        """Confirm everything below `offset` (negative: keep that many from the end) and return what is next."""
        self._expire()
        if offset < 0:
            while len(self._updates) > -offset:
                self._updates.popleft()
        elif offset > 0 and offset <= self._next_update:
            while self._updates and self._updates[0][1]["update_id"] < offset:
                self._updates.popleft()
        return [update for _, update in list(self._updates)[:limit]]

    async def wait_updates(self, offset: int, limit: int, timeout: int, gone: asyncio.Future[None]) -> list[Any]:
        """As `take_updates`; if there is none, wait up to `timeout` seconds of simulated time for one.

        Raises:
            TelegramError: another getUpdates or a setWebhook came meanwhile.
        """
        found = self.take_updates(offset, limit)
        if found or timeout == 0:
            return found
        self.end_poll("terminated by other getUpdates request; make sure that only one bot instance is running")
        poll = _Poll(asyncio.get_running_loop().create_future())
        self._poll = poll
        over = asyncio.ensure_future(self._stage.clock.sleep(timeout))
        try:
            await asyncio.wait({poll.done, over, gone}, return_when=asyncio.FIRST_COMPLETED)
            if poll.done.done():
                poll.done.result()
        finally:
            over.cancel()
            if self._poll is poll:
                self._poll = None
        return self.take_updates(offset, limit)

    @property
    def polled(self) -> bool:
        """Whether somebody waits in getUpdates now."""
        return self._poll is not None

    def end_poll(self, why: str) -> None:
        """Refuse whoever waits in getUpdates now: the older request loses, as on the real server."""
        if self._poll is not None and not self._poll.done.done():
            self._poll.done.set_exception(TelegramError(409, f"Conflict: {why}"))

    def push(self) -> None:
        """Post the oldest update to the webhook, one at a time, in order."""
        hook = self.webhook
        self._expire()
        if hook is None or self._delivering is not None or not self._updates:
            return
        if not is_loopback(hook.url):
            hook.error, hook.error_at = "Connection refused", int(self._stage.clock.now())
            return
        update = self._updates[0][1]
        self._delivering = update["update_id"]
        headers = {"content-type": "application/json"}
        if hook.secret:
            headers["X-Telegram-Bot-Api-Secret-Token"] = hook.secret
        body = orjson.dumps(update)
        self._stage.webhooks.send("telegram", hook.url, body, headers, self._delivered)

    def _delivered(self, delivery: Delivery) -> None:
        hook = self.webhook
        number, self._delivering = self._delivering, None
        if hook is not None and delivery.status != "delivered":
            hook.error = f"Wrong response from the webhook: {delivery.answers[-1]}"
            hook.error_at = int(self._stage.clock.now())
        if self._updates and self._updates[0][1]["update_id"] == number:
            self._updates.popleft()
        self.push()

    def _expire(self) -> None:
        oldest = self._stage.clock.now() - UPDATE_LIFE
        while self._updates and self._updates[0][0] < oldest:
            self._updates.popleft()
