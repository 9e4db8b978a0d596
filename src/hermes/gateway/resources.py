"""Resources: what clients may read by address, from several sources, each of which knows its own addresses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from mcp_types import BlobResourceContents, Resource, ResourceTemplate, TextResourceContents

from hermes.errors import NotFound
from hermes.gateway.results import CallOptions
from hermes.identity.caller import Caller

Contents = TextResourceContents | BlobResourceContents


class UnknownResource(NotFound):
    """No such resource for this caller; over MCP a protocol error of its own."""


class ResourceSource(Protocol):
    """Some of the resources."""

    async def resources(self, caller: Caller, options: CallOptions) -> Sequence[Resource]:
        """Those that are listed to the caller, in a fixed order; `options` say how the request came in."""
        ...

    def templates(self, caller: Caller) -> Sequence[ResourceTemplate]:
        """How addresses of further ones are made."""
        ...

    def reaches(self, caller: Caller, uri: str) -> bool:
        """Whether an address is one of these, and the caller may read such."""
        ...

    async def read(self, caller: Caller, uri: str, options: CallOptions) -> Sequence[Contents]:
        """What stands at an address that it reaches.

        Raises:
            UnknownResource: there is nothing.
            HermesError: whatever stopped a call that reading it is.
        """
        ...


class Resources:
    """What there is to read for a caller."""

    def __init__(self, sources: Iterable[ResourceSource] = ()) -> None:
        self._sources = tuple(sources)

    async def listed(self, caller: Caller, options: CallOptions) -> list[Resource]:
        """The resources that are listed to the caller."""
        return [resource for source in self._sources for resource in await source.resources(caller, options)]

    def templates(self, caller: Caller) -> list[ResourceTemplate]:
        """How addresses of further ones are made."""
        return [template for source in self._sources for template in source.templates(caller)]

    def reaches(self, caller: Caller, uri: str) -> bool:
        """Whether there may be a resource with this address for the caller."""
        return any(source.reaches(caller, uri) for source in self._sources)

    async def read(self, caller: Caller, uri: str, options: CallOptions) -> Sequence[Contents]:
        """What stands at an address.

        Raises:
            UnknownResource: there is nothing for this caller.
            HermesError: as the source's.
        """
        for source in self._sources:
            if source.reaches(caller, uri):
                return await source.read(caller, uri, options)
        raise UnknownResource("There is no such resource for this caller.")
