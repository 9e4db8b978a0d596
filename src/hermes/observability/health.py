"""`/livez`, `/readyz`, `/health` and `/metrics`."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hermes.observability.metrics import Metrics

_log = logging.getLogger(__name__)

SERVICE: Final = "hermes-mcp"
CHECK_SECONDS: Final = 2.0
REMEMBER_SECONDS: Final = 1.0
GAUGE_SECONDS: Final = 60.0

Check = Callable[[], Awaitable[object]]
"""Raises when its part does not work."""


@dataclass(frozen=True, slots=True)
class About:
    """What `/health` says of the service.

    Attributes:
        version: of hermes.
        tool_count: tools in the catalogue.
        transports: how tools can be reached.
        endpoints: name → address of each.
    """

    version: str
    tool_count: int
    transports: Sequence[str]
    endpoints: Mapping[str, str]


class Health:
    """Answers whether the process lives, whether it can work, and what it is.

    Args:
        about: what `/health` says.
        checks: part → what must not raise (and not take two seconds) for the process to be ready.
        metrics: shown at `/metrics`.
        operator_key: whoever sends it may read `/metrics` from anywhere.
        gauges: brings those metrics up to date that have to be counted; once a minute at most.
    """

    def __init__(
        self,
        about: About,
        checks: Mapping[str, Check],
        metrics: Metrics,
        operator_key: SecretStr | None = None,
        gauges: Check | None = None,
    ) -> None:
        self._gauges = gauges
        self._gauged_at = float("-inf")
        self._about = about
        self._checks = checks
        self._metrics = metrics
        self._operator_key = operator_key
        self._lock = asyncio.Lock()
        self._known: tuple[float, dict[str, str]] | None = None

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/livez", self._livez, methods=["GET"]),
            Route("/readyz", self._readyz, methods=["GET"]),
            Route("/health", self._health, methods=["GET"]),
            Route("/metrics", self._show_metrics, methods=["GET"]),
        ]

    async def parts(self) -> dict[str, str]:
        """Part → `ok` or `unavailable`; looked at no more than once a second, however often it is asked."""
        async with self._lock:
            if self._known is None or time.monotonic() - self._known[0] > REMEMBER_SECONDS:
                answers = await asyncio.gather(*(self._check(part, check) for part, check in self._checks.items()))
                self._known = (time.monotonic(), dict(zip(self._checks, answers, strict=True)))
            return self._known[1]

    @staticmethod
    async def _check(part: str, check: Check) -> str:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await check()
        except Exception:  # noqa: BLE001  (whatever a check raises means that its part does not work)
            _log.warning("not ready: %s", part, exc_info=True)
            return "unavailable"
        return "ok"

    async def _livez(self, _request: Request) -> Response:
        return _json({"status": "ok"})

    async def _readyz(self, _request: Request) -> Response:
        parts = await self.parts()
        ready = all(state == "ok" for state in parts.values())
        return _json({"status": "ok" if ready else "unavailable", "checks": parts}, 200 if ready else 503)

    async def _health(self, _request: Request) -> Response:
        ready = all(state == "ok" for state in (await self.parts()).values())
        about = self._about
        return _json(
            {
                "status": "ok" if ready else "degraded",
                "service": SERVICE,
                "version": about.version,
                "toolCount": about.tool_count,
                "transports": list(about.transports),
                "endpoints": dict(about.endpoints),
            }
        )

    async def _show_metrics(self, request: Request) -> Response:
        if not (_is_loopback(request) or self._has_operator_key(request)):
            # As if there were nothing: a stranger need not know.
            return Response(status_code=404)
        if self._gauges is not None and time.monotonic() - self._gauged_at > GAUGE_SECONDS:
            self._gauged_at = time.monotonic()
            await self._check("gauges", self._gauges)
        return Response(self._metrics.render(), media_type=CONTENT_TYPE_LATEST)

    def _has_operator_key(self, request: Request) -> bool:
        if self._operator_key is None:
            return False
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        given = request.headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")
        return hmac.compare_digest(given.encode(), self._operator_key.get_secret_value().encode())


def _is_loopback(request: Request) -> bool:
    """Whether the connection comes from this machine, and no proxy brought it."""
    if request.client is None or any(name in request.headers for name in ("x-forwarded-for", "forwarded", "via")):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _json(body: Mapping[str, object], status: int = 200) -> Response:
    return Response(
        orjson.dumps(body), status_code=status, media_type="application/json", headers={"Cache-Control": "no-store"}
    )
