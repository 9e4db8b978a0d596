"""Discord's HTTP API, as discord.com/developers/docs says: one bot per token, its servers, channels and messages."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from hermes.sandbox.base import Action, ActionError, Field, Magic, Service, Stage, StandIn
from hermes.sandbox.discord_messages import check_message, page_of
from hermes.sandbox.discord_state import Bot, Channel, DiscordError, invalid_form, not_found, to_flag
from hermes.sandbox.http import Answer, Incoming, MalformedBody, account_key, html_error, json_answer
from hermes.sandbox.limits import RateLimiter
from hermes.sandbox.oauth_vendors import DISCORD

PATH = re.compile(r"^/v(\d{1,2})(/.*)$")
VERSIONS = frozenset({"9", "10"})
SIGNED_IN = ".oauth2."
"""In the token of a person's account; every other is a bot's."""
TOKEN = re.compile(r"^[A-Za-z0-9_-]{8,64}\.[A-Za-z0-9_-]{4,32}\.[A-Za-z0-9_-]{16,128}$")
USER_AGENT = re.compile(r"^DiscordBot \(https?://[^,\s]+, [^)]+\)")
SNOWFLAKE = re.compile(r"^(0|[1-9][0-9]*)$")
LARGEST_BODY = 25 * 1024 * 1024
LIMITED_FOR = 5
PER_ROUTE = 5
ROUTE_SECONDS = 5
STATUSES = {0: 401, 10003: 404, 10004: 404, 10008: 404, 10013: 404, 40001: 401, 40005: 413, 50001: 403, 50007: 403,
            50009: 403, 50013: 403, 50014: 401, 50025: 401, 50045: 413, 40007: 403, 160002: 403, 130000: 500,
            110000: 202, 20028: 429, 20029: 429}  # fmt: skip
MESSAGES = {
    0: "401: Unauthorized", 10003: "Unknown Channel", 10004: "Unknown Guild", 10008: "Unknown Message",
    20016: "This action cannot be performed due to slowmode rate limit", 40007: "The user is banned from this guild",
    50001: "Missing Access", 50006: "Cannot send an empty message", 50007: "Cannot send messages to this user",
    50008: "Cannot send messages in a non-text channel", 50013: "Missing Permissions", 50035: "Invalid Form Body",
    50109: "The request body contains invalid JSON.", 130000: "API resource is currently overloaded. Try again later.",
    200000: "Message was blocked by automatic moderation",
}  # fmt: skip


class DiscordService(Service):
    """All bots of the sandbox."""

    max_body = LARGEST_BODY

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._bots: dict[str, Bot] = {}
        limited = stage.options.vendor_limits
        self._global = RateLimiter(stage.clock, 50.0 if limited else None, burst=50)
        self._route = RateLimiter(stage.clock, PER_ROUTE / ROUTE_SECONDS if limited else None, burst=PER_ROUTE)
        self._used: dict[str, tuple[int, float]] = {}
        self.actions = (
            Action(
                "message",
                "A person writes in a channel",
                (
                    Field("token", "Bot token", "MTA….G….…"),
                    Field("text", "Text", "Hello!"),
                    Field("channel_id", "Channel id", "default: the first text channel", required=False),
                ),
                self._person_writes,
            ),
        )

    def token_of(self, incoming: Incoming) -> str | None:
        scheme, _, token = incoming.headers.get("authorization", "").partition(" ")
        return token.strip() or None if scheme in ("Bot", "Bearer") else None

    async def answer(self, incoming: Incoming) -> Answer:
        try:
            return self._run(incoming)
        except DiscordError as error:
            return _failure(error)

    def rate_limited(self, retry_after: int | None) -> Answer:
        if retry_after is None:
            # As Cloudflare, in front of Discord, answers: no JSON, and here not even the header.
            return html_error(429, "Too Many Requests")
        return _failure(_too_fast(float(retry_after)))

    def error(self, code: int, message: str | None) -> Answer:
        return _failure(DiscordError(STATUSES.get(code, 400), code, message or MESSAGES.get(code, "Unknown error")))

    def too_large(self) -> Answer:
        return _failure(DiscordError(413, 40005, "Request entity too large"))

    def account(self, token: str) -> dict[str, Any]:
        if not TOKEN.match(token):
            raise ActionError("token: three parts with dots between them, as the developer portal gives it")
        bot = self._bot(token)
        return {"bot_id": bot.id, "guild_id": bot.guilds[0]["id"], "channel_id": bot.first_text_channel().id}

    def reset(self) -> None:
        self._bots.clear()
        self._used.clear()
        self._global.clear()
        self._route.clear()

    # the way in

    def _run(self, incoming: Incoming) -> Answer:
        found = PATH.match(incoming.path)
        if found is None or found[1] not in VERSIONS:
            raise DiscordError(404, 0, "404: Not Found")
        if not USER_AGENT.match(incoming.headers.get("user-agent", "")):
            return html_error(403, "Forbidden")
        token = self.token_of(incoming)
        if token is None or not TOKEN.match(token):
            raise DiscordError(401, 0, MESSAGES[0])
        signed_in = SIGNED_IN in token
        if incoming.headers["authorization"].startswith("Bearer ") != signed_in:
            raise DiscordError(401, 0, MESSAGES[0])
        if "broken" in token:
            return html_error(502, "Bad Gateway")
        if "limited" in token:
            raise _too_fast(LIMITED_FOR)
        if "expired" in token or "revoked" in token:
            raise DiscordError(401, 0, MESSAGES[0])
        bot = self._bot(token)
        parts = found[2].strip("/").split("/")
        if signed_in and parts[0] != "users":
            raise DiscordError(401, 0, MESSAGES[0])  # no scope lets a person's token into servers
        bucket = f"{token} {incoming.method} {parts[0]} {parts[1] if len(parts) > 1 else ''} {parts[-1]}"
        wait = self._global.take(token)
        if wait:
            raise _too_fast(wait, everywhere=True)
        wait = self._route.take(bucket)
        if wait:
            raise _too_fast(wait)
        return json_answer(self._routed(bot, incoming, parts), headers=self._headers(bucket))

    def _routed(self, bot: Bot, incoming: Incoming, parts: list[str]) -> Any:
        query = incoming.query_args()
        match (incoming.method, *parts):
            case ("GET", "users", "@me"):
                return bot.user | {
                    "flags": 0, "mfa_enabled": False, "locale": "en-US", "premium_type": 0, "email": None,
                    "verified": True,
                }  # fmt: skip
            case ("GET", "users", "@me", "guilds"):
                return self._guilds(bot, query)
            case ("GET", "guilds", guild_id, "channels"):
                return [channel.shown() for channel in self._guild(bot, guild_id) if not channel.is_thread]
            case ("GET", "guilds", guild_id, "threads", "active"):
                threads = [channel.shown() for channel in self._guild(bot, guild_id) if channel.is_thread]
                return {"threads": threads, "members": [], "has_more": False}
            case ("GET", "channels", channel_id, "messages"):
                return self._messages(bot, channel_id, query)
            case ("POST", "channels", channel_id, "messages"):
                return self._post(bot, channel_id, incoming)
        raise DiscordError(404, 0, "404: Not Found")

    # methods

    def _guilds(self, bot: Bot, query: Mapping[str, str]) -> list[dict[str, Any]]:
        limit = _limit(query, 200, 200)
        after, before = _snowflake(query, "after"), _snowflake(query, "before")
        counts = to_flag(query.get("with_counts"))
        found = [
            guild
            for guild in bot.guilds
            if (after is None or int(guild["id"]) > after) and (before is None or int(guild["id"]) < before)
        ]
        page = found[-limit:] if before is not None and after is None else found[:limit]
        extra = {"approximate_member_count": 42, "approximate_presence_count": 7} if counts else {}
        return [guild | extra for guild in page]

    def _guild(self, bot: Bot, guild_id: str) -> list[Channel]:
        _check_snowflake("guild_id", guild_id)
        if guild_id not in {guild["id"] for guild in bot.guilds}:
            raise not_found(10004)
        return bot.channels_of(guild_id)

    def _messages(self, bot: Bot, channel_id: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        channel = self._channel(bot, channel_id)
        if channel.kind in (4, 14, 15, 16):
            raise DiscordError(400, 50008, MESSAGES[50008])
        marks = {name: _snowflake(query, name) for name in ("before", "after", "around")}
        given = {name: mark for name, mark in marks.items() if mark is not None}
        if len(given) > 1:
            raise invalid_form(list(given)[-1], "PARAMETER_CONFLICT", "Only one of before, after and around may be set")
        limit = _limit(query, 50, 100)
        if channel.name == "no-history":
            return []
        return page_of(bot.messages_of(channel), limit, given, hidden="hidden" in bot.token)

    def _post(self, bot: Bot, channel_id: str, incoming: Incoming) -> dict[str, Any]:
        channel = self._channel(bot, channel_id)
        body = _json(incoming)
        if channel.kind in (4, 14, 15, 16):
            raise DiscordError(400, 50008, MESSAGES[50008])
        check_message(body)
        refusal = channel.refusal
        if refusal:
            raise DiscordError(STATUSES.get(refusal, 400), refusal, MESSAGES[refusal], retry_after=channel.slowmode)
        text = body.get("content") or ""
        if "automod" in text.lower():
            raise DiscordError(400, 200000, MESSAGES[200000])
        message, is_new = bot.post(channel, body)
        if is_new:
            self._stage.note("discord", bot.token, "out", bot.id, channel.id, "text", text, message["id"], "sent")
        return message

    def _channel(self, bot: Bot, channel_id: str) -> Channel:
        _check_snowflake("channel_id", channel_id)
        channel = bot.channel(channel_id)
        if channel is None:
            raise not_found(10003)
        if channel.name == "private":
            raise DiscordError(403, 50001, MESSAGES[50001])
        return channel

    # parts

    def _bot(self, token: str) -> Bot:
        bot = self._bots.get(token)
        if bot is None:
            bot = self._bots[token] = Bot(token, self._stage.clock)
        return bot

    def _headers(self, bucket: str) -> tuple[tuple[str, str], ...]:
        """What is left of the route's bucket; it is told always, and held to only with the vendors' limits on."""
        now = self._stage.clock.now()
        used, ends = self._used.get(bucket, (0, 0.0))
        used, ends = (1, now + ROUTE_SECONDS) if now >= ends else (used + 1, ends)
        self._used[bucket] = used, ends
        return (
            ("X-RateLimit-Limit", str(PER_ROUTE)),
            ("X-RateLimit-Remaining", str(max(0, PER_ROUTE - used))),
            ("X-RateLimit-Reset", f"{ends:.3f}"),
            ("X-RateLimit-Reset-After", f"{ends - now:.3f}"),
            ("X-RateLimit-Bucket", account_key(bucket.partition(" ")[2])),
        )

    async def _person_writes(self, given: Mapping[str, str]) -> dict[str, Any]:
        self.account(given["token"])
        bot = self._bot(given["token"])
        wanted = given.get("channel_id")
        channel = bot.channel(wanted) if wanted else bot.first_text_channel()
        if channel is None:
            raise ActionError("channel_id: one of the bot's channels")
        message = bot.person_writes(channel, given["text"])
        self._stage.note(
            "discord", bot.token, "in", bot.id, channel.id, "text", given["text"], message["id"], "received"
        )
        return {"message": message}


def _json(incoming: Incoming) -> dict[str, Any]:
    if incoming.content_type != "application/json":
        raise invalid_form("_content_type", "CONTENT_TYPE_INVALID", 'Expected "Content-Type" header to be json')
    try:
        return incoming.json_object()
    except MalformedBody:
        raise DiscordError(400, 50109, MESSAGES[50109]) from None


def _limit(query: Mapping[str, str], default: int, largest: int) -> int:
    given = query.get("limit")
    if given is None:
        return default
    if not given.isdigit() or not 1 <= int(given) <= largest:
        raise invalid_form("limit", "NUMBER_TYPE_MAX", f"int value should be between 1 and {largest}.")
    return int(given)


def _snowflake(query: Mapping[str, str], name: str) -> int | None:
    given = query.get(name)
    if given is None:
        return None
    _check_snowflake(name, given)
    return int(given)


def _check_snowflake(name: str, given: str) -> None:
    if not SNOWFLAKE.match(given):
        raise invalid_form(name, "NUMBER_TYPE_COERCE", f'Value "{given[:40]}" is not snowflake.')


def _too_fast(seconds: float, *, everywhere: bool = False) -> DiscordError:
    return DiscordError(429, 0, "You are being rate limited.", retry_after=seconds, everywhere=everywhere)


def _failure(error: DiscordError) -> Answer:
    body: dict[str, Any] = {"message": error.message, "code": error.code}
    if error.errors:
        body["errors"] = error.errors
    if error.retry_after is None:
        return json_answer(body, error.status)
    body["retry_after"] = error.retry_after
    if error.status != 429:
        return json_answer(body, error.status)
    del body["code"]
    body["global"] = error.everywhere
    headers = [("Retry-After", str(math.ceil(error.retry_after)))]
    headers.append(("X-RateLimit-Scope", "global" if error.everywhere else "user"))
    if error.everywhere:
        headers.append(("X-RateLimit-Global", "true"))
    return json_answer(body, 429, tuple(headers))


stand_in = StandIn(
    id="discord",
    title="Discord",
    create=DiscordService,
    oauth=(DISCORD,),
    magic=(
        Magic("any token of three parts with dots between them", "a bot of its own, in three servers"),
        Magic("token containing expired or revoked", "401: Unauthorized"),
        Magic("token containing limited", f"429, retry after {LIMITED_FOR}"),
        Magic("token containing broken", "502 with an HTML page"),
        Magic("token containing many", "a bot in 450 servers"),
        Magic("token containing hidden", "a bot without the Message Content Intent: people's texts come empty"),
        Magic("channel #private", "403, code 50001 Missing Access"),
        Magic("channel #read-only", "403, code 50013 Missing Permissions for messages"),
        Magic("channel #slow", "400, code 20016 slowmode with retry_after for messages"),
        Magic("channel #no-history", "an empty list: the bot lacks Read Message History"),
        Magic("channel #ideas, a category", "400, code 50008: a forum takes no messages"),
        Magic("content containing automod", "400, code 200000 blocked by automatic moderation"),
    ),
)
