"""The ASGI door of one stand-in: reads, records, fails on demand, and sends the answer."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from hermes.sandbox.base import Service, Stage
from hermes.sandbox.failures import Failure, FailureKind, Failures
from hermes.sandbox.hostile import hostile
from hermes.sandbox.http import Answer, Incoming, read_incoming

CUT_EXTENSION = "hermes.sandbox.cut"
"""The key of `scope["extensions"]` under which the server puts a function that closes the connection at once."""

WITHOUT_ACTING = frozenset(
    {
        FailureKind.RATE_LIMIT,
        FailureKind.ERROR,
        FailureKind.ANSWER,
        FailureKind.SERVER_ERROR,
        FailureKind.TIMEOUT_BEFORE,
        FailureKind.CUT_BEFORE,
    }
)
NOTHING = Answer(200, b"")
CHUNK = b" " * 65_536


class Gate:
    """Serves one stand-in's paths."""

    def __init__(self, platform: str, service: Service, stage: Stage, failures: Failures) -> None:
        self._platform = platform
        self._prefix = f"/{platform}"
        self._service = service
        self._stage = stage
        self._failures = failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(self._prefix)
        incoming, too_large = await read_incoming(scope, receive, path, self._service.max_body)
        if incoming is None:
            return
        token = self._service.token_of(incoming)
        query, body = incoming.query, incoming.body
        desk = self._service.desk_for(path)
        if desk is not None:
            query, body = desk.shown(query), desk.shown(body.decode("utf-8", "replace")).encode()
        record = self._stage.recorder.request(
            self._stage.clock.now(), self._platform, token, incoming.method, path, query, incoming.content_type, body
        )
        failure = self._failures.take(self._platform, token, path)
        if failure is not None:
            record.failure = failure.kind.value
            record.status = await self._fail(failure, incoming, scope, send)
            return
        answer = self._service.too_large() if too_large else await self._act(incoming)
        record.status = answer.status
        await _send(send, answer)

    async def _act(self, incoming: Incoming) -> Answer:
        desk = self._service.desk_for(incoming.path)
        if desk is not None:
            return await desk.answer(incoming)
        token, secret = self._service.token_of(incoming), self._stage.options.meta_app_secret
        for desk in self._service.desks:
            incoming = desk.present(incoming, token, secret)
        return await self._service.answer(incoming)

    async def _fail(self, failure: Failure, incoming: Incoming, scope: Scope, send: Send) -> int | None:
        """Fail as told; returns the HTTP status that the client saw, None if it saw none."""
        acts = failure.acts or failure.kind not in WITHOUT_ACTING
        answer = await self._act(incoming) if acts else NOTHING
        status: int | None = answer.status
        match failure.kind:
            case FailureKind.TIMEOUT_BEFORE | FailureKind.TIMEOUT_AFTER:
                status = None
                await incoming.gone()
            case FailureKind.CUT_BEFORE | FailureKind.CUT_AFTER:
                status = await _cut(scope, send)
            case FailureKind.CUT_BODY:
                await _cut_body(scope, send, answer)
            case FailureKind.GIANT:
                await _giant(send, answer, failure.megabytes)
            case FailureKind.MALFORMED:
                status = 200
                await _send(send, Answer(200, answer.body[: len(answer.body) // 2] + b"\\", headers=answer.headers))
            case FailureKind.HOSTILE:
                await _send(send, hostile(answer))
            case FailureKind.SLOW:
                await self._stage.clock.sleep(failure.delay)
                await _send(send, answer)
            case _:
                refusal = self._service.refusal(failure)
                status = refusal.status
                await _send(send, refusal)
        return status


async def _send(send: Send, answer: Answer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.raw_headers()})
    await send({"type": "http.response.body", "body": answer.body})


async def _cut(scope: Scope, send: Send) -> int | None:
    """Close the connection without a byte; a server that cannot do that sends the head of an answer first."""
    cut: Callable[[], None] | None = scope.get("extensions", {}).get(CUT_EXTENSION)
    if cut is not None:
        cut()
        return None
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    return 200


async def _cut_body(scope: Scope, send: Send, answer: Answer) -> None:
    """Send half of the body and close: the length in the head says how much is missing."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.raw_headers()})
    half = answer.body[: len(answer.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})
    cut: Callable[[], None] | None = scope.get("extensions", {}).get(CUT_EXTENSION)
    if cut is not None:
        cut()


async def _giant(send: Send, answer: Answer, megabytes: int) -> None:
    """The answer, then blanks (which JSON allows) up to the size."""
    chunks = megabytes * 1024 * 1024 // len(CHUNK)
    length = len(answer.body) + chunks * len(CHUNK)
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.raw_headers(length)})
    for _ in range(chunks):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": answer.body})
