"""The product's own mail: written in the transaction of what it tells about, sent by a job, at least once.

The job claims the mail's row for a while, hands it to the server and marks it sent; a process that dies between the two
leaves the row to another try, so in practice a mail is sent once. Links in it open accounts: the row is sealed, and
empty once the mail is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import structlog
import uuid_utils
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.crypto import Keyring, Undecryptable
from hermes.errors import Conflict
from hermes.events.letters import Letter, compose
from hermes.events.models import MailRow, MailState
from hermes.events.post import Post, Undeliverable
from hermes.keys.seals import Seal
from hermes.storage.sql import Database, rows_matched

SEND_JOB: Final = "mail.send"

_CLAIM: Final = timedelta(minutes=5)
_FIRST_PAUSE: Final = timedelta(seconds=30)
_LONGEST_PAUSE: Final = timedelta(hours=2)
_GIVE_UP_AFTER: Final = timedelta(days=1)
_KEPT: Final = timedelta(days=30)
_SWEPT: Final = 200

log = structlog.get_logger(__name__)


class Jobs(Protocol):
    """Where sending is queued by the mail's id."""

    async def enqueue(self, name: str, *ids: str | int, delay: float = 0) -> bool:
        """Have the job run; False when that could not be arranged."""
        ...


class Mail:
    """The outbox."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        jobs: Jobs,
        post: Post | None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Args:
            post: the way out; none when mail is not set up.
        """
        self._database = database
        self._keyring = keyring
        self._jobs = jobs
        self._post = post
        self._now = now

    @property
    def is_set_up(self) -> bool:
        """Whether mails can be sent."""
        return self._post is not None

    def require(self) -> None:
        """Check that mails can be sent, before something is begun that needs one.

        Raises:
            Conflict: they cannot.
        """
        if self._post is None:
            raise Conflict(
                "Mail is not set up here, so no link can be sent to you; ask whoever runs this server to set SMTP_HOST."
            )

    def write(self, session: AsyncSession, letter: Letter) -> str:
        """Put a mail into the outbox, in the transaction of what it tells about. Call `dispatch` with the answer after
        the commit. Without a way out nothing is kept."""
        mail_id = f"mail_{uuid_utils.uuid7().hex}"
        if self._post is None:
            log.warning("mail_not_set_up", kind=letter.kind)
            return mail_id
        now = self._now()
        session.add(
            MailRow(
                id=mail_id,
                kind=letter.kind,
                sealed=self._keyring.seal(letter.to_json(), _name(mail_id)),
                state=MailState.WAITING,
                tries=0,
                next_try_at=now,
                created_at=now,
                finished_at=None,
            )
        )
        return mail_id

    async def dispatch(self, *mail_ids: str) -> None:
        """Have mails sent soon. If that cannot be arranged, `sweep` does it later."""
        if self._post is not None:
            for mail_id in mail_ids:
                await self._jobs.enqueue(SEND_JOB, mail_id)

    async def send(self, mail_id: str) -> None:
        """Send a mail that is waiting and that nobody else is sending."""
        row = await self._claim(mail_id)
        if row is None or self._post is None:
            return
        try:
            letter = Letter.from_json(await self._keyring.open_stored(row.sealed, _name(mail_id)))
            message = compose(letter, sender=self._post.sender, mail_id=mail_id, written_at=row.created_at)
            await self._post.send(mail_id, message)
        except (Undeliverable, Undecryptable) as error:
            log.error("mail_given_up", mail_id=mail_id, kind=row.kind, error=str(error))
            await self._finish(mail_id, MailState.GIVEN_UP)
        except Exception as error:  # noqa: BLE001  (whatever the server or the network did, it is tried again)
            await self._put_off(row, type(error).__name__)
        else:
            await self._finish(mail_id, MailState.SENT)

    async def sweep(self) -> None:
        """Queue mails whose time has come: those to be tried again, and those whose job was lost."""
        query = (
            select(MailRow.id)
            .where(MailRow.state == MailState.WAITING, MailRow.next_try_at <= self._now())
            .order_by(MailRow.next_try_at)
            .limit(_SWEPT)
        )
        async with self._database.reading() as session:
            waiting = list(await session.scalars(query))
        await self.dispatch(*waiting)

    async def purge(self) -> None:
        """Delete rows of mails that were sent or given up a month ago."""
        async with self._database.session() as session:
            await session.execute(
                delete(MailRow).where(MailRow.state != MailState.WAITING, MailRow.created_at < self._now() - _KEPT)
            )

    async def _claim(self, mail_id: str) -> MailRow | None:
        now = self._now()
        mine = (MailRow.id == mail_id, MailRow.state == MailState.WAITING, MailRow.next_try_at <= now)
        claim = update(MailRow).where(*mine).values(next_try_at=now + _CLAIM, tries=MailRow.tries + 1)
        async with self._database.session() as session:
            if await rows_matched(session, claim) != 1:
                return None
            return await session.get(MailRow, mail_id)

    async def _finish(self, mail_id: str, state: MailState) -> None:
        done = update(MailRow).where(MailRow.id == mail_id).values(state=state, sealed="", finished_at=self._now())
        async with self._database.session() as session:
            await session.execute(done)

    async def _put_off(self, row: MailRow, error: str) -> None:
        now = self._now()
        if now - row.created_at >= _GIVE_UP_AFTER:
            log.error("mail_given_up", mail_id=row.id, kind=row.kind, error=error, tries=row.tries)
            await self._finish(row.id, MailState.GIVEN_UP)
            return
        pause = min(_FIRST_PAUSE * 2 ** (row.tries - 1), _LONGEST_PAUSE)
        log.warning("mail_not_sent", mail_id=row.id, kind=row.kind, error=error, tries=row.tries)
        async with self._database.session() as session:
            await session.execute(update(MailRow).where(MailRow.id == row.id).values(next_try_at=now + pause))


def _name(mail_id: str) -> str:
    return f"outbox_mails:{mail_id}"


SEAL: Final = Seal(
    "waiting mails",
    MailRow.id,
    MailRow.sealed,
    lambda row: _name(row.id),
    "they are given up when their time comes; whoever waits for one asks for it again",
)
