"""Logs: structlog, set up once from the settings; request ids; secrets never written."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Iterable, MutableMapping
from typing import Any, Final

import structlog
import uuid_utils
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hermes.settings import Settings

REDACTED: Final = "[redacted]"
_STATE_KEY: Final = "request_id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:authorization|cookie|password|passwd|secret|token|api[_-]?key|credentials?|private[_-]?key)(?:$|[_-])",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"sq_live_[A-Za-z0-9]{8,}"  # our customers' keys
    r"|\b\d{6,12}:[A-Za-z0-9_-]{20,}"  # Telegram: bot id, colon, secret
    r"|\bEAA[A-Za-z0-9]{16,}"  # Meta's access tokens
    r"|\b(?:Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"  # JSON Web Tokens
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)",  # user and password of a URL
    re.IGNORECASE,
)


def scrub(value: Any, depth: int = 6) -> Any:
    """A copy of a value without secrets: those under telling names, and those that look like one."""
    if isinstance(value, str):
        return _SECRET_TEXT.sub(REDACTED, value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if depth == 0:
        return value if isinstance(value, int | float | bool | None) else "…"
    if isinstance(value, dict):
        return {
            key: REDACTED if isinstance(key, str) and _SECRET_NAME.search(key) else scrub(item, depth - 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [scrub(item, depth - 1) for item in value]
    return value


def _scrub_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if _SECRET_NAME.search(key):
            event[key] = REDACTED
        elif not isinstance(value, int | float | bool | None):
            event[key] = scrub(value if isinstance(value, str | dict | list | tuple | set) else str(value))
    return event


def configure_logging(settings: Settings) -> None:
    """Set up structlog, and let the standard library's loggers write through it, to stderr."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _scrub_event,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _scrub_event, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    _quieten(("uvicorn", "mcp", "sse_starlette", "aiosqlite", "asyncio", "alembic", "streaq"))


def _quieten(names: Iterable[str]) -> None:
    """Libraries that would write a line per request or start, or the bodies they pass on."""
    for name in names:
        logging.getLogger(name).setLevel(logging.WARNING)


def new_request_id() -> str:
    return uuid_utils.uuid7().hex


def request_id_of(scope: Scope) -> str:
    """The request's id; one is made if no middleware did."""
    state: dict[str, Any] = scope.setdefault("state", {})
    request_id = state.get(_STATE_KEY)
    if not isinstance(request_id, str):
        request_id = state[_STATE_KEY] = new_request_id()
    return request_id


class RequestLog:
    """ASGI middleware: gives every request an id (the client's own if it is well formed), and one line.

    The line names method, path without its query, status and duration: at DEBUG when all went well (the audit trail has
    the calls), at INFO when the request was refused, at WARNING when we failed. It is only made where someone sees it.
    """

    def __init__(self, app: ASGIApp, logger: logging.Logger | None = None) -> None:
        self._app = app
        self._logger = logger or logging.getLogger("hermes.access")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given_id(scope) or new_request_id()
        scope.setdefault("state", {})[_STATE_KEY] = request_id
        header = (b"x-request-id", request_id.encode())
        status = 0

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        try:
            await self._app(scope, receive, tagged)
        finally:
            level = _level_of(status)
            if self._logger.isEnabledFor(level):
                elapsed = (time.perf_counter() - started) * 1000
                # A path may hold anything, line breaks included.
                path = ascii(scope["path"][:300])[1:-1]
                self._logger.log(level, "%s %s %s %.1fms", scope["method"], path, status or "-", elapsed)


def _level_of(status: int) -> int:
    if status >= 500:
        return logging.WARNING
    return logging.INFO if status >= 400 else logging.DEBUG


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            return text if _REQUEST_ID.fullmatch(text) else None
    return None
