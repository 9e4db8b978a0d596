"""Documents of linked accounts as resources, such as the notes of a vault.

Reading one is a call of the tool that reads it: the same grant, quota, fence and audit line. The list of those that
were changed last goes through the pipeline too, but costs nothing of the quota: clients ask for it by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from mcp_types import Annotations, Resource, ResourceTemplate, TextResourceContents

from hermes.errors import HermesError, NotFound
from hermes.gateway.call import Gateway
from hermes.gateway.grants import shows
from hermes.gateway.resources import UnknownResource
from hermes.gateway.results import CallOptions
from hermes.identity.caller import Caller
from hermes.platforms.catalog import AnyPlatform
from hermes.platforms.documents import Documents, RecentDocuments

RECENT: Final = 50
"""Documents of one account that are listed."""

MOST_ACCOUNTS: Final = 5
LONGEST_ADDRESS: Final = 2048
_MAX_CHARS: Final = 200_000


class DocumentResources:
    """What platforms declare as documents."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._platforms = [platform for platform in gateway.catalog if platform.documents is not None]

    async def resources(self, caller: Caller, options: CallOptions) -> Sequence[Resource]:
        """Those of each account that were changed last. An account that cannot be looked at has none."""
        found: list[Resource] = []
        for platform, documents in self._granted(caller):
            accounts = await self._gateway.accounts(caller, platform.id)
            for account in accounts[:MOST_ACCOUNTS]:
                chosen = {"account": account} if len(accounts) > 1 else {}
                found += await self._recent(caller, documents, account, {"limit": RECENT, **chosen}, options)
        return found

    def templates(self, caller: Caller) -> Sequence[ResourceTemplate]:
        """The address of any document, by account and path."""
        return [
            ResourceTemplate(
                uri_template=documents.template,
                name=documents.scheme,
                title=documents.title,
                description=f"{documents.description} `account` is the label of the linked account, `path` its path.",
                mime_type=documents.media_type,
            )
            for _, documents in self._granted(caller)
        ]

    def reaches(self, caller: Caller, uri: str) -> bool:
        """Whether it is the address of a document, and the caller may read such or could by asking for more."""
        return len(uri) <= LONGEST_ADDRESS and any(
            documents.parse(uri) is not None and shows(caller, self._gateway.catalog.tools[documents.read])
            for _, documents in self._declared()
        )

    async def read(self, caller: Caller, uri: str, options: CallOptions) -> Sequence[TextResourceContents]:
        """The document's text.

        Raises:
            UnknownResource: there is no such document or account.
            HermesError: as `Gateway.call`.
        """
        for platform, documents in self._declared():
            place = documents.parse(uri)
            if place is not None:
                result = await self._read(caller, platform, documents, place, options)
                return [TextResourceContents(uri=uri, mime_type=documents.media_type, text=result["content"])]
        raise UnknownResource("There is no such document.")

    async def _read(
        self,
        caller: Caller,
        platform: AnyPlatform,
        documents: Documents,
        place: tuple[str, str],
        options: CallOptions,
    ) -> dict[str, str]:
        account, path = place
        labels = await self._gateway.accounts(caller, platform.id)
        if labels and account not in labels:
            raise UnknownResource("There is no such account.")
        chosen = {"account": account} if len(labels) > 1 else {}
        arguments = {"path": path, "max_chars": _MAX_CHARS, **chosen}
        try:
            return (await self._gateway.call(caller, documents.read, arguments, options)).structured
        except NotFound:
            raise UnknownResource("There is no such document.") from None

    async def _recent(
        self, caller: Caller, documents: Documents, account: str, arguments: dict[str, Any], options: CallOptions
    ) -> list[Resource]:
        try:
            answer = await self._gateway.call(caller, documents.recent, arguments, replace(options, unlisted=True))
        except HermesError:
            return []
        return [
            Resource(
                uri=documents.address(account, each.path),
                name=each.path,
                title=each.title,
                mime_type=documents.media_type,
                size=each.size,
                annotations=Annotations(last_modified=each.mtime.isoformat()),
            )
            for each in RecentDocuments.model_validate(answer.structured).documents
        ]

    def _declared(self) -> list[tuple[AnyPlatform, Documents]]:
        return [(platform, platform.documents) for platform in self._platforms if platform.documents is not None]

    def _granted(self, caller: Caller) -> list[tuple[AnyPlatform, Documents]]:
        """Those that the caller may read as they are."""
        asked_for = replace(caller, obtainable=None)
        return [
            (platform, documents)
            for platform, documents in self._declared()
            if shows(asked_for, self._gateway.catalog.tools[documents.read])
        ]
