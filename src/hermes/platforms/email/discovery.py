"""Finding a mailbox's servers by its address.

The order is Thunderbird's (draft-ietf-mailmaint-autoconfig): what is known, the domain's own description, the ISPDB,
the domain's mail exchanger, SRV records (RFC 6186, RFC 8314), and the usual names. A password goes only where one of
these leads; what unsigned DNS alone says (MX, SRV) leads only to a known provider or stays in the domain.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from hermes.errors import HermesError
from hermes.net.addresses import parse_host
from hermes.net.guarded import GuardedClient
from hermes.platforms.email.credentials import EmailCredentials
from hermes.platforms.email.network import IMAPS, SUBMISSION, SUBMISSIONS, Endpoint, Network
from hermes.platforms.email.servers import MailServers, known, preset, preset_by_exchanger

_FETCH_SECONDS: Final = 4.0
_DNS_SECONDS: Final = 3.0
_GUESS_SECONDS: Final = 3.0
_MAX_XML: Final = 65536
_REMEMBERED: Final = 1024
_REMEMBERED_SECONDS: Final = 24 * 3600.0

Fetch = Callable[[str], Awaitable[bytes | None]]
"""An https URL → what is there, or None."""


class Dns(Protocol):
    """What discovery asks the domain name system."""

    async def exchangers(self, domain: str) -> Sequence[str]:
        """The domain's mail exchangers, the preferred ones first."""
        ...

    async def services(self, name: str) -> Sequence[tuple[str, int]]:
        """Hosts and ports of an SRV record, the preferred ones first."""
        ...


class SystemDns:
    """Asks the system's name servers."""

    async def exchangers(self, domain: str) -> Sequence[str]:
        found = await _ask(domain, "MX")
        return [str(item.exchange) for item in sorted(found, key=lambda item: item.preference)]

    async def services(self, name: str) -> Sequence[tuple[str, int]]:
        found = await _ask(name, "SRV")
        return [(str(item.target), item.port) for item in sorted(found, key=lambda item: (item.priority, -item.weight))]


async def _ask(name: str, kind: str) -> list[Any]:
    import dns.asyncresolver  # noqa: PLC0415  (large, and few servers of mail have to be looked for)
    import dns.exception  # noqa: PLC0415  (as above)

    try:
        return list(await dns.asyncresolver.resolve(name, kind, lifetime=_DNS_SECONDS))
    except (dns.exception.DNSException, OSError):
        return []


def guarded_fetch(client: GuardedClient) -> Fetch:
    """Fetches descriptions through the client for URLs that others gave us."""

    async def fetch(url: str) -> bytes | None:
        try:
            answer = await client.fetch(url, max_bytes=_MAX_XML, seconds=_FETCH_SECONDS)
        except HermesError:
            return None
        return answer.body if answer.status == 200 else None

    return fetch


class Discovery:
    """Finds servers and remembers them for a day, each customer's for that customer only: at most 1024 in all."""

    def __init__(self, network: Network, *, fetch: Fetch | None = None, dns: Dns | None = None) -> None:
        self._network = network
        self._fetch = fetch or guarded_fetch(GuardedClient())
        self._dns: Dns = dns or SystemDns()
        self._found: OrderedDict[tuple[str, str], tuple[float, MailServers]] = OrderedDict()

    async def servers(self, customer_id: str, credentials: EmailCredentials) -> MailServers | None:
        """The mailbox's servers: those that the credential names, otherwise those that are found.

        Returns:
            None if they are not found.
        """
        named = credentials.imap_host, credentials.smtp_host
        if credentials.imap_host is not None and credentials.smtp_host is not None:
            imap = Endpoint(credentials.imap_host, credentials.imap_port)
            smtp = Endpoint(credentials.smtp_host, credentials.smtp_port or SUBMISSIONS)
            about = known(credentials.imap_host)
            return replace(about, imap=imap, smtp=smtp, user="address") if about else MailServers(imap, smtp)
        found = await self._of_domain(customer_id, credentials.domain)
        if found is None or named == (None, None):
            return found
        imap_host, smtp_host = named[0] or found.imap.host, named[1] or found.smtp.host
        return replace(
            found,
            imap=Endpoint(imap_host, IMAPS),
            smtp=Endpoint(smtp_host, credentials.smtp_port or found.smtp.port),
        )

    async def _of_domain(self, customer_id: str, domain: str) -> MailServers | None:
        key, now = (customer_id, domain), asyncio.get_running_loop().time()
        found = preset(domain)
        if found is not None:
            return found
        remembered = self._found.get(key)
        if remembered is not None and now - remembered[0] < _REMEMBERED_SECONDS:
            self._found.move_to_end(key)
            return remembered[1]
        found = await self._search(domain)
        if found is not None:
            self._found[key] = (now, found)
            while len(self._found) > _REMEMBERED:
                self._found.popitem(last=False)
        return found

    async def _search(self, domain: str) -> MailServers | None:
        # The address itself is not told: a domain's description does not differ between its mailboxes.
        described = await asyncio.gather(
            *(
                self._described(url, domain)
                for url in (
                    f"https://autoconfig.{domain}/mail/config-v1.1.xml",
                    f"https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml",
                    f"https://autoconfig.thunderbird.net/v1.1/{domain}",
                )
            )
        )
        found = next((servers for servers in described if servers is not None), None)
        if found is None:
            for host in await self._dns.exchangers(domain):
                found = found or preset_by_exchanger(host)
        return found or await self._by_srv(domain) or await self._guessed(domain)

    async def _described(self, url: str, domain: str) -> MailServers | None:
        content = await self._fetch(url)
        return read_description(content, domain) if content is not None else None

    async def _by_srv(self, domain: str) -> MailServers | None:
        imap = await self._service(f"_imaps._tcp.{domain}", domain, IMAPS)
        smtp = await self._service(f"_submissions._tcp.{domain}", domain, SUBMISSIONS) or await self._service(
            f"_submission._tcp.{domain}", domain, SUBMISSION
        )
        return _known_or(MailServers(imap, smtp)) if imap is not None and smtp is not None else None

    async def _service(self, name: str, domain: str, port: int) -> Endpoint | None:
        for target, target_port in await self._dns.services(name):
            host = target.lower().rstrip(".")
            inside = host == domain or host.endswith(f".{domain}")
            if target_port == port and (inside or known(host) is not None):
                return Endpoint(host, port)
        return None

    async def _guessed(self, domain: str) -> MailServers | None:
        imap, smtp = await asyncio.gather(
            self._first_reachable(Endpoint(f"{name}.{domain}", IMAPS) for name in ("imap", "mail")),
            self._first_reachable(
                Endpoint(f"{name}.{domain}", port) for name in ("smtp", "mail") for port in (SUBMISSIONS, SUBMISSION)
            ),
        )
        return MailServers(imap, smtp) if imap is not None and smtp is not None else None

    async def _first_reachable(self, candidates: Iterable[Endpoint]) -> Endpoint | None:
        tried = list(candidates)
        answers = await asyncio.gather(
            *(self._network.reachable(candidate, seconds=_GUESS_SECONDS) for candidate in tried)
        )
        return next((candidate for candidate, answers_ in zip(tried, answers, strict=True) if answers_), None)


@dataclass(frozen=True, slots=True)
class _Described:
    endpoint: Endpoint
    user: str


def read_description(content: bytes, domain: str) -> MailServers | None:
    """The servers that a `config-v1.1.xml` names, as far as they are used here: TLS on the usual ports."""
    try:
        root = fromstring(content)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    imap = _first(root, "incomingServer", "imap", ((IMAPS, "SSL"),), domain)
    smtp = _first(root, "outgoingServer", "smtp", ((SUBMISSIONS, "SSL"), (SUBMISSION, "STARTTLS")), domain)
    if imap is None or smtp is None:
        return None
    local = imap.user == "%EMAILLOCALPART%"
    return _known_or(MailServers(imap.endpoint, smtp.endpoint, "local" if local else "address"))


def _first(root: Element, tag: str, kind: str, allowed: Sequence[tuple[int, str]], domain: str) -> _Described | None:
    found = [
        described
        for server in root.iter(tag)
        if server.get("type") == kind and (described := _described_server(server, allowed, domain)) is not None
    ]
    return next((item for port, _ in allowed for item in found if item.endpoint.port == port), None)


def _described_server(server: Element, allowed: Sequence[tuple[int, str]], domain: str) -> _Described | None:
    values = {child.tag: (child.text or "").strip() for child in server}
    host = values.get("hostname", "").replace("%EMAILDOMAIN%", domain)
    port = next(
        (port for port, security in allowed if (values.get("port"), values.get("socketType")) == (str(port), security)),
        None,
    )
    try:
        name = parse_host(host)
    except ValueError:
        return None
    return _Described(Endpoint(name, port), values.get("username", "")) if port and isinstance(name, str) else None


def _known_or(found: MailServers) -> MailServers:
    about = known(found.imap.host)
    return replace(found, provider=about.provider, files_sent=about.files_sent, help=about.help) if about else found
