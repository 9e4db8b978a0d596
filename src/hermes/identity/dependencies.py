"""FastAPI dependencies by which every room's routes learn who is calling."""

from __future__ import annotations

from fastapi import Request

from hermes.errors import NotFound, NotGranted
from hermes.identity.authenticate import Authenticator
from hermes.identity.caller import Caller, Via
from hermes.identity.callers import Callers, is_whole_operator


class Doors:
    """Its methods are the dependencies: `Depends(doors.current_caller)`."""

    def __init__(self, authenticator: Authenticator, callers: Callers) -> None:
        self._authenticator = authenticator
        self._callers = callers

    async def tool_caller(self, request: Request) -> Caller:
        """Whoever sent the request, an assistant too: for what belongs to calling tools.

        Raises:
            NotAuthenticated, NotGranted, Suspended: as `Authenticator.authenticate`.
        """
        return await self._authenticator.authenticate(request.headers, surface="api", method=request.method)

    async def current_caller(self, request: Request) -> Caller:
        """Whoever sent the request, with a key or a session. What a person agreed to let an assistant do is to use
        tools, not to look after the account: its keys, connections, usage and trail.

        Raises:
            NotAuthenticated, Suspended: as `Authenticator.authenticate`.
            NotGranted: it is an assistant's access token.
        """
        caller = await self.tool_caller(request)
        if caller.via is Via.OAUTH:
            raise NotGranted(
                "An assistant's access token is for tools only; sign in, or use an API key, to look after the account."
            )
        return caller

    async def customer_only(self, request: Request) -> Caller:
        """A customer (also one with role `admin`), who has keys and a row of their own.

        Raises:
            NotFound: it is the operator's key, which stands for no customer.
        """
        caller = await self.current_caller(request)
        if caller.single_user:
            raise NotFound(
                "The operator's key stands for no customer; use /api/admin/customers/{id}/… for one of them."
            )
        return caller

    async def operator_only(self, request: Request) -> Caller:
        """The operator's key, or a customer with role `admin` by a key with all grants.

        Raises:
            NotGranted: it is somebody else.
        """
        caller = await self.current_caller(request)
        if not is_whole_operator(caller):
            raise NotGranted(
                "Only operators may do this: use MCP_API_KEY, or a key with all grants of a customer with role admin."
            )
        return caller

    async def acting_for(self, request: Request, customer_id: str) -> Caller:
        """The operator acting for the customer that the path names (`{customer_id}`), suspended or not.

        Raises:
            NotGranted: it is no operator.
            NotFound: there is no such customer.
        """
        return await self._callers.act_for(await self.operator_only(request), customer_id)
