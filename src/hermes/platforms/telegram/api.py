"""The Bot API for one bot: credentials, requests, and what its answers mean.

Source: https://core.telegram.org/bots/api (10.3) unless another is named.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, SecretStr, ValidationError

from hermes.errors import HermesError, NeedsReconnect
from hermes.net.answers import retry_after as asked_to_wait
from hermes.net.bodies import Part
from hermes.net.upstream import UpstreamResponse
from hermes.platforms.base import ApiContext, Credentials, Env
from hermes.platforms.telegram.errors import CANNOT_PARSE, refusal_error

_TOKEN = re.compile(r"([0-9]{1,20}):[A-Za-z0-9_-]{20,128}\Z")
_WAIT = re.compile(r"retry after ([0-9]{1,6})", re.IGNORECASE)
_MAX_CHAT_ID = 2**52

M = TypeVar("M", bound=BaseModel)


def _well_formed(token: SecretStr) -> SecretStr:
    if _TOKEN.match(token.get_secret_value()) is None:
        raise ValueError("must be a bot's token as BotFather gives it, like 123456789:AAE…")
    return token


class TelegramCredentials(Credentials):
    """A bot's token, from BotFather."""

    bot_token: Annotated[SecretStr, AfterValidator(_well_formed), Env("TELEGRAM_BOT_TOKEN")]


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a message: Telegram's object, and what had to be changed to get it sent."""

    result: Any
    response: UpstreamResponse
    as_plain_text: bool = False
    migrated_to: int | None = None


class _Refused(Exception):
    def __init__(self, error: HermesError, description: str, migrate_to: int | None) -> None:
        super().__init__()
        self.error = error
        self.description = description.lower()
        self.migrate_to = migrate_to


class TelegramApi:
    """One bot's Bot API."""

    def __init__(self, context: ApiContext, credentials: TelegramCredentials) -> None:
        self.context = context
        self._token = credentials.bot_token

    @property
    def bot_id(self) -> str:
        """The bot's user id: the first part of its token."""
        return self._token.get_secret_value().partition(":")[0]

    async def call(self, method: str, parameters: dict[str, Any] | None = None) -> tuple[Any, UpstreamResponse]:
        """Call a method. Returns its result, and the answer it came in (for `read`).

        Raises:
            HermesError: a refusal, understood; or no clear answer.
        """
        try:
            return await self._request(method, parameters)
        except _Refused as refused:
            error = refused.error
        raise await self._explained(method, error)

    async def send(self, method: str, parameters: dict[str, Any], file: Part | None = None) -> Sent:
        """Call a method that sends a message, and with it a file if there is one.

        After two refusals, which are clear (nothing was sent), the message is sent again at once, once each: without
        formatting when that cannot be parsed, and to the supergroup that a group has become.

        Raises:
            HermesError: another refusal, or no clear answer.
        """
        plain, migrated_to = False, None
        while True:
            try:
                result, response = await self._request(method, parameters, file)
                return Sent(result, response, plain, migrated_to)
            except _Refused as refused:
                error, said, migrate_to = refused.error, refused.description, refused.migrate_to
            if migrate_to is not None and migrated_to is None:
                migrated_to = migrate_to
                parameters = {**parameters, "chat_id": migrate_to}
            elif CANNOT_PARSE in said and "parse_mode" in parameters:
                plain = True
                parameters = {name: value for name, value in parameters.items() if name != "parse_mode"}
            else:
                raise await self._explained(method, error)

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

    async def _request(
        self, method: str, parameters: dict[str, Any] | None, file: Part | None = None
    ) -> tuple[Any, UpstreamResponse]:
        url = f"{self.context.base_url}/bot{self._token.get_secret_value()}/{method}"
        if file is None:
            response = await self.context.http.request("POST", url, json=parameters or {})
        else:
            response = await self.context.http.request("POST", url, multipart=[*_as_form(parameters or {}), file])
        answer = _envelope(response)
        if answer.get("ok") is True and response.status == 200 and "result" in answer:
            return answer["result"], response
        code = answer.get("error_code", response.status)
        if response.status >= 500 or not isinstance(code, int) or not 400 <= code < 500:
            raise self.context.http.unclear(response)
        description = answer.get("description")
        description = description if isinstance(description, str) else "no reason given"
        hints = answer.get("parameters")
        hints = hints if isinstance(hints, dict) else {}
        wait = _wait(hints, description, response) if code == 429 else None
        raise _Refused(refusal_error(code, description, wait), description, _chat_id(hints.get("migrate_to_chat_id")))

    async def _explained(self, method: str, error: HermesError) -> HermesError:
        """A 404 for a method can also mean a token that no longer exists: getMe tells."""
        if error.data.get("platform_code") != 404:
            return error
        if method != "getMe":
            try:
                url = f"{self.context.base_url}/bot{self._token.get_secret_value()}/getMe"
                me = await self.context.http.request("POST", url, json={}, write=False)
            except HermesError:
                return error
            if me.status not in (401, 404):
                return error
        return NeedsReconnect(
            "Telegram does not know this bot's token: take the present one from BotFather and link it.", **error.data
        )


def _as_form(parameters: dict[str, Any]) -> list[Part]:
    """In a form what is no text is JSON. Source: Bot API, "Making requests"."""
    return [Part(name, value if isinstance(value, str) else json.dumps(value)) for name, value in parameters.items()]


def _envelope(response: UpstreamResponse) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _wait(hints: dict[str, Any], description: str, response: UpstreamResponse) -> float | None:
    seconds = hints.get("retry_after")
    if isinstance(seconds, int | float) and seconds >= 0:
        return float(seconds)
    told = _WAIT.search(description)
    return float(told[1]) if told else asked_to_wait(response.headers)


def _chat_id(value: Any) -> int | None:
    return value if isinstance(value, int) and abs(value) < _MAX_CHAT_ID else None
