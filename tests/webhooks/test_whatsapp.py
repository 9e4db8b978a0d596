"""Reading WhatsApp's notifications: every kind of message, and every kind of nonsense."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.webhooks.whatsapp import RANKS, InboundMessage, Notification, parse

METADATA = {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"}


def notification(**value: Any) -> bytes:
    change = {"field": "messages", "value": {"messaging_product": "whatsapp", "metadata": METADATA, **value}}
    return orjson.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]})


def message(**members: Any) -> InboundMessage:
    body = notification(messages=[{"id": "wamid.A", "timestamp": "1749416383", "from": "16505551234", **members}])
    found = parse(body)
    assert found is not None
    return found.messages[0]


@pytest.mark.parametrize(
    ("members", "text", "reply_to"),
    [
        ({"type": "text", "text": {"body": "hello"}, "context": {"id": "wamid.B", "from": "1"}}, "hello", "wamid.B"),
        ({"type": "text", "text": {"body": "hello"}, "context": {"forwarded": True}}, "hello", None),
        ({"type": "image", "image": {"id": "1", "mime_type": "image/png", "caption": "look"}}, "look", None),
        ({"type": "audio", "audio": {"id": "1", "voice": True}}, None, None),
        ({"type": "document", "document": {"id": "1", "filename": "a.pdf"}}, "a.pdf", None),
        ({"type": "sticker", "sticker": {"id": "1"}}, None, None),
        ({"type": "location", "location": {"latitude": 1, "longitude": 2, "name": "Home"}}, "Home", None),
        ({"type": "contacts", "contacts": [{"name": {"formatted_name": "A"}}]}, None, None),
        ({"type": "reaction", "reaction": {"message_id": "wamid.B", "emoji": "👍"}}, "👍", "wamid.B"),
        ({"type": "reaction", "reaction": {"message_id": "wamid.B"}}, None, "wamid.B"),
        ({"type": "button", "button": {"payload": "p", "text": "Yes"}, "context": {"id": "wamid.B"}}, "Yes", "wamid.B"),
        (
            {"type": "interactive", "interactive": {"type": "button_reply", "button_reply": {"id": "1", "title": "Y"}}},
            "Y",
            None,
        ),
        (
            {"type": "interactive", "interactive": {"type": "list_reply", "list_reply": {"id": "1", "title": "One"}}},
            "One",
            None,
        ),
        (
            {
                "type": "interactive",
                "interactive": {"type": "nfm_reply", "nfm_reply": {"body": "Sent", "name": "flow"}},
            },
            "Sent",
            None,
        ),
        ({"type": "system", "system": {"type": "user_changed_number", "body": "changed"}}, "changed", None),
        ({"type": "revoke", "revoke": {"original_message_id": "wamid.B"}}, None, "wamid.B"),
        (
            {
                "type": "edit",
                "edit": {"original_message_id": "wamid.B", "message": {"type": "text", "text": {"body": "new"}}},
            },
            "new",
            "wamid.B",
        ),
        ({"type": "unsupported", "errors": [{"code": 131051}]}, None, None),
        ({"type": "request_welcome"}, None, None),
        ({"type": "something_new", "something_new": {"a": 1}}, None, None),
    ],
)
def test_every_kind_of_message(members: dict[str, Any], text: str | None, reply_to: str | None) -> None:
    found = message(**members)
    assert (found.kind, found.text, found.reply_to) == (members["type"], text, reply_to)
    assert (found.account_id, found.sender_id) == ("106540352242922", "16505551234")
    assert found.content["type"] == members["type"]


def test_people_with_a_username_have_no_number() -> None:
    body = notification(
        contacts=[{"profile": {"username": "b"}, "user_id": "US.2"}, {"profile": {"name": "Ann"}, "user_id": "US.1"}],
        messages=[{"from_user_id": "US.1", "id": "wamid.A", "timestamp": "1", "type": "text", "text": {"body": "x"}}],
    )
    found = parse(body)
    assert found is not None
    sender = found.messages[0]
    assert (sender.sender_id, sender.sender_phone, sender.sender_name) == ("US.1", None, "Ann")


def test_contacts_are_joined_by_id_not_by_place() -> None:
    contacts = [
        {"profile": {"name": "Bob"}, "wa_id": "2"},
        {"profile": {"name": "Ann"}, "wa_id": "1", "user_id": "US.1"},
    ]
    messages = [{"from": sender, "id": f"wamid.{sender}", "type": "text"} for sender in ("1", "2", "3")]
    found = parse(notification(contacts=contacts, messages=messages))
    assert found is not None
    assert [one.sender_name for one in found.messages] == ["Ann", "Bob", None]


def test_statuses_need_no_contacts_and_keep_their_errors() -> None:
    error = {"code": 131047, "title": "Re-engagement", "error_data": {"details": "24 hours"}, "href": "https://x"}
    found = parse(
        notification(
            statuses=[
                {
                    "id": "wamid.A",
                    "status": "failed",
                    "timestamp": "1750030073",
                    "recipient_id": "1",
                    "errors": [error],
                },
                {"id": "wamid.B", "status": "read", "timestamp": "x", "recipient_user_id": "US.1"},
                {"id": "wamid.C", "status": "something_new"},
                {"id": "wamid.D"},
            ]
        )
    )
    assert found is not None
    assert [(one.message_id, one.status, one.rank, one.recipient) for one in found.statuses] == [
        ("wamid.A", "failed", RANKS["failed"], "1"),
        ("wamid.B", "read", RANKS["read"], "US.1"),
        ("wamid.C", "something_new", 0, None),
    ]
    assert found.statuses[0].errors == [{"code": 131047, "title": "Re-engagement", "details": "24 hours"}]


def test_messages_statuses_and_errors_of_one_value_are_all_read() -> None:
    found = parse(
        notification(
            messages=[{"id": "wamid.A"}],
            statuses=[{"id": "wamid.B", "status": "sent"}],
            errors=[{"code": 130429, "title": "Rate limit"}],
        )
    )
    assert found is not None
    assert (len(found.messages), len(found.statuses), found.faults) == (1, 1, [("106540352242922", 130429)])


def test_other_fields_are_left_alone() -> None:
    change = {"field": "account_update", "value": {"metadata": METADATA, "messages": [{"id": "wamid.A"}]}}
    assert (
        parse(orjson.dumps({"object": "whatsapp_business_account", "entry": [{"changes": [change]}]})) == Notification()
    )


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"null", b'"a"', b"{}", b'{"entry":{}}', b"\xff\xfe", b'{"entry":'])
def test_what_is_no_notification(body: bytes) -> None:
    assert parse(body) is None


KEYS = [
    "id",
    "type",
    "text",
    "body",
    "from",
    "timestamp",
    "metadata",
    "phone_number_id",
    "messages",
    "statuses",
    "contacts",
    "profile",
    "wa_id",
    "status",
    "errors",
    "code",
    "context",
    "interactive",
    "value",
    "field",
]

_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(value=_ANY, extra=_ANY)
def test_nothing_that_meta_could_send_breaks_reading(value: Any, extra: Any) -> None:
    for payload in (
        {"entry": value},
        {"entry": [{"changes": value}]},
        {"entry": [{"changes": [{"field": "messages", "value": value}]}]},
        {"entry": [{"changes": [{"value": {"metadata": METADATA, "messages": [value, extra], "contacts": [extra]}}]}]},
        {"entry": [{"changes": [{"value": {"metadata": METADATA, "statuses": [value], "errors": extra}}]}]},
    ):
        try:
            body = orjson.dumps(payload)
        except TypeError:
            continue
        found = parse(body)
        for one in found.messages if found else ():
            assert 0 < len(one.message_id) <= 255
            assert one.message_id == one.message_id.strip()
