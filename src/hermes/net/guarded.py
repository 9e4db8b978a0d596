"""The HTTP client for URLs that customers or clients gave us: it reaches the public internet only.

A host name is resolved once, every address it has must be public, and the connection goes to just these addresses; so
a second answer of the name server changes nothing. Redirects are not followed, and answers are not decompressed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType
from yarl import URL

from hermes.errors import HermesError, InvalidArguments, PayloadTooLarge, PlatformUnavailable, Unfetchable
from hermes.net.addresses import is_public, parse_host
from hermes.net.answers import read_body
from hermes.net.bodies import MEBIBYTE

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host name and port → its addresses, as text. Raises OSError when it has none."""

_PORTS = {"https": 443, "http": 80}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NOT_PUBLIC = "its host must be one that can be found on the public internet"


@dataclass(frozen=True, slots=True)
class GuardedResponse:
    """A complete answer from a URL that someone gave us: text from outside, whatever its status.

    Attributes:
        headers: case-insensitive.
        content_type: the media type in lower case without parameters; `application/octet-stream` when none was given.
        body: as it was sent: when `headers` have a `Content-Encoding`, it still is encoded.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content_type: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class GuardedStream:
    """The head of an answer whose body is still to come.

    Attributes:
        content_type: as in `GuardedResponse`.
        content: the body in small pieces, to be read once. Raises what `GuardedClient.stream` says.
    """

    status: int
    content_type: str
    content: AsyncIterator[bytes] = field(repr=False)


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """The addresses that the system's resolver knows.

    Raises:
        OSError: it knows none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def public_addresses(host: str, port: int, resolve: Resolve) -> Sequence[str]:
    """The addresses of a host that someone named, all of them public. Connect to these and look none up again.

    Raises:
        ValueError: it is no full host name or address, or one of its addresses is not public.
        OSError: it has none.
    """
    try:
        parsed = parse_host(host)
    except ValueError:
        raise ValueError(_NOT_PUBLIC) from None
    found = await resolve(parsed, port) if isinstance(parsed, str) else [str(parsed)]
    try:
        public = bool(found) and all(is_public(ip_address(address)) for address in found)
    except ValueError:
        public = False
    if not public:
        raise ValueError(_NOT_PUBLIC)
    return found


class GuardedClient:
    """Fetches URLs that customers or clients gave us."""

    def __init__(
        self,
        *,
        resolve: Resolve = system_resolve,
        allow_http: bool = False,
        trusted: Collection[tuple[str, int]] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Set what is allowed.

        Args:
            resolve: finds a host's addresses.
            allow_http: whether plain http is allowed, too. For tests.
            trusted: (host, port) pairs that are reached although they are not public, also over http: those that the
                operator names, and the sandbox.
            tls: whose certificates are believed, if others than the system's. For tests.
        """
        self._resolve = resolve
        self._tls = tls
        self._schemes = ("https", "http") if allow_http else ("https",)
        self._trusted = frozenset(trusted)

    async def check(self, url: str, *, name: str = "url") -> None:
        """Check that a URL may be fetched now, without fetching it.

        Args:
            url: the URL.
            name: the argument that it came in, for the error.

        Raises:
            InvalidArguments: it is not allowed; `fields` says why.
        """
        await self._target(url, name)

    async def fetch(
        self,
        url: str,
        *,
        name: str = "url",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        max_bytes: int = 8 * MEBIBYTE,
        seconds: float = 20.0,
    ) -> GuardedResponse:
        """Send one request and read the whole answer.

        Args:
            url: the URL that someone gave us.
            name: the argument that it came in, for errors.
            method: the HTTP method.
            headers: to be sent.
            body: to be sent.
            max_bytes: of the answer's body.
            seconds: for all of it, looking up the host included.

        Returns:
            The answer, for every HTTP status; a redirect is an answer, too.

        Raises:
            InvalidArguments: the URL is not allowed; `fields` says why.
            PayloadTooLarge: the answer is longer than `max_bytes`.
            PlatformUnavailable: no complete answer in time.
        """
        try:
            async with asyncio.timeout(seconds):
                target, addresses = await self._target(url, name)
                async with _session(addresses, self._tls) as session:
                    request = session.request(method, target, headers=headers, data=body, allow_redirects=False)
                    result = await _receive(request, name, max_bytes)
        except TimeoutError:
            result = _no_answer(name, "time-out")
        if isinstance(result, HermesError):
            raise result
        return result

    @asynccontextmanager
    async def stream(
        self,
        url: str,
        *,
        name: str = "url",
        max_bytes: int,
        seconds: float,
        idle_seconds: float = 30.0,
    ) -> AsyncIterator[GuardedStream]:
        """GET something large piece by piece. A redirect is refused: nobody checked where it leads.

        Args:
            url: the URL that someone gave us.
            name: the argument that it came in, for errors.
            max_bytes: of the body.
            seconds: for all of it.
            idle_seconds: without a further byte.

        Raises:
            InvalidArguments: the URL is not allowed, or redirects; `fields` says why.
            PayloadTooLarge: the body is longer than `max_bytes`.
            PlatformUnavailable: no complete answer in time.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        until = min(deadline, _soon(idle_seconds))
        try:
            async with asyncio.timeout_at(until):
                target, addresses = await self._target(url, name)
        except TimeoutError:
            raise _no_answer(name, "time-out") from None
        async with _session(addresses, self._tls) as session, await _head(session, target, name, until) as answer:
            if answer.status in _REDIRECTS:
                problem = "it redirects; give the address that it leads to"
                raise _refused(name, problem, Unfetchable)
            pieces = _pieces(answer, name, max_bytes, deadline, idle_seconds)
            yield GuardedStream(answer.status, answer.content_type.lower(), pieces)

    async def _target(self, url: str, name: str) -> tuple[URL, Sequence[str]]:
        """The parsed URL and the checked addresses of its host."""
        try:
            parsed = self._parse(url)
            return parsed, await self._addresses(parsed)
        except ValueError as error:
            problem = str(error)
        except OSError:
            # In the same words, so that nobody learns which names there are inside.
            raise _refused(name, _NOT_PUBLIC, Unfetchable) from None
        raise _refused(name, problem)

    def _parse(self, url: str) -> URL:
        parsed = _url(url)
        host, port = parsed.raw_host, parsed.port
        if not host:
            raise ValueError("it must be a full URL, such as https://example.com/picture.jpg")
        if parsed.raw_user is not None or parsed.raw_password is not None:
            raise ValueError("it must not hold a user name or password")
        if (host, port) in self._trusted and parsed.scheme in _PORTS:
            return parsed
        if parsed.scheme not in self._schemes:
            raise ValueError("it must begin with https://")
        if port != _PORTS[parsed.scheme]:
            raise ValueError(f"its port must be {_PORTS[parsed.scheme]}")
        return parsed

    async def _addresses(self, url: URL) -> Sequence[str]:
        if (url.raw_host, url.port) in self._trusted:
            return await self._resolve(url.raw_host or "", url.port or 0)
        return await public_addresses(url.raw_host or "", url.port or 0, self._resolve)


def _url(text: str) -> URL:
    """The URL, or an empty one when it is none that every program reads the same way."""
    if text.isprintable() and not any(character in text for character in " \\"):
        with suppress(ValueError):
            return URL(text)
    return URL()


async def _receive(
    request: AbstractAsyncContextManager[aiohttp.ClientResponse], name: str, max_bytes: int
) -> GuardedResponse | HermesError:
    try:
        async with request as answer:
            content = await read_body(answer, max_bytes)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return _no_answer(name, type(error).__name__)
    if content is None:
        return _too_large(name, max_bytes)
    return GuardedResponse(answer.status, answer.headers, answer.content_type.lower(), content)


async def _head(session: aiohttp.ClientSession, url: URL, name: str, until: float) -> aiohttp.ClientResponse:
    """The answer to a GET, its body not yet read."""
    try:
        async with asyncio.timeout_at(until):
            return await session.get(url, allow_redirects=False)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _no_answer(name, type(error).__name__) from None


async def _pieces(
    answer: aiohttp.ClientResponse, name: str, max_bytes: int, deadline: float, idle_seconds: float
) -> AsyncIterator[bytes]:
    """The body of an answer, in time and within its limit."""
    taken = 0
    if (answer.content_length or 0) > max_bytes:
        raise _too_large(name, max_bytes)
    while True:
        try:
            async with asyncio.timeout_at(min(deadline, _soon(idle_seconds))):
                piece = await answer.content.readany()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _no_answer(name, type(error).__name__) from None
        if not piece:
            return
        taken += len(piece)
        if taken > max_bytes:
            raise _too_large(name, max_bytes)
        yield piece


def _soon(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


class _Pinned(AbstractResolver):
    """Knows the checked addresses and nothing else."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002  (aiohttp's interface)
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        return


def _session(addresses: Sequence[str], tls: ssl.SSLContext | None) -> aiohttp.ClientSession:
    """A session for one fetch, which can connect to these addresses only."""
    allowed = {ip_address(address) for address in addresses}

    def make_socket(info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        # aiohttp asks no resolver about a host that is an address already: this sees every connection.
        if ip_address(address[0]) not in allowed:
            raise OSError("address was not checked")
        return socket.socket(family, kind, protocol)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=_Pinned(addresses),
            use_dns_cache=False,
            socket_factory=make_socket,
            force_close=True,
            ssl=True if tls is None else tls,
        ),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "squaremcp-hermes", "Accept-Encoding": "identity"},
        auto_decompress=False,
        trust_env=False,
    )


def _refused(name: str, problem: str, kind: type[InvalidArguments] = InvalidArguments) -> InvalidArguments:
    # A URL is looked at before its platform is sent anything, so the client's idempotency key stays free.
    return kind(f"`{name}` cannot be used: {problem}.", fields=[{"field": name, "problem": problem}], nothing_sent=True)


def _too_large(name: str, max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"What `{name}` leads to is larger than {max_bytes:,} bytes, the most that is taken here.", nothing_sent=True
    )


def _no_answer(name: str, detail: str) -> PlatformUnavailable:
    return PlatformUnavailable(
        f"The server that `{name}` leads to gave no complete answer. Check the address or try again later.",
        detail=detail,
    )
