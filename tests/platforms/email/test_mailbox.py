"""Reading, searching and listing a real Dovecot mailbox."""

from __future__ import annotations

from typing import Any

import pytest

from hermes.errors import HermesError, InvalidArguments, NeedsReconnect, NotFound
from hermes.platforms.email import email

Bench = Any


async def test_the_profile_says_what_the_mailbox_is(mail: Bench, user: str, make_account: Any) -> None:
    profile = await mail.run(make_account(user), "get_profile")
    assert profile["address"] == f"{user}@mail.example"
    assert profile["auth"] == "password"
    assert profile["special_folders"] == {"drafts": "Drafts", "sent": "Sent", "trash": "Trash"}
    assert "UIDPLUS" in profile["extensions"]


async def test_folders_have_their_uses_names_and_counts(
    mail: Bench, user: str, make_account: Any, dovecot: Any, make_letter: Any
) -> None:
    dovecot.put(user, make_letter().as_bytes(), folder="Entw&APw-rfe")
    listed = await mail.run(make_account(user), "list_folders", counts=True)
    found = {folder["name"]: folder for folder in listed["folders"]}
    assert found["Drafts"]["special_use"] == "drafts"
    assert (found["Entwürfe"]["messages"], found["Entwürfe"]["unread"]) == (1, 1)


async def test_a_message_is_found_and_read_without_being_marked(
    mail: Bench, user: str, make_account: Any, dovecot: Any, make_letter: Any
) -> None:
    first = make_letter("Rechnung für März", "Grüße\n\nAda", Reply_To="office@example.com")
    dovecot.put(user, first.as_bytes(), make_letter("Second", message_id="<2@example.com>").as_bytes())
    account = make_account(user)
    found = await mail.run(account, "search_messages", subject="März")
    (only,) = found["messages"]
    assert only["subject"] == "Rechnung für März"
    assert only["from"] == {"name": "Ada Lovelace", "address": "ada@example.com"}
    assert (only["unread"], only["has_attachments"], found["total"]) == (True, False, 1)
    read = await mail.run(account, "read_message", id=only["id"])
    assert read["body"].strip() == "Grüße\n\nAda"
    assert read["reply_to"] == [{"address": "office@example.com"}]
    assert read["date"] == "2026-11-20T09:00:00Z"
    again = await mail.run(account, "search_messages")
    assert [item["subject"] for item in again["messages"]] == ["Second", "Rechnung für März"]
    assert all(item["unread"] for item in again["messages"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ["c", "b", "a"]),
        ({"sender": "grace"}, ["b"]),
        ({"recipient": "copy@example.org"}, ["c"]),
        ({"query": "needle"}, ["a"]),
        ({"query": '"in the haystack"'}, ["a"]),
        ({"query": "needle absent"}, []),
        ({"subject": 'b" OR ALL ('}, []),
        ({"subject": "b\r\nA1 LOGOUT"}, []),
        ({"since": "2023-11-14"}, ["c", "b", "a"]),
        ({"since": "2023-11-16"}, []),
        ({"until": "2023-11-13"}, []),
        ({"until": "2023-11-14"}, ["c", "b", "a"]),
        ({"since": "0001-01-01", "until": "9999-12-31"}, ["c", "b", "a"]),
        ({"unread": False}, []),
        ({"flagged": False}, ["c", "b", "a"]),
        ({"thread_id": "<a@example.com>"}, ["b", "a"]),
        ({"has_attachment": True}, ["c"]),
        ({"has_attachment": False}, ["b", "a"]),
        ({"has_attachment": True, "sender": "grace"}, []),
        ({"sender": "{3}"}, []),
        ({"query": "日本語"}, []),
    ],
)
async def test_searches(
    mail: Bench,
    user: str,
    make_account: Any,
    dovecot: Any,
    make_letter: Any,
    given: dict[str, Any],
    expected: list[str],
) -> None:
    a = make_letter("a", "a needle in the haystack", message_id="<a@example.com>")
    b = make_letter(
        "b", sender="Grace <grace@example.com>", message_id="<b@example.com>", In_Reply_To="<a@example.com>"
    )
    c = make_letter("c", message_id="<c@example.com>", Cc="copy@example.org")
    c.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="Zürich.pdf")
    dovecot.put(user, *(item.as_bytes() for item in (a, b, c)))
    found = await mail.run(make_account(user), "search_messages", **given)
    assert [item["subject"] for item in found["messages"]] == expected


async def test_pages_follow_each_other_without_gaps(
    mail: Bench, user: str, make_account: Any, dovecot: Any, make_letter: Any
) -> None:
    dovecot.put(user, *(make_letter(f"n{at}", message_id=f"<{at}@x.example>").as_bytes() for at in range(7)))
    seen, cursor, account = [], None, make_account(user)
    while True:
        page = await mail.run(account, "search_messages", limit=3, **({"cursor": cursor} if cursor else {}))
        assert page["total"] == 7
        seen += [item["subject"] for item in page["messages"]]
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    assert seen == [f"n{at}" for at in range(6, -1, -1)]


async def test_cursors_and_ids_belong_to_their_search_and_mailbox(
    mail: Bench, user: str, make_account: Any, dovecot: Any, make_letter: Any
) -> None:
    dovecot.put(user, *(make_letter(f"n{at}", message_id=f"<{at}@x.example>").as_bytes() for at in range(2)))
    account = make_account(user)
    page = await mail.run(account, "search_messages", limit=1)
    for arguments in ({"cursor": page["next_cursor"], "subject": "n"}, {"cursor": "nonsense"}):
        assert isinstance(await mail.refused(account, "search_messages", **arguments), InvalidArguments)
    other = make_account(f"{user}x")
    wrong = await mail.refused(other, "read_message", id=page["messages"][0]["id"])
    assert isinstance(wrong, NotFound)
    assert "another mailbox" in wrong.message
    assert isinstance(await mail.refused(account, "read_message", id="AAAA"), InvalidArguments)


async def test_attachments_are_listed_and_fetched_as_media(
    mail: Bench, user: str, make_account: Any, dovecot: Any, make_letter: Any
) -> None:
    message = make_letter("With files", "See below")
    message.add_alternative("<p>See <b>below</b> <img src='cid:logo'></p>", subtype="html")
    message.get_payload()[1].add_related(b"\x89PNG", maintype="image", subtype="png", cid="<logo>")
    content = bytes(range(256)) * 4096
    message.add_attachment(content, maintype="application", subtype="zip", filename="Übersicht 2026.zip")
    inner = make_letter("Inner letter")
    message.add_attachment(inner)
    dovecot.put(user, message.as_bytes())
    account = make_account(user)
    (found,) = (await mail.run(account, "search_messages"))["messages"]
    assert found["has_attachments"] is True
    read = await mail.run(account, "read_message", id=found["id"])
    assert read["body"].strip() == "See below"
    shown = [
        (item["filename"], item["content_type"], item["inline"]) for item in read["attachments"] if "filename" in item
    ]
    assert shown == [("Übersicht 2026.zip", "application/zip", False), ("Inner letter.eml", "message/rfc822", False)]
    parts = [item["part"] for item in read["attachments"] if item["content_type"] == "application/zip"]
    fetched = await mail.run(account, "read_message", id=found["id"], attachments=parts)
    (handle,) = [item["media"] for item in fetched["attachments"] if "media" in item]
    assert mail.media.files[handle].content == content
    assert mail.media.files[handle].filename == "Übersicht 2026.zip"
    html = await mail.run(account, "read_message", id=found["id"], format="html")
    assert "<b>below</b>" in html["body"]
    refused = await mail.refused(account, "read_message", id=found["id"], attachments=["9.9"])
    assert refused.data["fields"][0]["field"] == "attachments.0"


async def test_a_long_text_is_read_in_windows(
    mail: Bench, user: str, make_account: Any, dovecot: Any, make_letter: Any
) -> None:
    text = "".join(f"line {at}\n" for at in range(5000))
    dovecot.put(user, make_letter(text=text).as_bytes())
    account = make_account(user)
    (found,) = (await mail.run(account, "search_messages"))["messages"]
    read, offset = "", 0
    while True:
        piece = await mail.run(account, "read_message", id=found["id"], offset=offset, max_chars=9000)
        read, offset = read + piece["body"], offset + len(piece["body"])
        assert piece["body_chars"] == len(text)
        if not piece["truncated"]:
            break
    assert read == text


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({"password": "wrong"}, NeedsReconnect), ({"password": None, "access_token": "no.such.token"}, NeedsReconnect)],
)
async def test_a_wrong_secret_wants_a_new_link(
    mail: Bench, user: str, make_account: Any, changes: dict[str, Any], kind: type[HermesError]
) -> None:
    assert isinstance(await mail.refused(make_account(user, **changes), "list_folders"), kind)


async def test_an_oauth_token_logs_in(mail: Bench, user: str, make_account: Any, make_bearer: Any) -> None:
    account = make_account(user, password=None, access_token=make_bearer(user))
    assert (await mail.run(account, "get_profile"))["auth"] == "oauth"
    expired = make_account(user, password=None, access_token=make_bearer(user, seconds=-30))
    assert isinstance(await mail.refused(expired, "get_profile"), NeedsReconnect)


async def test_the_probe_logs_in_to_both_servers(mail: Bench, user: str, make_account: Any) -> None:
    assert email.probe_function is not None
    known = await email.probe_function(mail.open(make_account(user)))
    assert known.id == known.name == f"{user}@mail.example"
    with pytest.raises(NeedsReconnect):
        await email.probe_function(mail.open(make_account(user, password="wrong")))


async def test_missing_folders_and_messages_are_said(
    mail: Bench, user: str, make_account: Any, dovecot: Any, make_letter: Any
) -> None:
    dovecot.put(user, make_letter().as_bytes())
    account = make_account(user)
    missing = await mail.refused(account, "search_messages", folder="Nowhere")
    assert isinstance(missing, NotFound)
    (found,) = (await mail.run(account, "search_messages"))["messages"]
    for path in (dovecot.maildir(user) / "cur").iterdir():
        path.unlink()
    assert isinstance(await mail.refused(account, "read_message", id=found["id"]), NotFound)
