"""Keeping media for a day, and opening it for a platform: by handle, or by a URL that is fetched now."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BufferedReader
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from hermes.crypto import Keyring, Undecryptable
from hermes.errors import Internal, NotFound, PayloadTooLarge, RateLimited, Unfetchable
from hermes.identity.ids import new_id
from hermes.keys.seals import Seal
from hermes.media.content import Found, examine
from hermes.media.models import MediaRow
from hermes.media.names import clean_filename
from hermes.media.places import Place
from hermes.media.rules import check_rules, check_size
from hermes.media.sealed import DamagedFile, FileCipher, SealedReader, SealedStream, SealedWriter, in_thread
from hermes.net.bodies import MEBIBYTE
from hermes.net.guarded import GuardedClient
from hermes.platforms.ports import MediaFile, MediaRules
from hermes.storage.sql import Database

log = structlog.get_logger(__name__)

HANDLE_PREFIX: Final = "media_"
LIFETIME: Final = timedelta(hours=24)
MOST_KEPT: Final = 64 * 1024 * MEBIBYTE
_FETCH_SECONDS: Final = 1800.0
FILES_AT_ONCE: Final = 8
"""Files that one customer may have under way at once, in each process."""

_KEY_BYTES: Final = 32
_TURN_SECONDS: Final = 5.0
_FETCHED: Final = "fetched"
"""The folder of files that belong to a call under way and to no row. No customer's id looks like it."""


@dataclass(frozen=True, slots=True)
class KeptMedia:
    """What is known of a kept file."""

    id: str
    filename: str
    content_type: str
    size: int
    sha256: str
    width: int | None
    height: int | None
    seconds: float | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OpenedMedia:
    """A file that can be read; implements `hermes.platforms.ports.MediaFile`."""

    size: int
    content_type: str
    filename: str
    sha256: str
    width: int | None
    height: int | None
    seconds: float | None
    reader: SealedReader = field(repr=False)

    async def read(self, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start`, at most `length` of them, in pieces of at most one mebibyte.

        Raises:
            Internal: the stored bytes are damaged or gone.
        """
        try:
            async for piece in self.reader.read(start, length):
                yield piece
        except DamagedFile as error:
            raise Internal(
                "The stored file cannot be read any more; upload it again.", detail=str(error), nothing_sent=True
            ) from None


class MediaStore:
    """Implements `hermes.platforms.ports.Media` over SQL and a place for encrypted files."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        guarded: GuardedClient,
        place: Place,
        *,
        now: Callable[[], float] = time.time,
        examinations: int = 2,
        most_kept: int = MOST_KEPT,
    ) -> None:
        """Prepare; nothing is written or connected yet.

        Args:
            guarded: fetches customers' URLs.
            place: where the files lie. With several replicas it must be one that all of them share.
            most_kept: bytes that one customer may have here at once, when nothing tighter is said.
            examinations: files whose content is looked at at once; each takes a thread and a few mebibytes.
        """
        self._database = database
        self._keyring = keyring
        self._guarded = guarded
        self._place = place
        self._now = now
        self._most_kept = most_kept
        self._under_way: Counter[str] = Counter()
        self._examining = asyncio.Semaphore(examinations)

    def open(
        self,
        customer_id: str,
        source: str,
        rules: MediaRules,
        *,
        field: str,  # noqa: A002, RUF100  (the port's word)
    ) -> AbstractAsyncContextManager[MediaFile]:
        """See `hermes.platforms.ports.Media.open`."""
        return self._open(customer_id, source, rules, field)

    @asynccontextmanager
    async def _open(self, customer_id: str, source: str, rules: MediaRules, name: str) -> AsyncIterator[MediaFile]:
        if source.startswith(HANDLE_PREFIX):
            opened = await self.kept(customer_id, source, name=name)
            check_rules(opened, rules, name)
            yield opened
            return
        with self._turn(customer_id):
            writer = self._new_file(customer_id, new_id(_FETCHED), os.urandom(_KEY_BYTES), _FETCHED)
            try:
                found = await self._fetch(source, rules, name, writer)
                yield _opened(found, writer, _name_of(source))
            finally:
                await writer.abandon()

    async def hold(self, customer_id: str, source: str, rules: MediaRules, *, field: str) -> str:
        """See `hermes.platforms.ports.Media.hold`."""
        if source.startswith(HANDLE_PREFIX):
            async with self._open(customer_id, source, rules, field):
                return source
        media_id, key = new_id("media"), os.urandom(_KEY_BYTES)
        with self._turn(customer_id):
            writer = self._new_file(customer_id, media_id, key, customer_id)
            try:
                found = await self._fetch(source, rules, field, writer)
                await self._record(customer_id, media_id, key, found, writer, _name_of(source), None)
            except BaseException:
                await writer.abandon()
                raise
        return media_id

    async def keep(self, customer_id: str, content: AsyncIterator[bytes], *, filename: str, content_type: str) -> str:
        """See `hermes.platforms.ports.Media.keep`."""
        return (await self.take(customer_id, content, filename=filename, content_type=content_type)).id

    async def take(
        self,
        customer_id: str,
        content: AsyncIterator[bytes],
        *,
        filename: str,
        content_type: str,
        max_bytes: int | None = None,
        max_total: int | None = None,
    ) -> KeptMedia:
        """Keep content for 24 hours.

        Args:
            filename: what the file is called; only its last part is used.
            content_type: what whoever sends it says it is; photos and videos are told by their content.
            max_bytes: most bytes of this file.
            max_total: most bytes that the customer may have here at once.

        Raises:
            PayloadTooLarge: one of the two is exceeded; nothing is kept.
            RateLimited: the customer has too many files under way at this moment.
            InvalidArguments: it is said to be a photo or video and is none that can be read.
        """
        media_id, key = new_id("media"), os.urandom(_KEY_BYTES)
        async with self._database.reading() as session:
            await self._refuse_more(session, customer_id, 1, max_total or self._most_kept)
        with self._turn(customer_id):
            writer = self._new_file(customer_id, media_id, key, customer_id)
            try:
                async for piece in content:
                    _refuse_longer(writer.size + len(piece), max_bytes)
                    await writer.write(piece)
                await writer.finish()
                found = await self._examine(writer.reader(), content_type, "file")
                return await self._record(customer_id, media_id, key, found, writer, filename, max_total)
            except BaseException:
                await writer.abandon()
                raise

    async def describe(self, customer_id: str, handle: str) -> KeptMedia:
        """What is known of the customer's file.

        Raises:
            NotFound: the customer has no such file, or it expired.
        """
        return _kept(await self._row(customer_id, handle))

    async def kept(self, customer_id: str, handle: str, *, name: str = "handle") -> OpenedMedia:
        """The customer's file, to be read.

        Raises:
            NotFound: the customer has no such file, or it expired.
        """
        row = await self._row(customer_id, handle, name)
        try:
            key = await self._keyring.open_stored(row.sealed_key, _key_name(customer_id, row.id))
        except Undecryptable as error:
            log.error("media_key_does_not_open", media_id=row.id, reason=error.reason)
            raise Internal("The stored file cannot be read any more; upload it again.", nothing_sent=True) from None
        cipher = FileCipher(key, customer_id, row.id)
        reader = SealedReader(self._place, _place_of(customer_id, row.id), cipher, row.size)
        return OpenedMedia(
            row.size, row.content_type, row.filename, row.sha256, row.width, row.height, row.seconds, reader
        )

    async def delete(self, customer_id: str, handle: str) -> None:
        """Delete the customer's file now.

        Raises:
            NotFound: the customer has no such file, or it expired.
        """
        row = await self._row(customer_id, handle)
        await self._remove(row.customer_id, row.id)

    async def sweep(self, batch: int = 200) -> int:
        """For operators: delete what has expired, of all customers, and what dead processes left behind.

        Returns:
            How many kept files were deleted.
        """
        removed = 0
        now = self._moment()
        while True:
            async with self._database.reading() as session:
                expired = select(MediaRow.customer_id, MediaRow.id).where(MediaRow.expires_at <= now).limit(batch)
                rows = (await session.execute(expired)).all()
            for customer_id, media_id in rows:
                await self._remove(customer_id, media_id)
            removed += len(rows)
            if len(rows) < batch:
                break
        # Files are deleted with their rows; what is older than any row was left by a process that died.
        before = self._now() - 2 * LIFETIME.total_seconds()
        await in_thread(self._place.threads, self._place.remove_older, before)
        return removed

    async def check(self) -> str:
        """For operators: where the files lie, in words.

        Raises:
            PlaceUnavailable: it does not answer, or does not let us in.
        """
        return await in_thread(self._place.threads, self._place.check)

    def close(self) -> None:
        """Close what the place holds open."""
        self._place.close()

    async def _fetch(self, url: str, rules: MediaRules, name: str, writer: SealedWriter) -> Found:
        async with self._guarded.stream(url, name=name, max_bytes=rules.max_bytes, seconds=_FETCH_SECONDS) as answer:
            if answer.status != 200:
                problem = f"the address answered {answer.status} instead of a file"
                raise Unfetchable(
                    f"`{name}` cannot be used: {problem}.",
                    fields=[{"field": name, "problem": problem}],
                    nothing_sent=True,
                )
            async for piece in answer.content:
                await writer.write(piece)
        await writer.finish()
        found = await self._examine(writer.reader(), answer.content_type, name)
        opened = _opened(found, writer, _name_of(url))
        check_size(opened.size, rules, name)
        check_rules(opened, rules, name)
        return found

    async def _examine(self, reader: SealedReader, said: str, name: str) -> Found:
        async with self._examining:
            return await asyncio.to_thread(examine, BufferedReader(SealedStream(reader)), reader.size, said, name)

    @contextmanager
    def _turn(self, customer_id: str) -> Iterator[None]:
        """One of the files that a customer may have under way at once: until it is recorded, nothing counts it."""
        if self._under_way[customer_id] >= FILES_AT_ONCE:
            raise RateLimited(
                f"{FILES_AT_ONCE} files of yours are on their way at once, the most there can be; wait for one to end.",
                retry_after=_TURN_SECONDS,
                limited_by="plan",
                nothing_sent=True,
            )
        self._under_way[customer_id] += 1
        try:
            yield
        finally:
            self._under_way[customer_id] -= 1
            if not self._under_way[customer_id]:
                del self._under_way[customer_id]

    async def _record(
        self,
        customer_id: str,
        media_id: str,
        key: bytes,
        found: Found,
        writer: SealedWriter,
        filename: str,
        max_total: int | None,
    ) -> KeptMedia:
        now = self._moment()
        row = MediaRow(
            id=media_id,
            customer_id=customer_id,
            filename=clean_filename(filename),
            content_type=found.content_type,
            size=writer.size,
            sha256=writer.sha256,
            width=found.width,
            height=found.height,
            seconds=found.seconds,
            sealed_key=self._keyring.seal(key, _key_name(customer_id, media_id)),
            created_at=now,
            expires_at=now + LIFETIME,
        )
        async with self._database.session() as session:
            await self._refuse_more(session, customer_id, writer.size, max_total or self._most_kept)
            session.add(row)
        return _kept(row)

    async def _refuse_more(self, session: AsyncSession, customer_id: str, size: int, most: int) -> None:
        total = select(func.coalesce(func.sum(MediaRow.size), 0)).where(
            MediaRow.customer_id == customer_id, MediaRow.expires_at > self._moment()
        )
        used = int(await session.scalar(total) or 0)
        if used + size > most:
            raise PayloadTooLarge(
                f"Together with the files that are kept already ({used:,} bytes) this would be more than {most:,} "
                "bytes. Delete some, or wait until they expire.",
                limit_bytes=most,
                nothing_sent=True,
            )

    async def _row(self, customer_id: str, handle: str, name: str = "handle") -> MediaRow:
        wanted = select(MediaRow).where(
            MediaRow.customer_id == customer_id, MediaRow.id == handle[:64], MediaRow.expires_at > self._moment()
        )
        async with self._database.reading() as session:
            row = await session.scalar(wanted)
        if row is None:
            raise NotFound(
                f"`{name}` names no file that is kept here; files are kept for 24 hours. Upload it again.",
                nothing_sent=True,
            )
        return row

    async def _remove(self, customer_id: str, media_id: str) -> None:
        # The file first: without it the row is harmless, and found again by the next sweep.
        await in_thread(self._place.threads, self._place.remove, _place_of(customer_id, media_id))
        async with self._database.session() as session:
            await session.execute(delete(MediaRow).where(MediaRow.customer_id == customer_id, MediaRow.id == media_id))

    def _new_file(self, customer_id: str, file_id: str, key: bytes, folder: str) -> SealedWriter:
        return SealedWriter(self._place, _place_of(folder, file_id), FileCipher(key, customer_id, file_id))

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)


def _place_of(folder: str, file_id: str) -> str:
    return f"{folder}/{file_id}"


def _key_name(customer_id: str, media_id: str) -> str:
    return f"media:{customer_id}:{media_id}"


SEAL: Final = Seal(
    "keys of kept files",
    MediaRow.id,
    MediaRow.sealed_key,
    lambda row: _key_name(row.customer_id, row.id),
    "those files cannot be read; their customers upload them again",
    reads=(MediaRow.customer_id,),
)


def _refuse_longer(size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise PayloadTooLarge(
            f"The file is larger than {max_bytes:,} bytes, the most that is taken here.", limit_bytes=max_bytes
        )


def _opened(found: Found, writer: SealedWriter, filename: str) -> OpenedMedia:
    return OpenedMedia(
        writer.size,
        found.content_type,
        clean_filename(filename),
        writer.sha256,
        found.width,
        found.height,
        found.seconds,
        writer.reader(),
    )


def _kept(row: MediaRow) -> KeptMedia:
    values: dict[str, Any] = {name: getattr(row, name) for name in KeptMedia.__dataclass_fields__}
    return KeptMedia(**values)


def _name_of(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])
