"""Discord's HTTP API for one bot: credentials, requests, and what its answers mean.

Source: https://discord.com/developers/docs/reference unless another is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import AfterValidator, BaseModel, Field, SecretStr, TypeAdapter, ValidationError, model_validator

from hermes.errors import HermesError, PlatformRejected
from hermes.net.answers import retry_after as asked_to_wait
from hermes.net.upstream import UpstreamResponse
from hermes.platforms.base import ApiContext, Credentials, Env, Setting
from hermes.platforms.discord.errors import UNCLEAR, refusal_error

API_VERSION = Setting("DISCORD_API_VERSION", "v10", "version of Discord's HTTP API")

USER_AGENT: Final = f"DiscordBot (https://squaremcp.com, {version('squaremcp-hermes')})"
"""Discord wants this form; other agents may be blocked. Source: "User Agent"."""

_VERSION = re.compile(r"v[0-9]{1,2}\Z")
_TOKEN = re.compile(r"(?:Bot )?([A-Za-z0-9_-]{8,64}\.[A-Za-z0-9_-]{4,32}\.[A-Za-z0-9_-]{16,128})\Z")

M = TypeVar("M", bound=BaseModel)


def _well_formed(token: SecretStr | None) -> SecretStr | None:
    if token is None:
        return None
    found = _TOKEN.match(token.get_secret_value().strip())
    if found is None:
        raise ValueError("must be a bot's token from the developer portal: three parts with dots between them")
    return SecretStr(found[1])


class DiscordCredentials(Credentials):
    """A bot's token, from Discord's developer portal, which does not expire; or a person's, who signed in.

    A person's shows who they are and which servers they are in. Channels and messages are for bots.
    """

    bot_token: Annotated[
        SecretStr | None, Field(alias="botToken"), AfterValidator(_well_formed), Env("DISCORD_BOT_TOKEN")
    ] = None
    access_token: Annotated[SecretStr | None, Field(alias="accessToken", min_length=8, max_length=4096)] = None
    refresh_token: Annotated[SecretStr | None, Field(alias="refreshToken", min_length=8, max_length=4096)] = None
    expires_at: Annotated[datetime | None, Field(alias="expiresAt")] = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.bot_token is None) == (self.access_token is None):
            raise ValueError("give a bot's token (botToken)")
        return self


class DiscordApi:
    """One bot's HTTP API."""

    def __init__(self, context: ApiContext, credentials: DiscordCredentials) -> None:
        self.context = context
        self._authorization = _authorization(credentials)
        self._is_bot = credentials.bot_token is not None
        chosen = context.setting(API_VERSION)
        self._version = chosen if _VERSION.match(chosen) else API_VERSION.default

    async def get(self, path: str, **query: str | int) -> tuple[Any, UpstreamResponse]:
        """Read `path`, which is made of checked ids and fixed words. Returns the JSON, and the answer it came in.

        Raises:
            HermesError: a refusal, understood; or no clear answer.
        """
        return await self._request("GET", path, query, None)

    async def post(self, path: str, body: Mapping[str, Any]) -> tuple[Any, UpstreamResponse]:
        """Write to `path`. Raises `HermesError` as `get` does."""
        return await self._request("POST", path, {}, body)

    def read(self, model: type[M], content: Any, response: UpstreamResponse) -> M:
        """Read a result.

        Raises:
            HermesError: it is not what was expected, so it is not clear what happened.
        """
        try:
            return model.model_validate(content)
        except ValidationError:
            pass  # its text holds parts of the answer
        raise self.context.http.unclear(response)

    def read_list(self, model: type[M], content: Any, response: UpstreamResponse) -> list[M]:
        """Read a list of results. Raises as `read`."""
        try:
            return TypeAdapter(list[model]).validate_python(content)  # type: ignore[valid-type]  # built at run time
        except ValidationError:
            pass  # its text holds parts of the answer
        raise self.context.http.unclear(response)

    async def _request(
        self, method: str, path: str, query: Mapping[str, str | int], body: Mapping[str, Any] | None
    ) -> tuple[Any, UpstreamResponse]:
        if not self._is_bot and not path.startswith("users/@me"):
            raise PlatformRejected(
                "The linked Discord account is a person's, and Discord lets only bots see channels and send messages. "
                "Link a bot with its token from the developer portal.",
                nothing_sent=True,
            )
        response = await self.context.http.request(
            method,
            f"{self.context.base_url}/{self._version}/{path}",
            headers={"Authorization": self._authorization, "User-Agent": USER_AGENT},
            query=query or None,
            json=body,
        )
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.status == 200 and answer is not None:
            return answer, response
        raise self._error(answer if isinstance(answer, dict) else {}, response)

    def _error(self, answer: dict[str, Any], response: UpstreamResponse) -> HermesError:
        code = answer.get("code")
        code = code if isinstance(code, int) else None
        # 202 is Discord's "not ready yet", with a code.
        clear = 400 <= response.status < 500 or (response.status == 202 and code is not None)
        if not clear or code in UNCLEAR:
            return self.context.http.unclear(response)
        message = answer.get("message")
        error = refusal_error(
            response.status,
            code,
            message if isinstance(message, str) and message else "no reason given",
            errors=answer.get("errors"),
            retry_after=_wait(answer, response.headers),
        )
        if response.status == 429:
            scope = response.headers.get("X-RateLimit-Scope")
            error.data.update({"scope": scope} if scope in ("user", "global", "shared") else {})
        return error


def _authorization(credentials: DiscordCredentials) -> str:
    bot, person = credentials.bot_token, credentials.access_token
    return f"Bot {bot.get_secret_value()}" if bot else f"Bearer {person.get_secret_value()}" if person else ""


def _wait(answer: Mapping[str, Any], headers: Mapping[str, str]) -> float | None:
    """Seconds until the limit lets go: as a fraction in the body, rounded up in the header. Source: "Rate Limits"."""
    told = answer.get("retry_after")
    if isinstance(told, int | float) and told >= 0:
        return float(told)
    return asked_to_wait(headers)
