"""Checking what a person gave before it is kept: is it complete, and does the platform accept it?"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from hermes.connections.names import printable
from hermes.errors import HermesError, InvalidArguments, NeedsReconnect, PlatformRejected, PlatformUnavailable
from hermes.net.upstream import Upstream
from hermes.platforms.base import Account, ApiContext, Credentials
from hermes.platforms.catalog import AnyPlatform
from hermes.platforms.ports import Ports
from hermes.settings import Settings

PROBE_SECONDS = 20.0
_BACKSTOP_SECONDS = 2.0
T = TypeVar("T")

_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)


def read_credentials(
    platform: AnyPlatform, given: Mapping[str, Any], model: type[Credentials] | None = None
) -> Credentials:
    """The platform's credentials from what the caller sent, in either spelling; of another `model`, if one is given.

    Raises:
        InvalidArguments: `fields` says for each field, spelled as the caller did, what is wrong; never the value.
    """
    try:
        credentials: Credentials = (model or platform.credentials).model_validate(dict(given))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        fields = [
            {"field": _spelled(platform.credentials, item["loc"], given), "problem": _plain(item["msg"], given)}
            for item in problems
        ]
        listed = "; ".join(f"{field['field']}: {field['problem']}" for field in fields)
        raise InvalidArguments(
            f"These {platform.title} credentials do not fit: {listed}. How to get them: {platform.connect.help_url}",
            fields=fields,
        ) from None
    return credentials


class Prober:
    """Asks platforms whether a credential works, opening their API as the pipeline does."""

    def __init__(self, upstream: Upstream, settings: Settings, ports: Ports) -> None:
        self._upstream = upstream
        self._settings = settings
        self._ports = ports

    async def probe(self, customer_id: str, platform: AnyPlatform, label: str, credentials: Credentials) -> Account:
        """Whose account it is, as the platform says.

        Raises:
            PlatformRejected: the platform does not accept the credential.
            PlatformUnavailable: the platform did not answer, so it is not known.
            HermesError: anything else that the platform's own code reports.
        """
        probe = platform.probe_function
        if probe is None:
            return Account(id=label)
        return await self.ask_with(
            customer_id, platform, label, lambda context: probe(platform.open(context, credentials))
        )

    async def ask_with(
        self, customer_id: str, platform: AnyPlatform, label: str, question: Callable[[ApiContext], Awaitable[T]]
    ) -> T:
        """As `ask`, with credentials that were just given. Raises as `probe`."""
        try:
            return await self.ask(customer_id, platform, label, question)
        except (NeedsReconnect, PlatformRejected) as error:
            raise _refused(platform, error) from None

    async def ask(
        self, customer_id: str, platform: AnyPlatform, label: str, question: Callable[[ApiContext], Awaitable[T]]
    ) -> T:
        """Ask a platform something that changes nothing, before the account is linked.

        Raises:
            PlatformUnavailable: the platform did not answer.
            HermesError: anything else that `question` raises.
        """
        deadline = asyncio.get_running_loop().time() + PROBE_SECONDS
        context = ApiContext(
            customer_id=customer_id,
            account=label,
            http=self._upstream.bind(platform.title, write=False, deadline=deadline),
            base_url=platform.api_base_url(self._settings),
            settings=self._settings,
            ports=self._ports,
        )
        try:
            async with asyncio.timeout(PROBE_SECONDS + _BACKSTOP_SECONDS):
                return await question(context)
        except TimeoutError:
            raise PlatformUnavailable(
                f"{platform.title} did not answer in {PROBE_SECONDS:g} s; nothing was changed. Try again later."
            ) from None


def _refused(platform: AnyPlatform, error: HermesError) -> PlatformRejected:
    shown: dict[str, Any] = {
        name: printable(value) if isinstance(value, str) else value
        for name, value in error.data.items()
        if name in ("platform_code", "platform_message")
    }
    return PlatformRejected(
        f"{platform.title} did not accept these credentials, and nothing was stored: {printable(error.message)} How "
        f"to get working ones: {platform.connect.help_url}",
        detail=error.detail,
        help_url=platform.connect.help_url,
        **shown,
    )


def _spelled(model: type[Credentials], location: tuple[int | str, ...], given: Mapping[str, Any]) -> str:
    """The field's name as the caller wrote it, or as the documentation does if it is missing."""
    if not location:
        return "credentials"
    first = str(location[0])
    for name, info in model.model_fields.items():
        alias = info.alias or name
        if first in (name, alias):
            return name if name in given and alias not in given else alias
    return first if _FIELD_NAME.fullmatch(first) else "(not a field's name)"


def _plain(message: str, given: Mapping[str, Any]) -> str:
    """The problem in words, without any of the values, should a validator have quoted one."""
    message = message.removeprefix("Value error, ")
    for value in given.values():
        if isinstance(value, str) and len(value) > 3 and value in message:
            message = message.replace(value, "…")
    return message
