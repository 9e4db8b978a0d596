"""Telegram's Bot API, as core.telegram.org/bots/api says and its server (tdlib/telegram-bot-api) answers."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from hermes.sandbox.base import Action, ActionError, Field, Magic, Service, Stage, StandIn
from hermes.sandbox.http import Answer, Incoming, Upload, html_error, json_answer
from hermes.sandbox.limits import RateLimiter
from hermes.sandbox.telegram_args import Args, arguments, formatted, integer, json_value, reply_to
from hermes.sandbox.telegram_markup import utf16_length
from hermes.sandbox.telegram_photos import named_photo, upload_of, uploaded_photo
from hermes.sandbox.telegram_state import (
    HIDDEN_CHATS,
    REFUSING_CHATS,
    SUPERGROUP_BASE,
    Bot,
    TelegramError,
    Webhook,
    bad_request,
    find_chat,
    person,
)
from hermes.sandbox.webhooks import is_loopback

TOKEN = re.compile(r"^\d+:[A-Za-z0-9_-]{20,}$")
PATH = re.compile(r"^/bot([^/]*)/(?:test/)?([^/]*)/?$")
LONGEST_TOKEN = 80
LONGEST_TEXT = 4096
LONGEST_CAPTION = 1024
LONGEST_POLL = 50
DEFAULT_RETRY_AFTER = 5
REASONS = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}
Method = Callable[[Bot, Args, dict[str, Upload], Incoming], Awaitable[Any]]


class Described(dict[str, Any]):
    """A result that comes with a description beside it, as setWebhook's does."""


class TelegramService(Service):
    """All bots of the sandbox."""

    max_body = 50 * 1024 * 1024

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._bots: dict[str, Bot] = {}
        limited = stage.options.vendor_limits
        self._per_chat = RateLimiter(stage.clock, 1.0 if limited else None, burst=3)
        self._per_group = RateLimiter(stage.clock, 20 / 60 if limited else None, burst=20)
        self._per_bot = RateLimiter(stage.clock, 30.0 if limited else None, burst=30)
        self._methods: dict[str, Method] = {
            "getme": self._get_me,
            "sendmessage": self._send_message,
            "sendphoto": self._send_photo,
            "getupdates": self._get_updates,
            "getchat": self._get_chat,
            "setwebhook": self._set_webhook,
            "deletewebhook": self._delete_webhook,
            "getwebhookinfo": self._get_webhook_info,
        }
        self.actions = (
            Action(
                "message",
                "A person writes to the bot",
                (
                    Field("token", "Bot token", "123456789:AAE…"),
                    Field("text", "Text", "Hello!"),
                    Field("chat_id", "Chat id (a person's or a group's)", "5551234", required=False),
                    Field("from_id", "Person's id", "5551234", required=False),
                ),
                self._person_writes,
            ),
        )

    # what every stand-in has

    def token_of(self, incoming: Incoming) -> str | None:
        found = PATH.match(incoming.path)
        return found[1] or None if found else None

    async def answer(self, incoming: Incoming) -> Answer:
        try:
            return await self._run(incoming)
        except TelegramError as error:
            return _failure(error)

    def rate_limited(self, retry_after: int | None) -> Answer:
        if retry_after is None:
            return _failure(TelegramError(429, "Too Many Requests"))
        return _failure(_too_fast(retry_after))

    def error(self, code: int, message: str | None) -> Answer:
        status = code if 400 <= code <= 599 else 400
        return _failure(TelegramError(status, message or REASONS.get(status, "Bad Request")))

    def too_large(self) -> Answer:
        return _failure(TelegramError(413, "Request Entity Too Large"))

    def account(self, token: str) -> dict[str, Any]:
        if not TOKEN.match(token):
            raise ActionError("token: digits, a colon, at least 20 of A-Z a-z 0-9 _ -")
        bot = self._bot(token)
        return {"bot_id": bot.number, "username": bot.username, "pending_updates": bot.pending()}

    def reset(self) -> None:
        self._bots.clear()
        for limiter in (self._per_chat, self._per_group, self._per_bot):
            limiter.clear()

    # the way in

    async def _run(self, incoming: Incoming) -> Answer:
        found = PATH.match(incoming.path)
        if not found or not TOKEN.match(found[1]):
            raise TelegramError(404, "Not Found")
        token, name = found[1], found[2].lower()
        if token[0] == "0" or len(token) > LONGEST_TOKEN:
            raise TelegramError(401, "Unauthorized: invalid token specified")
        if "broken" in token:
            return html_error(502, "Bad Gateway")
        if "limited" in token:
            raise _too_fast(DEFAULT_RETRY_AFTER)
        if "revoked" in token or "expired" in token:
            raise TelegramError(401, "Unauthorized")
        method = self._methods.get(name)
        if method is None:
            raise TelegramError(404, "Not Found: method not found")
        if incoming.method not in ("GET", "POST"):
            raise TelegramError(405, "Method Not Allowed")
        args, files = await arguments(incoming)
        result = await method(self._bot(token), args, files, incoming)
        if isinstance(result, Described):
            return json_answer({"ok": True, **result})
        return json_answer({"ok": True, "result": result})

    def _bot(self, token: str) -> Bot:
        bot = self._bots.get(token)
        if bot is None:
            bot = self._bots[token] = Bot(token, self._stage)
        return bot

    # methods

    async def _get_me(self, bot: Bot, _args: Args, _files: Any, _incoming: Incoming) -> dict[str, Any]:
        return bot.user | {
            "can_join_groups": True,
            "can_read_all_group_messages": False,
            "supports_guest_queries": False,
            "supports_inline_queries": False,
            "can_connect_to_business": False,
            "has_main_web_app": False,
            "has_topics_enabled": False,
            "allows_users_to_create_topics": False,
            "can_manage_bots": False,
            "supports_join_request_queries": False,
        }

    async def _send_message(self, bot: Bot, args: Args, _files: Any, _incoming: Incoming) -> dict[str, Any]:
        if not args.get("text"):
            raise bad_request("message text is empty")
        text, entities = formatted(args, "text", "entities")
        chat, reply = self._destination(bot, args)
        if not text:
            raise bad_request("text must be non-empty")
        if utf16_length(text) > LONGEST_TEXT:
            raise bad_request("message is too long")
        content: dict[str, Any] = {"text": text}
        if entities:
            content["entities"] = entities
        return self._sent(bot, chat, reply, args, content, "text", text)

    async def _send_photo(self, bot: Bot, args: Args, files: dict[str, Upload], _incoming: Incoming) -> dict[str, Any]:
        upload = upload_of(args, files)
        if upload is None and (not args.get("photo") or args["photo"].startswith("attach://")):
            raise bad_request("there is no photo in the request")
        caption, entities = formatted(args, "caption", "caption_entities") if args.get("caption") else ("", [])
        chat, reply = self._destination(bot, args)
        sizes = uploaded_photo(bot, upload) if upload is not None else named_photo(bot, args["photo"])
        if utf16_length(caption) > LONGEST_CAPTION:
            raise bad_request("message caption is too long")
        content: dict[str, Any] = {"photo": sizes}
        if caption:
            content["caption"] = caption
        if entities:
            content["caption_entities"] = entities
        if args.get("has_spoiler", "").lower() == "true":
            content["has_media_spoiler"] = True
        return self._sent(bot, chat, reply, args, content, "photo", caption)

    async def _get_updates(self, bot: Bot, args: Args, _files: Any, incoming: Incoming) -> list[dict[str, Any]]:
        if bot.webhook is not None:
            raise TelegramError(
                409,
                "Conflict: can't use getUpdates method while webhook is active; "
                "use deleteWebhook to delete the webhook first",
            )
        _remember_allowed(bot, args)
        offset = integer(args, "offset", 0)
        limit = min(max(integer(args, "limit", 100), 1), 100)
        timeout = min(max(integer(args, "timeout", 0), 0), LONGEST_POLL)
        if timeout == 0:
            return bot.take_updates(offset, limit)
        gone = asyncio.ensure_future(incoming.gone())
        try:
            return await bot.wait_updates(offset, limit, timeout, gone)
        finally:
            gone.cancel()

    async def _get_chat(self, _bot: Bot, args: Args, _files: Any, _incoming: Incoming) -> dict[str, Any]:
        chat = find_chat(args.get("chat_id", ""))
        if chat["id"] in HIDDEN_CHATS:
            raise REFUSING_CHATS[chat["id"]]
        full = chat | {
            "accent_color_id": abs(chat["id"]) % 7,
            "max_reaction_count": 11,
            "accepted_gift_types": {
                "unlimited_gifts": True,
                "limited_gifts": True,
                "unique_gifts": True,
                "premium_subscription": True,
                "gifts_from_channels": True,
            },
        }
        if chat["type"] == "private":
            return full | {"active_usernames": [chat["username"]], "bio": f"Bio of {chat['first_name']}"}
        allowed = {"can_send_messages": True, "can_send_photos": True, "can_invite_users": True}
        return full | {"description": f"About {chat['title']}", "permissions": allowed}

    async def _set_webhook(self, bot: Bot, args: Args, _files: Any, _incoming: Incoming) -> Described:
        url = args.get("url", "")
        if not url:
            return await self._delete_webhook(bot, args, _files, _incoming)
        secret = args.get("secret_token", "")
        _check_webhook(url, secret)
        bot.end_poll("terminated by setWebhook request")
        if args.get("drop_pending_updates", "").lower() == "true":
            bot.drop_updates()
        was = bot.webhook
        connections = min(max(integer(args, "max_connections", 40), 1), 100)
        bot.webhook = Webhook(url, secret, connections, args.get("ip_address", ""))
        _remember_allowed(bot, args)
        bot.push()
        same = was is not None and (was.url, was.secret) == (url, secret)
        return Described(result=True, description=f"Webhook {'is already' if same else 'was'} set")

    async def _delete_webhook(self, bot: Bot, args: Args, _files: Any, _incoming: Incoming) -> Described:
        was, bot.webhook = bot.webhook, None
        if args.get("drop_pending_updates", "").lower() == "true":
            bot.drop_updates()
        return Described(result=True, description=f"Webhook {'was' if was else 'is already'} deleted")

    async def _get_webhook_info(self, bot: Bot, _args: Args, _files: Any, _incoming: Incoming) -> dict[str, Any]:
        hook = bot.webhook
        info: dict[str, Any] = {
            "url": hook.url if hook else "",
            "has_custom_certificate": False,
            "pending_update_count": bot.pending(),
        }
        if hook is None:
            return info
        if hook.error:
            info |= {"last_error_date": hook.error_at, "last_error_message": hook.error}
        if bot.allowed is not None:
            info["allowed_updates"] = sorted(bot.allowed)
        return info | {"max_connections": hook.max_connections, "ip_address": hook.ip_address or "<unknown>"}

    # parts

    def _destination(self, bot: Bot, args: Args) -> tuple[dict[str, Any], int | None]:
        """The chat and the message replied to; refuses what Telegram refuses, in its order."""
        replied, without = reply_to(args)
        chat = find_chat(args.get("chat_id", ""))
        refusal = REFUSING_CHATS.get(chat["id"])
        if refusal is not None:
            raise refusal
        wait = self._per_bot.take(bot.token) or self._per_chat.take((bot.token, chat["id"]))
        if not wait and chat["id"] < 0:
            wait = self._per_group.take((bot.token, chat["id"]))
        if wait:
            raise _too_fast(math.ceil(wait))
        if replied is not None and not bot.has_message(chat["id"], replied):
            if not without:
                raise bad_request("message to be replied not found")
            replied = None
        return chat, replied

    def _sent(
        self,
        bot: Bot,
        chat: dict[str, Any],
        reply: int | None,
        args: Args,
        content: dict[str, Any],
        kind: str,
        text: str,
    ) -> dict[str, Any]:
        number = bot.next_message(chat["id"])
        now = int(self._stage.clock.now())
        message: dict[str, Any] = {"message_id": number}
        if chat["type"] == "channel":
            message["sender_chat"] = chat
        else:
            message["from"] = bot.user
        message |= {"chat": chat, "date": now}
        if integer(args, "message_thread_id", 0) > 0:
            message["message_thread_id"] = integer(args, "message_thread_id", 0)
        if reply is not None:
            message["reply_to_message"] = {"message_id": reply, "chat": chat, "date": now}
        if args.get("protect_content", "").lower() == "true":
            message["has_protected_content"] = True
        self._stage.note(
            "telegram", bot.token, "out", str(bot.number), str(chat["id"]), kind, text, str(number), "sent"
        )
        return message | content

    async def _person_writes(self, given: Mapping[str, str]) -> dict[str, Any]:
        self.account(given["token"])
        bot = self._bot(given["token"])
        try:
            writer = int(given.get("from_id") or (given.get("chat_id") or "5551234").lstrip("-"))
            chat = find_chat(given.get("chat_id") or str(writer))
        except (ValueError, TelegramError) as error:
            raise ActionError("chat_id, from_id: ids as Telegram has them") from error
        text = given["text"]
        number = bot.next_message(chat["id"])
        kind = "channel_post" if chat["type"] == "channel" else "message"
        message: dict[str, Any] = {"message_id": number}
        message |= (
            {"sender_chat": chat} if kind == "channel_post" else {"from": person(writer) | {"language_code": "en"}}
        )
        message |= {"chat": chat, "date": int(self._stage.clock.now()), "text": text}
        command = re.match(r"/\w+", text)
        if command:
            message["entities"] = [{"type": "bot_command", "offset": 0, "length": command.end()}]
        update = bot.add_update(kind, message)
        self._stage.note(
            "telegram", bot.token, "in", str(bot.number), str(chat["id"]), "text", text, str(number), "received"
        )
        return {"update": update}


def _remember_allowed(bot: Bot, args: Args) -> None:
    if args.get("allowed_updates"):
        value = json_value(args["allowed_updates"])
        if isinstance(value, list):
            bot.allowed = frozenset(str(one) for one in value) or None


def _check_webhook(url: str, secret: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        raise bad_request("invalid webhook URL specified") from None
    if not is_loopback(url):
        if parts.scheme != "https" or not parts.hostname:
            raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
        if port not in (443, 80, 88, 8443):
            raise bad_request("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
    if len(secret) > 256:
        raise bad_request("secret token is too long")
    if not re.fullmatch(r"[A-Za-z0-9_-]*", secret):
        raise bad_request("secret token contains unallowed characters")


def _too_fast(seconds: int) -> TelegramError:
    return TelegramError(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)


def _failure(error: TelegramError) -> Answer:
    value: dict[str, Any] = {"ok": False, "error_code": error.code, "description": error.description}
    if error.parameters:
        value["parameters"] = error.parameters
    after = error.parameters.get("retry_after")
    return json_answer(value, error.code, (("Retry-After", str(after)),) if after else ())


stand_in = StandIn(
    id="telegram",
    title="Telegram",
    create=TelegramService,
    magic=(
        Magic("any token <digits>:<20 or more of A-Z a-z 0-9 _ ->", "a bot of its own whose id is the digits"),
        Magic("token containing expired or revoked", "401 Unauthorized"),
        Magic("token containing limited", f"429, retry after {DEFAULT_RETRY_AFTER}"),
        Magic("token containing broken", "502 with an HTML page"),
        Magic("chat_id: any other positive id", "a private chat with a person"),
        *(
            Magic(f"chat_id {number}", f"{error.code} {error.description}")
            for number, error in sorted(REFUSING_CHATS.items(), key=lambda item: (item[0] < 0, abs(item[0])))
        ),
        Magic(f"chat_id below {SUPERGROUP_BASE}, other negative ids, @name", "a supergroup, a group, a channel"),
        Magic("chat_id @…missing…", "400 Bad Request: chat not found"),
        Magic("photo: URL with missing in its path", "400 Bad Request: failed to get HTTP URL content"),
        Magic("photo: URL ending in .html, .txt or .pdf", "400 Bad Request: wrong type of the web page content"),
    ),
)
