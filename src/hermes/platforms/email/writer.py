"""Sending a message, and keeping one as a draft."""

from __future__ import annotations

import asyncio
from asyncio import sleep
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from hermes.errors import HermesError, NotFound, OutcomeUnknown, PayloadTooLarge
from hermes.platforms.email.addresses import Mailbox as Address
from hermes.platforms.email.addresses import mailbox_address
from hermes.platforms.email.api import EmailApi
from hermes.platforms.email.compose import (
    MAX_MESSAGE_BYTES,
    MAX_RECIPIENTS,
    Built,
    File,
    Letter,
    Parent,
    build,
    read_recipients,
    wrong,
)
from hermes.platforms.email.ids import Locator, write_id
from hermes.platforms.email.mailbox import Lost, Mailbox
from hermes.platforms.email.models import Refused, SavedDraft, SentEmail
from hermes.platforms.email.pool import Session
from hermes.platforms.email.refusals import unavailable
from hermes.platforms.ports import MediaRules

_RULES: Final = MediaRules(
    types=frozenset(), max_bytes=MAX_MESSAGE_BYTES, source="https://support.google.com/mail/answer/6584"
)
_FILING_SECONDS: Final = 15.0
FILED_BY_THEN: Final = (1.0, 3.0)
"""Seconds between looks into Sent at a provider that usually files what is sent by itself, but takes a moment."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller gave."""

    to: Sequence[str]
    cc: Sequence[str]
    bcc: Sequence[str]
    subject: str | None
    text: str
    html: str | None
    attachments: Sequence[str]
    reply_to_id: str | None
    reply_all: bool
    from_address: str | None


async def send(api: EmailApi, asked: Asked) -> SentEmail:
    """Send a message, file a copy in Sent, and mark what it answers as answered.

    Raises:
        HermesError: nothing was sent.
        OutcomeUnknown: it may have been sent.
    """
    async with _nothing_sent_yet(api.deadline):
        letter = await _letter(api, asked)
        if not letter.recipients:
            raise wrong("to", "name at least one recipient")
        built = await asyncio.to_thread(build, letter)
        submission = await api.submission()
    receipt = await submission.send(
        letter.sender, letter.recipients, built.content, message_id=built.message_id, deadline=api.deadline
    )
    filed, note = await _after(api, asked, built)
    return SentEmail(
        message_id=built.message_id,
        accepted=receipt.accepted,
        refused=[Refused(address=one.address, code=one.code, reason=one.reason) for one in receipt.refused],
        filed_in=filed,
        note=note,
    )


async def save_draft(api: EmailApi, asked: Asked) -> SavedDraft:
    """Keep a message in the drafts folder.

    Raises:
        HermesError: nothing was kept.
        OutcomeUnknown: it may have been kept.
    """
    async with _nothing_sent_yet(api.deadline):
        built = await asyncio.to_thread(build, await _letter(api, asked))
        folder = await _special(api, "drafts", api.credentials.drafts_folder)
    begun, reason = False, "time-out"
    try:
        async with asyncio.timeout_at(api.deadline), _fresh(api) as session:
            begun = True
            told = await session.run(Mailbox.append, folder, built.own_copy, [b"\\Draft", b"\\Seen"])
            place = None if told is None else write_id(api.tag, Locator(folder, *told))
            return SavedDraft(id=place, message_id=built.message_id, folder=folder)
    except HermesError as error:
        error.nothing_sent = True
        raise
    except Lost as lost:
        begun, reason = lost.begun, lost.reason
    except TimeoutError:
        reason = "time-out"
    if not begun:
        raise unavailable(reason, nothing_sent=True)
    raise OutcomeUnknown(
        "The mail server gave no answer when the draft was saved: it may or may not be in the drafts folder. Look "
        "there (email_search_messages) before repeating it.",
        detail=reason,
        message_id=built.message_id,
    )


@asynccontextmanager
async def _nothing_sent_yet(deadline: float) -> AsyncIterator[None]:
    """Whatever fails in here fails before anything was sent."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
            return
    except HermesError as error:
        error.nothing_sent = True
        raise
    except TimeoutError:
        pass  # raised below, without its chain
    raise unavailable("time-out", nothing_sent=True)


async def _letter(api: EmailApi, asked: Asked) -> Letter:
    parent = await _parent(api, asked.reply_to_id) if asked.reply_to_id is not None else None
    to, cc = read_recipients(asked.to, "to"), read_recipients(asked.cc, "cc")
    if parent is not None and not to:
        own = (api.credentials.address, *api.credentials.aliases)
        to, others = parent.recipients(own, everybody=asked.reply_all)
        cc = [*cc, *others]
    elif asked.reply_all:
        raise wrong("reply_all", "needs reply_to_id, and to left out")
    subject = asked.subject if asked.subject is not None else parent.subject() if parent is not None else None
    if subject is None:
        raise wrong("subject", "is required")
    letter = Letter(
        sender=_sender(api, asked.from_address),
        to=to,
        cc=cc,
        bcc=read_recipients(asked.bcc, "bcc"),
        subject=subject,
        text=asked.text,
        html=asked.html,
        files=await _files(api, asked.attachments),
        in_reply_to=parent.message_id if parent is not None else None,
        references=parent.references() if parent is not None else (),
    )
    if len(letter.recipients) > MAX_RECIPIENTS:
        raise wrong("to", f"to, cc and bcc are {len(letter.recipients)} recipients; at most {MAX_RECIPIENTS} at once")
    return letter


def _sender(api: EmailApi, given: str | None) -> Address:
    own = api.credentials
    if given is None:
        return mailbox_address(own.address, own.display_name or "")
    asked = read_recipients([given], "from_address")[0]
    allowed = {address.lower() for address in (own.address, *own.aliases)}
    if asked.address.lower() not in allowed:
        raise wrong("from_address", f"must be one of {', '.join(sorted(allowed))}")
    return Address(asked.name or own.display_name or "", asked.local, asked.domain)


async def _parent(api: EmailApi, id_: str) -> Parent:
    place = api.locate(id_, name="reply_to_id")

    async def work(session: Session) -> Parent:
        found = await session.run(Mailbox.message, place.folder, place.validity, place.uid)
        return Parent(found.headers)

    return await api.read(work)


async def _files(api: EmailApi, sources: Sequence[str]) -> list[File]:
    """The attachments' content; a message is built in memory, so all of them together are bounded."""
    files: list[File] = []
    left = MAX_MESSAGE_BYTES
    for at, source in enumerate(sources):
        name = f"attachments.{at}"
        async with api.context.ports.media.open(api.context.customer_id, source, _RULES, field=name) as media:
            left -= media.size
            if left < 0:
                raise PayloadTooLarge(
                    f"The attachments have more than {MAX_MESSAGE_BYTES:,} bytes together. Send fewer or smaller ones.",
                    limit_bytes=MAX_MESSAGE_BYTES,
                )
            content = b"".join([piece async for piece in media.read()])
            files.append(File(media.filename, media.content_type, content))
    return files


async def _special(api: EmailApi, special: str, named: str | None) -> str:
    """The folder with a purpose: the one that the credential names, or the server's.

    Raises:
        NotFound: there is none.
    """
    if named is not None:
        return named

    async def work(session: Session) -> str | None:
        folders = await session.run(Mailbox.folders)
        return next((folder.name for folder in folders if folder.special == special and folder.selectable), None)

    found = await api.read(work)
    if found is None:
        raise NotFound(
            f"The mailbox has no folder for {special}. Make one, or link the mailbox again with {special}_folder."
        )
    return found


@asynccontextmanager
async def _fresh(api: EmailApi) -> AsyncIterator[Session]:
    """A session that stands now: what changes something is not tried again on another."""
    await api.read(_stands)
    async with api.session() as session:
        yield session


async def _stands(session: Session) -> None:
    if session.reused:
        await session.run(Mailbox.check)


async def _after(api: EmailApi, asked: Asked, built: Built) -> tuple[str | None, str | None]:
    """What is done once the message is sent. It cannot fail the call any more: the message is on its way."""
    filed, note = None, None
    try:
        async with asyncio.timeout_at(min(api.deadline, asyncio.get_running_loop().time() + _FILING_SECONDS)):
            if asked.reply_to_id is not None:
                await _mark_answered(api, asked.reply_to_id)
            filed, note = await _file_in_sent(api, built)
    except (HermesError, Lost, TimeoutError) as error:
        code = error.code if isinstance(error, HermesError) else "no answer"
        note = f"It was sent, but the copy in the Sent folder is missing ({code})."
    return filed, note


async def _file_in_sent(api: EmailApi, built: Built) -> tuple[str | None, str | None]:
    wish = api.credentials.save_sent
    if wish == "never":
        return None, None
    habit = (await api.servers()).files_sent if wish == "auto" else "no"
    if habit == "always":
        return None, "The provider files sent mail in its Sent folder by itself."
    folder = await _special(api, "sent", api.credentials.sent_folder)
    async with _fresh(api) as session:
        for wait in (0.0, *FILED_BY_THEN) if habit == "usually" else (0.0,):
            await sleep(wait)
            if await session.run(Mailbox.has_message, folder, built.message_id):
                return folder, None
        await session.run(Mailbox.append, folder, built.own_copy, [b"\\Seen"])
    return folder, None


async def _mark_answered(api: EmailApi, id_: str) -> None:
    place = api.locate(id_)
    try:
        async with api.session() as session:
            await session.run(Mailbox.mark_answered, place.folder, place.validity, place.uid)
    except (HermesError, Lost):
        return  # a flag is no reason to say that something went wrong
