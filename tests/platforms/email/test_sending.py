"""Sending and drafting: what arrives, what is refused before, and what is said when nobody knows."""

from __future__ import annotations

import ssl
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from hermes.errors import (
    HermesError,
    InvalidArguments,
    NeedsReconnect,
    NotFound,
    OutcomeUnknown,
    PayloadTooLarge,
    PlatformRejected,
    PlatformUnavailable,
    RateLimited,
)
from hermes.platforms.email import discovery, writer
from hermes.platforms.email.servers import MICROSOFT_365
from hermes.platforms.email.writer import FILED_BY_THEN

Bench = Any


def parsed(content: bytes) -> EmailMessage:
    message = message_from_bytes(content, policy=default)
    assert isinstance(message, EmailMessage)
    return message


@pytest.mark.parametrize("port", [465, 587])
async def test_a_message_arrives_and_is_filed_in_sent(
    mail: Bench, user: str, make_account: Any, smtp_server: Any, port: int
) -> None:
    account = make_account(user, smtp_port=port, display_name="Zoë Müller")
    sent = await mail.run(
        account,
        "send_email",
        to=["Ada Lovelace <ada@example.com>", "grace@example.com"],
        bcc=["secret@example.com"],
        subject="Grüße aus Köln",
        text="Zeile 1\n.\n.zwei\n",
        html="<p>Zeile 1</p>",
    )
    (received,) = smtp_server.received
    assert received.sender == f"{user}@mail.example"
    assert received.recipients == ["ada@example.com", "grace@example.com", "secret@example.com"]
    message = parsed(received.content)
    assert message["Subject"] == "Grüße aus Köln"
    assert str(message["From"]) == f"Zoë Müller <{user}@mail.example>"
    assert message["Bcc"] is None
    assert b"secret@example.com" not in received.content
    assert message["Message-ID"] == sent["message_id"]
    text = message.get_body(("plain",))
    assert text is not None
    assert text.get_content().splitlines() == ["Zeile 1", ".", ".zwei"]
    assert sent["accepted"] == received.recipients
    assert sent["filed_in"] == "Sent"
    (copy,) = (await mail.run(account, "search_messages", folder="Sent", thread_id=sent["message_id"]))["messages"]
    assert copy["unread"] is False
    read = await mail.run(account, "read_message", id=copy["id"])
    assert read["bcc"] == [{"address": "secret@example.com"}]


async def test_a_reply_keeps_the_thread_and_marks_what_it_answers(
    mail: Bench, user: str, make_account: Any, make_letter: Any, dovecot: Any, smtp_server: Any
) -> None:
    parent = make_letter(
        "Plan",
        to=f"{user}@mail.example, bob@example.com",
        Cc="carol@example.com",
        message_id="<p@example.com>",
        References="<root@example.com> <x@example.com>",
    )
    dovecot.put(user, parent.as_bytes())
    account = make_account(user)
    (found,) = (await mail.run(account, "search_messages"))["messages"]
    assert found["thread_id"] == "<root@example.com>"
    await mail.run(account, "send_email", text="Yes", reply_to_id=found["id"], reply_all=True)
    (received,) = smtp_server.received
    message = parsed(received.content)
    assert message["Subject"] == "Re: Plan"
    assert message["In-Reply-To"] == "<p@example.com>"
    assert message["References"].split() == ["<root@example.com>", "<x@example.com>", "<p@example.com>"]
    assert received.recipients == ["ada@example.com", "bob@example.com", "carol@example.com"]
    (after,) = (await mail.run(account, "search_messages"))["messages"]
    assert after["answered"] is True
    in_sent = await mail.run(account, "search_messages", folder="Sent", thread_id="<root@example.com>")
    assert len(in_sent["messages"]) == 1


async def test_a_draft_lies_in_the_drafts_folder(mail: Bench, user: str, make_account: Any, smtp_server: Any) -> None:
    account = make_account(user)
    mail.media.add("media_1", b"col1,col2\n", "text/csv", filename="Zahlen für März.csv")
    draft = await mail.run(
        account,
        "create_draft",
        to=["ada@example.com"],
        bcc=["b@example.com"],
        subject="Später ✓",
        text="…",
        attachments=["media_1"],
    )
    assert draft["folder"] == "Drafts"
    read = await mail.run(account, "read_message", id=draft["id"])
    assert (read["subject"], read["draft"]) == ("Später ✓", True)
    assert read["bcc"] == [{"address": "b@example.com"}]
    assert [item["filename"] for item in read["attachments"]] == ["Zahlen für März.csv"]
    assert smtp_server.received == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"to": ["not an address"]}, "to.0"),
        ({"to": ["a@example.com", "b@example.com\r\nBcc: c@example.com"]}, "to.1"),
        ({"to": ["A\nX: y <a@example.com>"]}, "to.0"),
        ({"to": ["a@example.com, b@example.com"]}, "to.0"),
        ({"to": []}, "to"),
        ({"subject": None}, "subject"),
        ({"from_address": "boss@example.com"}, "from_address"),
        ({"reply_all": True}, "reply_all"),
        ({"reply_to_id": "nonsense"}, "reply_to_id"),
        ({"cc": [f"c{at}@example.com" for at in range(60)], "bcc": [f"b{at}@example.com" for at in range(60)]}, "to"),
    ],
)
async def test_what_is_wrong_is_said_before_anything_is_sent(
    mail: Bench, user: str, make_account: Any, smtp_server: Any, given: dict[str, Any], field: str
) -> None:
    arguments = {"to": ["ada@example.com"], "subject": "s", "text": "t"} | given
    arguments = {name: value for name, value in arguments.items() if value is not None}
    error = await mail.refused(make_account(user), "send_email", **arguments)
    assert isinstance(error, InvalidArguments)
    assert error.data["fields"][0]["field"] == field
    assert error.nothing_sent
    assert smtp_server.received == []
    assert ("8.8.4.4", 465) not in mail.dialled


async def test_an_alias_may_send(mail: Bench, user: str, make_account: Any, smtp_server: Any) -> None:
    account = make_account(user, aliases=["sales@mail.example"])
    await mail.run(account, "send_email", to=["a@example.com"], subject="", text="", from_address="sales@mail.example")
    assert smtp_server.received[0].sender == "sales@mail.example"


@pytest.mark.parametrize(
    ("switches", "kind"),
    [
        ({"on_mail": "421 4.3.2 shutting down"}, PlatformUnavailable),
        ({"on_mail": "550 5.7.60 not permitted to send as this sender"}, PlatformRejected),
        ({"on_mail": "452 4.3.1 too much mail"}, RateLimited),
        ({"on_data": "552 5.3.4 too big"}, PayloadTooLarge),
        ({"on_data": "554 5.2.0 limit"}, RateLimited),
        ({"on_data": "550 5.7.1 spam"}, PlatformRejected),
        ({"on_data": "451 4.7.1 greylisted"}, PlatformUnavailable),
        ({"refused": {"ada@example.com": "550 5.1.1 no such user"}}, PlatformRejected),
        ({"cut_before_data": True}, PlatformUnavailable),
    ],
)
async def test_a_clear_no_sent_nothing(
    mail: Bench, user: str, make_account: Any, smtp_server: Any, switches: dict[str, Any], kind: type[HermesError]
) -> None:
    for name, value in switches.items():
        setattr(smtp_server, name, value)
    error = await mail.refused(make_account(user), "send_email", to=["ada@example.com"], subject="s", text="t")
    assert type(error) is kind
    assert error.nothing_sent
    assert smtp_server.received == []


async def test_an_answer_that_never_came_is_an_unknown_outcome(
    mail: Bench, user: str, make_account: Any, smtp_server: Any
) -> None:
    smtp_server.cut_after_data = True
    error = await mail.refused(make_account(user), "send_email", to=["ada@example.com"], subject="s", text="t")
    assert isinstance(error, OutcomeUnknown)
    (received,) = smtp_server.received
    assert parsed(received.content)["Message-ID"] == error.data["message_id"]


async def test_recipients_that_are_refused_do_not_keep_others_from_it(
    mail: Bench, user: str, make_account: Any, smtp_server: Any
) -> None:
    smtp_server.refused = {"nobody@example.com": "550 5.1.1 no such user"}
    sent = await mail.run(
        make_account(user), "send_email", to=["ada@example.com", "nobody@example.com"], subject="s", text="t"
    )
    assert sent["accepted"] == ["ada@example.com"]
    assert [(item["address"], item["code"]) for item in sent["refused"]] == [("nobody@example.com", 550)]


async def test_a_login_that_smtp_refuses(mail: Bench, user: str, make_account: Any, smtp_server: Any) -> None:
    error = await mail.refused(
        make_account(user, password="wrong-password"), "send_email", to=["a@example.com"], subject="s", text="t"
    )
    assert isinstance(error, NeedsReconnect)
    assert error.nothing_sent


async def test_oauth_sends(mail: Bench, user: str, make_account: Any, make_bearer: Any, smtp_server: Any) -> None:
    account = make_account(user, password=None, access_token=make_bearer(user))
    await mail.run(account, "send_email", to=["a@example.com"], subject="s", text="t")
    assert len(smtp_server.received) == 1
    bad = make_account(user, password=None, access_token="broken", save_sent="never")
    assert isinstance(
        await mail.refused(bad, "send_email", to=["a@example.com"], subject="s", text="t"), NeedsReconnect
    )


async def test_a_message_that_the_server_says_is_too_large_is_not_begun(
    mail: Bench, user: str, make_account: Any, smtp_server: Any
) -> None:
    mail.media.add("media_1", bytes(1_900_000), "application/octet-stream")
    arguments = {"to": ["a@example.com"], "subject": "s", "text": "t", "attachments": ["media_1"]}
    error = await mail.refused(make_account(user), "send_email", **arguments)
    assert isinstance(error, PayloadTooLarge)
    assert error.data["limit_bytes"] == 2_000_000
    mail.media.add("media_2", bytes(26 * 1024 * 1024), "application/octet-stream")
    error = await mail.refused(make_account(user), "send_email", **{**arguments, "attachments": ["media_2"]})
    assert isinstance(error, PayloadTooLarge)
    missing = await mail.refused(make_account(user), "send_email", **{**arguments, "attachments": ["media_3"]})
    assert isinstance(missing, NotFound)
    assert missing.nothing_sent
    assert smtp_server.received == []


async def test_a_sent_message_is_sent_also_when_its_copy_cannot_be_filed(
    mail: Bench, user: str, make_account: Any, smtp_server: Any
) -> None:
    account = make_account(user, sent_folder="Nowhere")
    sent = await mail.run(account, "send_email", to=["a@example.com"], subject="s", text="t")
    assert "filed_in" not in sent
    assert "It was sent" in sent["note"]
    quiet = await mail.run(
        make_account(user, save_sent="never"), "send_email", to=["a@example.com"], subject="s", text="t"
    )
    assert "note" not in quiet
    assert len(smtp_server.received) == 2


@pytest.mark.parametrize("files", [True, False])
async def test_a_provider_that_usually_files_what_is_sent_is_given_a_moment(
    mail: Bench,
    user: str,
    make_account: Any,
    smtp_server: Any,
    dovecot: Any,
    monkeypatch: pytest.MonkeyPatch,
    files: bool,
) -> None:
    waited: list[float] = []

    async def pass_time(seconds: float) -> None:
        waited.append(seconds)
        if files and len(waited) == 2:
            dovecot.put(user, smtp_server.received[0].content, folder="Sent")

    monkeypatch.setattr(discovery, "known", lambda _host: MICROSOFT_365)
    monkeypatch.setattr(writer, "sleep", pass_time)
    sent = await mail.run(make_account(user), "send_email", to=["a@example.com"], subject="s", text="t")
    assert sent["filed_in"] == "Sent"
    assert waited == ([0.0, FILED_BY_THEN[0]] if files else [0.0, *FILED_BY_THEN])
    copies = await mail.run(make_account(user), "search_messages", folder="Sent", thread_id=sent["message_id"])
    assert len(copies["messages"]) == 1


async def test_a_certificate_for_another_name_is_refused(
    mail: Bench, user: str, make_account: Any, smtp_server: Any, dovecot: Any
) -> None:
    mail.addresses["other.mail.example"] = ["8.8.4.4"]
    mail.addresses["box.mail.example"] = ["8.8.8.8"]
    error = await mail.refused(
        make_account(user, smtp_host="other.mail.example"), "send_email", to=["a@example.com"], subject="s", text="t"
    )
    assert isinstance(error, PlatformUnavailable)
    assert error.nothing_sent
    error = await mail.refused(make_account(user, imap_host="box.mail.example"), "list_folders")
    assert isinstance(error, PlatformUnavailable)


async def test_a_server_that_nobody_vouches_for_is_refused(
    mail: Bench, user: str, make_account: Any, smtp_server: Any, dovecot: Any
) -> None:
    mail.opener._network.tls = ssl.create_default_context()
    assert isinstance(await mail.refused(make_account(user), "list_folders"), PlatformUnavailable)
    error = await mail.refused(make_account(user), "send_email", to=["a@example.com"], subject="s", text="t")
    assert isinstance(error, PlatformUnavailable)
    assert smtp_server.received == []
