"""What was sent to the stand-ins: requests and messages, bounded, shown without a token."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import quote

from hermes.sandbox.http import account_key, mask_token

KEPT_BODY = 16 * 1024
KEPT_TOTAL = 32 * 1024 * 1024


@dataclass(slots=True)
class Record:
    """One request, with what became of it. The token is kept for masking and filtering only."""

    id: int
    at: float
    platform: str
    token: str | None = field(repr=False)
    method: str
    path: str = field(repr=False)
    query: str = field(repr=False)
    content_type: str
    body: bytes = field(repr=False)
    size: int
    status: int | None = None
    failure: str | None = None

    def shown(self) -> dict[str, Any]:
        path = f"{self.path}?{self.query}" if self.query else self.path
        return {
            "id": self.id,
            "at": self.at,
            "platform": self.platform,
            "account": account_key(self.token) if self.token else None,
            "token": mask_token(self.token) if self.token else None,
            "method": self.method,
            "path": self._masked(path),
            "content_type": self.content_type,
            "body": self._masked(self.body.decode("utf-8", "replace")),
            "size": self.size,
            "status": self.status,
            "failure": self.failure,
        }

    def _masked(self, text: str) -> str:
        if not self.token:
            return text
        mask = mask_token(self.token)
        for spelling in {self.token, quote(self.token, safe=""), quote(self.token)}:
            text = text.replace(spelling, mask)
        return text


@dataclass(slots=True)
class Message:
    """A message that went through a stand-in. `direction` is `out` (from the account) or `in` (from a person)."""

    at: float
    platform: str
    token: str = field(repr=False)
    direction: str
    account: str
    peer: str
    kind: str
    text: str
    id: str
    status: str

    def shown(self) -> dict[str, Any]:
        return {
            "at": self.at,
            "platform": self.platform,
            "account": account_key(self.token),
            "token": mask_token(self.token),
            "direction": self.direction,
            "account_id": self.account,
            "peer": self.peer,
            "kind": self.kind,
            "text": self.text,
            "id": self.id,
            "status": self.status,
        }


class Recorder:
    """The last requests and messages, newest last."""

    def __init__(self, kept: int) -> None:
        """`kept`: how many of each are remembered. Bodies are cut at 16 KiB and all together bounded."""
        self._requests: deque[Record] = deque()
        self._messages: deque[Message] = deque(maxlen=kept)
        self._kept = kept
        self._ids = count(1)
        self._bytes = 0

    def request(
        self, at: float, platform: str, token: str | None, method: str, path: str, query: str, kind: str, body: bytes
    ) -> Record:
        """Remember a request; status and failure are filled in by the caller when they are known."""
        kept = body[:KEPT_BODY]
        record = Record(next(self._ids), at, platform, token, method, path, query, kind, kept, len(body))
        self._requests.append(record)
        self._bytes += len(kept)
        while len(self._requests) > self._kept or self._bytes > KEPT_TOTAL:
            self._bytes -= len(self._requests.popleft().body)
        return record

    def message(self, message: Message) -> Message:
        """Remember a message; its `status` may change later."""
        self._messages.append(message)
        return message

    def requests(self, platform: str | None = None, account: str | None = None) -> Iterator[Record]:
        """Requests, newest first, of one platform or account if given."""
        return (one for one in reversed(self._requests) if _fits(one.platform, one.token, platform, account))

    def messages(self, platform: str | None = None, account: str | None = None) -> Iterator[Message]:
        """Messages, newest first."""
        return (one for one in reversed(self._messages) if _fits(one.platform, one.token, platform, account))

    def clear(self) -> None:
        self._requests.clear()
        self._messages.clear()
        self._bytes = 0


def _fits(has_platform: str, token: str | None, platform: str | None, account: str | None) -> bool:
    if platform is not None and platform != has_platform:
        return False
    return account is None or (token is not None and account_key(token) == account)
