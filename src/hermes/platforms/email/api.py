"""One mailbox, as the tools use it: its sessions, its servers, and what they say as results."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

from hermes.errors import HermesError, InvalidArguments, PlatformUnavailable
from hermes.platforms.base import Account, ApiContext
from hermes.platforms.email.credentials import EmailCredentials
from hermes.platforms.email.discovery import Discovery
from hermes.platforms.email.ids import Cursor, Locator, account_tag, digest_of, read_cursor, read_id, write_cursor
from hermes.platforms.email.mailbox import MAX_FOLDERS, FolderInfo, Lost, Mailbox
from hermes.platforms.email.models import Folder, Folders, Profile, Quota, SearchResult, SpecialFolders
from hermes.platforms.email.network import Network
from hermes.platforms.email.pool import Key, Pool, Session, cut
from hermes.platforms.email.refusals import unavailable
from hermes.platforms.email.results import summary
from hermes.platforms.email.search import GMAIL, Criteria
from hermes.platforms.email.servers import MailServers
from hermes.platforms.email.submission import Submission

T = TypeVar("T")

_MAX_COUNTED: Final = 100


class Opener:
    """Makes the API object of a call; what is kept between calls hangs on it: sessions and found servers."""

    def __init__(self, network: Network | None = None, discovery: Discovery | None = None) -> None:
        """Both parts can be given from outside, for tests; no setting changes them."""
        self._network = network or Network()
        self._discovery = discovery or Discovery(self._network)
        self._salt = os.urandom(32)
        self._pool: Pool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def pool(self) -> Pool:
        """The sessions of the running event loop."""
        loop = asyncio.get_running_loop()
        if self._pool is None or self._loop is not loop:
            self._pool, self._loop = Pool(), loop
        return self._pool

    def __call__(self, context: ApiContext, credentials: EmailCredentials) -> EmailApi:
        # Salted, so that what is kept in memory says nothing about a password.
        digest = hmac.new(self._salt, credentials.to_json(), hashlib.sha256).hexdigest()
        key = Key(context.customer_id, digest)
        return EmailApi(context, credentials, self._network, self._discovery, self.pool, key)


class EmailApi:
    """One customer's one mailbox, for one call."""

    def __init__(
        self,
        context: ApiContext,
        credentials: EmailCredentials,
        network: Network,
        discovery: Discovery,
        pool: Pool,
        key: Key,
    ) -> None:
        self.context = context
        self.credentials = credentials
        self.tag = account_tag(credentials.address)
        self._network = network
        self._discovery = discovery
        self._pool = pool
        self._key = key

    @property
    def deadline(self) -> float:
        return self.context.http.deadline

    async def servers(self) -> MailServers:
        """Where the mailbox is.

        Raises:
            PlatformUnavailable: it is not found.
        """
        found = await self._discovery.servers(self.context.customer_id, self.credentials)
        if found is None:
            raise PlatformUnavailable(
                f"The mail servers of {self.credentials.domain} could not be found. Link the mailbox with "
                "imap_host and smtp_host.",
                nothing_sent=True,
            )
        return found

    def username(self, servers: MailServers) -> str:
        if self.credentials.username is not None:
            return self.credentials.username
        address = self.credentials.address
        return address.rpartition("@")[0] if servers.user == "local" else address

    async def submission(self) -> Submission:
        servers = await self.servers()
        return Submission(self._network, servers.smtp, self.credentials, self.username(servers))

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A logged-in session, nobody else's while it lasts."""
        servers = await self.servers()
        async with self._pool.lease(self._key, partial(self._open, servers)) as session:
            yield session

    async def _open(self, servers: MailServers) -> Session:
        connected = await self._network.dial(servers.imap, field="imap_host")
        connected.setblocking(True)
        line = connected.dup()
        thread = ThreadPoolExecutor(1, thread_name_prefix="email")
        login = partial(
            Mailbox.over, connected, servers.imap.host, self._network.tls, self.credentials, self.username(servers)
        )
        try:
            mailbox = await asyncio.get_running_loop().run_in_executor(thread, login)
        except BaseException:
            cut(line)
            thread.submit(connected.close)
            thread.submit(line.close)
            thread.shutdown(wait=False)
            raise
        return Session(mailbox, thread, line)

    async def read(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Do something that changes nothing; on a kept connection that turns out to be dead, once more on a new one.

        Raises:
            HermesError: a clear no, or no answer (`PlatformUnavailable`).
        """
        reason = "time-out"
        try:
            async with asyncio.timeout_at(self.deadline):
                for _ in range(2):
                    reused = False
                    try:
                        async with self.session() as session:
                            reused = session.reused
                            return await work(session)
                    except Lost as lost:
                        reason = lost.reason
                    if not reused:
                        break
                    await self._pool.discard(self._key)
        except TimeoutError:
            reason = "time-out"
        raise unavailable(reason)

    async def account(self) -> Account:
        """Log in to both servers.

        Raises:
            HermesError: one of them does not let us in, or the servers are not found.
        """
        try:
            servers = await self.servers()
        except PlatformUnavailable as error:
            problem = "the mail servers could not be found by the address; name them"
            fields = [{"field": name, "problem": problem} for name in ("imap_host", "smtp_host")]
            raise InvalidArguments(error.message, fields=fields) from None
        try:
            await self.read(_check)
            async with asyncio.timeout_at(self.deadline):
                await (await self.submission()).check()
        except TimeoutError:
            raise unavailable("time-out") from None
        except HermesError as error:
            if servers.help is not None:
                error.message = f"{error.message} {servers.provider}: {servers.help}"
            raise
        address = self.credentials.address
        return Account(id=address.lower(), name=address, expires_at=self.credentials.expires_at)

    async def profile(self) -> Profile:
        servers = await self.servers()
        capabilities, folders, quota = await self.read(_look_around)
        named = {folder.special: folder.name for folder in reversed(folders) if folder.special and folder.selectable}
        return Profile(
            address=self.credentials.address,
            display_name=self.credentials.display_name,
            aliases=list(self.credentials.aliases),
            provider=servers.provider,
            auth="password" if self.credentials.access_token is None else "oauth",
            imap_host=servers.imap.host,
            smtp_host=servers.smtp.host,
            extensions=sorted(name for name in capabilities if not name.startswith("AUTH="))[:100],
            special_folders=SpecialFolders(
                **{name: named.get(name) for name in SpecialFolders.model_fields},
            ),
            quota=None if quota is None else Quota(used_bytes=quota[0], limit_bytes=quota[1]),
        )

    async def folders(self, *, counts: bool) -> Folders:
        async def work(session: Session) -> Folders:
            listed = await session.run(Mailbox.folders)
            shown = []
            for at, folder in enumerate(listed[:MAX_FOLDERS]):
                counted = counts and folder.selectable and at < _MAX_COUNTED
                messages, unread = await session.run(Mailbox.counts, folder.name) if counted else (None, None)
                shown.append(
                    Folder(
                        name=folder.name,
                        delimiter=folder.delimiter,
                        special_use=folder.special,
                        selectable=folder.selectable,
                        messages=messages,
                        unread=unread,
                    )
                )
            return Folders(folders=shown, truncated=len(listed) > MAX_FOLDERS)

        return await self.read(work)

    async def search(self, folder: str, criteria: Criteria, limit: int, cursor: str | None) -> SearchResult:
        digest = digest_of([self.tag, folder, criteria])
        place = read_cursor(cursor, digest) if cursor is not None else None
        below, validity = (place.below, place.validity) if place else (None, None)
        before = place.before if place else 0

        async def work(session: Session) -> SearchResult:
            page = await session.run(Mailbox.search, folder, criteria, limit, below, validity)
            here = page.unicode_checked_here or criteria.checked_here(session.mailbox.capabilities)
            more = None
            if page.more_below is not None:
                more = write_cursor(Cursor(page.validity, page.more_below, before + len(page.found)), digest)
            return SearchResult(
                folder=folder,
                messages=[summary(item, self.tag, folder, page.validity) for item in page.found],
                total=None if here else before + page.matches,
                next_cursor=more,
                partial=page.scanned_out or page.unicode_checked_here,
                note=_note(scanned_out=page.scanned_out, unicode_here=page.unicode_checked_here),
            )

        return await self.read(work)

    def locate(self, message: str, *, name: str = "id") -> Locator:
        return read_id(message, self.tag, name=name)


async def _check(session: Session) -> None:
    await session.run(Mailbox.check)


async def _look_around(session: Session) -> tuple[frozenset[str], list[FolderInfo], tuple[int, int] | None]:
    folders = await session.run(Mailbox.folders)
    return session.mailbox.capabilities, folders, await session.run(Mailbox.quota)


def _note(*, scanned_out: bool, unicode_here: bool) -> str | None:
    notes = []
    if unicode_here:
        notes.append(
            "This server cannot search for letters beyond ASCII: they were looked for in sender, recipients and "
            "subject only."
        )
    if scanned_out:
        notes.append("Only the newest messages were looked through; go on with next_cursor, or narrow the search.")
    return " ".join(notes) or None


def is_gmail(session: Session) -> bool:
    return GMAIL in session.mailbox.capabilities
