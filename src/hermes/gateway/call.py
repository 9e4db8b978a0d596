"""The pipeline: the only way to run a tool (design.md, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hermes.gateway.results import CallOptions, CallResult, ToolView
from hermes.identity.caller import Caller


class Gateway:
    """Runs tools for callers. Every transport goes through `call`."""

    async def tools(self, caller: Caller) -> list[ToolView]:
        """The tools that this caller may call, in catalogue order."""
        raise NotImplementedError

    async def call(self, caller: Caller, name: str, arguments: Mapping[str, Any], options: CallOptions) -> CallResult:
        """Run one tool for one caller.

        Raises:
            HermesError: whatever stopped it; `UnknownTool` when there is no such tool for this caller. Its `data`
                has `call_id` from the moment the call was admitted.
        """
        raise NotImplementedError
