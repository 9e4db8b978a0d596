"""Word to a customer's open streams that a document of theirs was changed by a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hermes.identity.caller import Caller
from hermes.platforms.base import Effect, Tool
from hermes.platforms.catalog import Catalog
from hermes.storage.notices import Notices


class DocumentNotices:
    """Gives notice of what a tool's result says it changed (`hermes.platforms.documents`)."""

    def __init__(self, catalog: Catalog, notices: Notices) -> None:
        self._documents = {platform.id: platform.documents for platform in catalog if platform.documents is not None}
        self._notices = notices

    def after(self, caller: Caller, tool: Tool, account: str, result: Mapping[str, Any]) -> None:
        """Look at the result of a call that succeeded. Nobody waits for the notice."""
        documents = self._documents.get(tool.platform)
        if documents is None or tool.effect is Effect.READ or not result.get("changed") or result.get("dry_run"):
            return
        address = documents.address(account, result["path"])
        self._notices.tell(caller.customer_id, "notes" if result.get("created") else "note", address)
