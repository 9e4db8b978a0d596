"""What Facebook Login and Instagram Login have in common: long-lived tokens that are exchanged for new ones.

Source: https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from hermes.platforms.oauth import OAuthConnect, Verdict

RENEW_BEFORE: Final = timedelta(days=10)
"""Meta renews only tokens that are a day old and still alive."""

_ENDED: Final = frozenset({"190", "102"})
_LATER: Final = frozenset({"1", "2", "4", "17", "32", "613"})


@dataclass(frozen=True)
class MetaConnect(OAuthConnect):
    """Errors come in Graph's envelope, or flat from Instagram's first address; their number is what counts."""

    def refusal(self, answer: Mapping[str, Any]) -> tuple[str, str] | None:
        error = answer.get("error")
        if isinstance(error, dict):
            code, message = error.get("code"), error.get("message")
        elif "error_type" in answer or "error_message" in answer:
            code, message = answer.get("code"), answer.get("error_message")
        else:
            return super().refusal(answer)
        return str(code)[:100], message[:300] if isinstance(message, str) else ""

    def verdict(self, code: str) -> Verdict:
        if code in _ENDED:
            return Verdict.GRANT_ENDED
        return Verdict.LATER if code in _LATER else Verdict.OUR_FAULT
