"""Counters and times of calls, kept in memory and shown to Prometheus. No label names a customer."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_UNKNOWN: Final = "unknown"


class Metrics:
    """The metrics of one process.

    Args:
        tools: the tools there are; calls of others (clients can write anything) are counted together.
    """

    def __init__(self, tools: Container[str] | None = None) -> None:
        self.registry = CollectorRegistry()
        self._tools = tools
        self._calls = Counter(
            "hermes_calls", "Calls of tools", ("tool", "outcome", "transport"), registry=self.registry
        )
        self._seconds = Histogram(
            "hermes_call_seconds",
            "How long calls took",
            ("tool", "transport"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._checks = Counter(
            "hermes_connection_checks", "Looks at linked accounts", ("platform", "outcome"), registry=self.registry
        )
        self._connections = Gauge(
            "hermes_connections", "Linked accounts of the whole house", ("platform", "status"), registry=self.registry
        )
        self._children: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def observe(self, tool: str, outcome: str, transport: str, seconds: float) -> None:
        """Count one call; fits the pipeline's `Observer`."""
        if self._tools is not None and tool not in self._tools:
            tool = _UNKNOWN
        key = (tool, outcome, transport)
        children = self._children.get(key)
        if children is None:
            children = self._children[key] = (self._calls.labels(*key), self._seconds.labels(tool, transport))
        children[0].inc()
        children[1].observe(seconds)

    def observe_check(self, platform: str, outcome: str) -> None:
        """Count one look at a linked account."""
        self._checks.labels(platform, outcome).inc()

    def show_connections(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Say how many linked accounts there are, by platform and status."""
        self._connections.clear()
        for (platform, status), number in counts.items():
            self._connections.labels(platform, status).set(number)

    def render(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)
