"""The catalogue as resources: for each platform that the caller's plan has, its tools, limits, and how to connect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mcp_types import Resource, ResourceTemplate, TextResourceContents

from hermes.gateway.grants import shows
from hermes.gateway.resources import UnknownResource
from hermes.gateway.results import CallOptions
from hermes.identity.caller import Caller
from hermes.platforms.base import Effect
from hermes.platforms.catalog import AnyPlatform, Catalog

PREFIX: Final = "hermes://platforms/"
_TYPE: Final = "text/markdown"


class CatalogueResources:
    """One page of Markdown per platform. They are the same for everybody who sees the platform at all."""

    def __init__(self, catalog: Catalog, public_url: str) -> None:
        self._catalog = catalog
        self._public_url = public_url

    async def resources(
        self,
        caller: Caller,
        options: CallOptions,  # noqa: ARG002  (the protocol)
    ) -> Sequence[Resource]:
        """The platforms' pages."""
        return [
            Resource(
                uri=PREFIX + platform.id,
                name=platform.id,
                title=f"{platform.title}: tools, limits, how to connect",
                mime_type=_TYPE,
            )
            for platform in self._catalog
            if _sees(caller, platform)
        ]

    def templates(self, caller: Caller) -> Sequence[ResourceTemplate]:  # noqa: ARG002  (the protocol)
        """None: all of them are listed."""
        return ()

    def reaches(self, caller: Caller, uri: str) -> bool:
        """Whether it is the page of a platform that the caller sees."""
        platform = self._catalog.platforms.get(uri.removeprefix(PREFIX)) if uri.startswith(PREFIX) else None
        return platform is not None and _sees(caller, platform)

    async def read(
        self,
        caller: Caller,
        uri: str,
        options: CallOptions,  # noqa: ARG002  (the protocol)
    ) -> Sequence[TextResourceContents]:
        """The page.

        Raises:
            UnknownResource: there is none.
        """
        platform = self._catalog.platforms.get(uri.removeprefix(PREFIX))
        if platform is None:
            raise UnknownResource("There is no such platform.")
        return [TextResourceContents(uri=uri, mime_type=_TYPE, text=self._page(caller, platform))]

    def _page(self, caller: Caller, platform: AnyPlatform) -> str:
        tools = [tool for tool in platform.tools.values() if shows(caller, tool)]
        lines = [f"# {platform.title}", "", "## Tools", ""]
        lines += [f"- `{tool.name}` ({_done(tool.effect)}): {tool.description}" for tool in tools]
        lines += ["", "## Limits", ""]
        lines += [
            f"- {limit.requests:,} requests in {limit.seconds:,.0f} s for an account ({limit.source})"
            for limit in platform.limits
        ] or ["- none of the platform's own"]
        lines += ["", "## How to connect", ""]
        lines += [f"{number}. {step}" for number, step in enumerate(platform.connect.steps, start=1)]
        lines += ["", f"Then open {self._public_url}/connect/{platform.id} in a browser, signed in. More:"]
        return "\n".join([*lines, platform.connect.help_url, ""])


def _sees(caller: Caller, platform: AnyPlatform) -> bool:
    return any(shows(caller, tool) for tool in platform.tools.values())


def _done(effect: Effect) -> str:
    return "reads" if effect is Effect.READ else f"{effect.value}s"
