"""How often one address may be refused, over all endpoints together."""

from __future__ import annotations

from typing import Final

from hermes.storage.rates import Rate

REFUSALS: Final = Rate("oauth.refused", 300, 60)
"""After so many within a minute the reason is no longer told. Who asks rightly is not held up by it."""
