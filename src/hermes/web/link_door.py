"""Links from assistants, at the pages that they lead to: only the person that a link was made for gets in."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from hermes.connections.links import ConnectLink, ConnectLinks, LinkUnusable
from hermes.connections.service import Connections
from hermes.platforms.base import DEFAULT_ACCOUNT
from hermes.platforms.catalog import AnyPlatform
from hermes.web.base import WebBase
from hermes.web.visitors import Person, Visitor


class LinkDoor:
    """Opens the `link` of an address."""

    def __init__(self, base: WebBase, links: ConnectLinks, connections: Connections) -> None:
        self._base = base
        self._links = links
        self._connections = connections

    async def open(
        self, request: Request, visitor: Visitor, person: Person, platform: AnyPlatform
    ) -> ConnectLink | Response | None:
        """What the address's link says.

        Returns:
            The link; None when the address has none; a page when it does not count, or was made for another person:
            then that person's trail says so.
        """
        token = request.query_params.get("link")
        if token is None:
            return None
        try:
            link = self._links.open(token)
        except LinkUnusable:
            link = None
        if link is None or link.platform != platform.id:
            return self._base.pages.render(visitor, "connect_late.html.jinja", status=400, platform=platform)
        if link.customer_id == person.customer_id:
            return link
        label = link.label or DEFAULT_ACCOUNT
        await self._connections.refuse_stranger(link.customer_id, person.caller, platform.id, label)
        here = f"{request.url.path}?{request.url.query}"
        return self._base.pages.render(visitor, "connect_stranger.html.jinja", status=403, here=here)
