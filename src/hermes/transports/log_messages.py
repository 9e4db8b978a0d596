"""Messages about a running request, for clients that want them.

Modern: the request names the level in its `_meta`; nothing is sent without. Legacy: a session has the level that
`logging/setLevel` gave it; where there is no session nobody can remember one, and clients get what is worth knowing.

Source: MCP 2026-07-28 and 2025-11-25, server/utilities/logging.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, get_args

from mcp.server.connection import allowed_log_levels
from mcp.server.context import ServerRequestContext
from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from mcp_types import (
    EmptyResult,
    LoggingLevel,
    LoggingMessageNotification,
    LoggingMessageNotificationParams,
    SetLevelRequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from hermes.gateway.results import LogReport
from hermes.transports.inbound import Inbound

Context = ServerRequestContext[Any, Any]

_DEFAULT: Final[LoggingLevel] = "info"
_ORDER: Final = get_args(LoggingLevel)
_REMEMBERED: Final = 1024


class LogMessages:
    """Sends them, and remembers the levels of sessions."""

    def __init__(self) -> None:
        self._levels: OrderedDict[str, LoggingLevel] = OrderedDict()

    async def set_level(self, context: Context, params: SetLevelRequestParams) -> EmptyResult:
        """`logging/setLevel`: remembered for the session, if there is one."""
        session = _session_of(context)
        if session is not None:
            self._levels[session] = params.level
            self._levels.move_to_end(session)
            if len(self._levels) > _REMEMBERED:
                self._levels.popitem(last=False)
        return EmptyResult()

    def report(self, context: Context) -> LogReport | None:
        """Where a request's messages go; None when its client wants none."""
        allowed = self._allowed(context)
        if not allowed:
            return None

        async def log(level: LoggingLevel, data: Any) -> None:
            if level in allowed:
                params = LoggingMessageNotificationParams(level=level, data=data)
                await context.session.send_notification(
                    LoggingMessageNotification(params=params), related_request_id=context.request_id
                )

        return log

    def _allowed(self, context: Context) -> frozenset[LoggingLevel]:
        if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return allowed_log_levels(context.protocol_version, context.meta)
        wanted = self._levels.get(_session_of(context) or "", _DEFAULT)
        return frozenset(_ORDER[_ORDER.index(wanted) :])


def _session_of(context: Context) -> str | None:
    """The id of the SDK's session; our own doors have none."""
    request = context.request
    return None if request is None or isinstance(request, Inbound) else request.headers.get(MCP_SESSION_ID_HEADER)
