"""The HTTP client for the platforms' APIs: what is sent, how often, and what a failure means (design.md, section 4).

Publishing once, as it is held here:

- Failed before a byte of the request was sent (no address, refused, TLS, no free connection in time): tried up to
  twice more within the deadline, reads and writes alike; then `PlatformUnavailable` with `nothing_sent`.
- Failed later, without a clear answer: a read is tried once more, then `PlatformUnavailable`; a write is never sent
  again and becomes `OutcomeUnknown` at once.

A kept-alive connection that the server closes while a request is on its way counts as "may have been received". To
keep that rare, idle connections are dropped after 15 seconds, sooner than the vendors' servers drop theirs.

No URL, header or body is in an error's message, detail or chain: a Telegram token is part of the URL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp.client_middlewares import ClientHandlerType
from aiohttp.connector import Connection
from tenacity import AsyncRetrying, retry_if_result, wait_random_exponential
from yarl import URL

from hermes.errors import HermesError, Internal, OutcomeUnknown, PlatformUnavailable
from hermes.net.answers import read_body, retry_after
from hermes.net.bodies import MEBIBYTE, Body, Content, Part, multipart_form, payload

DEFAULT_MAX_BYTES = 8 * MEBIBYTE
IDLE_SECONDS = 15.0
MORE_TRIES = 2
BACKOFF_SECONDS = 0.05

Query = Mapping[str, str | int | Sequence[str | int]]


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """A complete answer of a platform, whatever its status.

    Attributes:
        status: the HTTP status.
        headers: case-insensitive.
        body: all of it, decompressed.
        write: whether the request could have changed something.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    write: bool

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none; pass the response to `BoundUpstream.unclear` then.
        """
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            pass  # raised below: orjson's error carries the body
        raise ValueError("the answer is not JSON")


class Upstream:
    """Owns the connections to the platforms. One for the whole process; opened at the first request, in its loop."""

    def __init__(
        self,
        *,
        connections: int = 2048,
        connections_per_host: int = 256,
        connect_seconds: float = 5.0,
        idle_read_seconds: float = 30.0,
    ) -> None:
        """Set the limits.

        Args:
            connections: open at once, over all platforms.
            connections_per_host: open at once to one host; further requests wait for one until their deadline.
            connect_seconds: for one TCP and TLS connection.
            idle_read_seconds: without a byte from the platform before it is given up.
        """
        self._connections = connections
        self._connections_per_host = connections_per_host
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds, sock_read=idle_read_seconds)
        self._session: aiohttp.ClientSession | None = None

    def bind(self, platform: str, write: bool, deadline: float) -> BoundUpstream:
        """The client for one call.

        Args:
            platform: the platform's name, as it is to appear in errors.
            write: whether the call's tool can change something at the platform.
            deadline: when the call is given up, in the event loop's time (`loop.time()`).
        """
        return BoundUpstream(self, platform, write=write, deadline=deadline)

    def session(self) -> aiohttp.ClientSession:
        """The session, opened now if it is not yet. For `BoundUpstream` only."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connections,
                    limit_per_host=self._connections_per_host,
                    keepalive_timeout=IDLE_SECONDS,
                    ttl_dns_cache=30,
                ),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                # Compressed answers cost more than they save between data centres, and can be bombs.
                headers={"User-Agent": "squaremcp-hermes", "Accept-Encoding": "identity"},
                request_class=_Request,
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        """Close all connections. Requests that are under way fail."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class BoundUpstream:
    """The client that a platform gets for one call: bound to the call's effect and deadline.

    Cancelling a task that waits in `request` changes nothing about what was sent: look at `may_have_acted` to know
    whether a cancelled call could have had an effect.
    """

    __slots__ = ("_deadline", "_platform", "_upstream", "_write", "may_have_acted")

    def __init__(self, upstream: Upstream, platform: str, *, write: bool, deadline: float) -> None:
        self._upstream = upstream
        self._platform = platform
        self._write = write
        self._deadline = deadline
        self.may_have_acted = False
        """True from the moment that the first byte of a write may have left, and for good."""

    @property
    def deadline(self) -> float:
        """When the call is given up, in the event loop's time."""
        return self._deadline

    async def request(
        self,
        method: str,
        url: str | URL,
        *,
        headers: Mapping[str, str] | None = None,
        query: Query | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        body: Body | None = None,
        multipart: Sequence[Part] | None = None,
        write: bool | None = None,
        timeout: float | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> UpstreamResponse:
        """Send one request and read its whole answer. Redirects are not followed.

        Args:
            method: the HTTP method.
            url: where to; ids in its path must be checked or quoted by the caller. A text is normalized; what must be
                sent as it is (a signed URL, a colon that must stay quoted) comes as `URL(…, encoded=True)`.
            headers: beside the ones that the body needs.
            query: added to the URL.
            json: sent as JSON. Of `json`, `form`, `body` and `multipart` at most one may be given.
            form: sent as `application/x-www-form-urlencoded`.
            body: sent as it is; give its `Content-Type` in `headers`.
            multipart: sent as `multipart/form-data`.
            write: whether this request can change something; default: the call's effect.
            timeout: seconds for this request, if that is sooner than the call's deadline.
            max_bytes: a longer answer is not read.

        Returns:
            The answer, for every HTTP status.

        Raises:
            PlatformUnavailable: no answer, and the platform did not act.
            OutcomeUnknown: a write that may have been received got no clear answer.
            Internal: the request could not be built.
        """
        headers, data = payload(headers, json, form, body)
        task = _Task(
            method=method,
            url=url,
            headers=headers,
            query=query,
            data=data,
            multipart=multipart,
            write=self._write if write is None else write,
            until=self._deadline if timeout is None else min(self._deadline, _now() + timeout),
            max_bytes=max_bytes,
        )
        result = await self._attempt(task)
        if isinstance(result, _Failure) and not result.sent:
            result = await self._again(task, result)
        if isinstance(result, _Failure) and result.sent and not task.write and not isinstance(body, AsyncIterator):
            result = await self._attempt(task)
        if isinstance(result, UpstreamResponse):
            return result
        raise self._error(result, write=task.write)

    def unclear(self, response: UpstreamResponse) -> HermesError:
        """The error for an answer that does not say what happened: a 5xx, or one that cannot be understood.

        Returns:
            `OutcomeUnknown` for a write, `PlatformUnavailable` for a read.
        """
        detail = f"unclear answer, status {response.status}, {len(response.body)} bytes"
        if response.write:
            return self._unknown(detail)
        return PlatformUnavailable(
            f"{self._platform} has a problem at the moment; nothing was changed. Try again later.",
            retry_after=retry_after(response.headers),
            detail=detail,
        )

    async def _again(self, task: _Task, first: _Failure) -> UpstreamResponse | _Failure:
        """Further tries of a request of which nothing was sent yet."""
        # The first try is made outside of tenacity, which costs more than a whole request that goes well.
        retrying = AsyncRetrying(
            stop=lambda state: state.attempt_number >= MORE_TRIES or _now() >= task.until,
            wait=wait_random_exponential(multiplier=BACKOFF_SECONDS, max=4 * BACKOFF_SECONDS),
            retry=retry_if_result(_nothing_sent),
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )
        if first.invalid or _now() + BACKOFF_SECONDS >= task.until:
            return first
        await asyncio.sleep(BACKOFF_SECONDS)
        result: UpstreamResponse | _Failure = await retrying(self._attempt, task)
        return result

    async def _attempt(self, task: _Task) -> UpstreamResponse | _Failure:
        watch = _Watch()
        invalid = False
        try:
            async with (
                asyncio.timeout_at(task.until),
                self._upstream.session().request(
                    task.method,
                    task.url,
                    params=task.query,
                    headers=task.headers,
                    data=multipart_form(task.multipart) if task.multipart is not None else task.data,
                    allow_redirects=False,
                    middlewares=(watch,),
                ) as answer,
            ):
                content = await read_body(answer, task.max_bytes)
                if content is not None:
                    return UpstreamResponse(answer.status, answer.headers, content, task.write)
                reason = "answer too large"
        except ValueError:
            invalid, reason = True, "invalid request"
        except (aiohttp.ClientError, OSError) as error:
            # OSError covers the time-outs, too. Only the kind is kept: texts of errors may hold the URL.
            reason = type(error).__name__
        finally:
            if task.write and watch.sent:
                self.may_have_acted = True
        return _Failure(watch.sent, reason, invalid=invalid and not watch.sent)

    def _error(self, failure: _Failure, *, write: bool) -> HermesError:
        if failure.invalid:
            return Internal(
                "The request could not be built; nothing was sent.", detail=failure.reason, nothing_sent=True
            )
        if failure.sent and write:
            return self._unknown(failure.reason)
        if failure.sent:
            return PlatformUnavailable(
                f"{self._platform} gave no complete answer; nothing was changed. Try again later.",
                detail=failure.reason,
            )
        return PlatformUnavailable(
            f"{self._platform} could not be reached and nothing was sent to it. Try again later.",
            detail=failure.reason,
            nothing_sent=True,
        )

    def _unknown(self, detail: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{self._platform} may or may not have carried this out: its answer never came or was not clear. "
            "It is not sent again by itself; check there before repeating it.",
            detail=detail,
        )


@dataclass(frozen=True, slots=True)
class _Task:
    method: str
    url: str | URL
    headers: Mapping[str, str] | None
    query: Query | None
    data: Content
    multipart: Sequence[Part] | None
    write: bool
    until: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class _Failure:
    sent: bool
    reason: str
    invalid: bool = False


class _MayHaveBeenReceived(aiohttp.ClientError):
    """In place of an error on which aiohttp would send GET, PUT or DELETE again by itself."""


class _Request(aiohttp.ClientRequest):
    """Knows whether it was given a connection to write to: from then on it may have been received."""

    sending = False

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        self.sending = True
        return await super().send(conn)


class _Watch:
    """A middleware around one attempt: remembers its request, and keeps aiohttp from sending it again."""

    __slots__ = ("_request",)

    def __init__(self) -> None:
        self._request: aiohttp.ClientRequest | None = None

    @property
    def sent(self) -> bool:
        return isinstance(self._request, _Request) and self._request.sending

    async def __call__(self, request: aiohttp.ClientRequest, handler: ClientHandlerType) -> aiohttp.ClientResponse:
        self._request = request
        try:
            return await handler(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            if not self.sent:
                raise
            reason = type(error).__name__
        raise _MayHaveBeenReceived(reason)


def _nothing_sent(result: UpstreamResponse | _Failure) -> bool:
    return isinstance(result, _Failure) and not result.sent


def _now() -> float:
    return asyncio.get_running_loop().time()
