"""The stand-in's mail servers: what the tools do there is what they do at real ones, and only --sandbox leads there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest

from hermes.errors import (
    HermesError,
    NeedsReconnect,
    OutcomeUnknown,
    PlatformRejected,
    PlatformUnavailable,
    RateLimited,
)
from hermes.net.upstream import Upstream
from hermes.platforms.base import ApiContext, Effect
from hermes.platforms.catalog import load_catalog
from hermes.platforms.context import ToolContext
from hermes.platforms.email import email
from hermes.platforms.email.stand_in import SandboxOpener
from hermes.platforms.ports import Ports
from hermes.sandbox.app import Sandbox
from hermes.sandbox.server import RunningSandbox
from hermes.sandbox_mode import demo_credentials, on_sandbox
from hermes.settings import Settings


@dataclass
class Town:
    """The tools as a hermes on the sandbox has them."""

    sandbox: Sandbox
    settings: Settings
    opener: Any
    upstream: Upstream
    media: Any

    def open(self, credentials: dict[str, Any], *, write: bool = True) -> Any:
        return self.opener(
            ApiContext(
                customer_id="cus_1",
                account="default",
                http=self.upstream.bind("Email", write, asyncio.get_running_loop().time() + 10),
                base_url="",
                settings=self.settings,
                ports=Ports(None, None, self.media),  # type: ignore[arg-type]  # email uses media only
            ),
            email.credentials.model_validate(credentials),
        )

    async def run(self, name: str, /, credentials: dict[str, Any] | None = None, **given: Any) -> Any:
        tool = email.tools[name]
        api = self.open(credentials or demo_credentials()["email"], write=tool.effect is not Effect.READ)
        result = await tool.run(api, tool.validate(given), ToolContext("call_1", None))
        jsonschema.Draft202012Validator(tool.output_schema).validate(result)
        return result


@pytest.fixture
async def town(fake_media: Any, tmp_path: Any) -> AsyncIterator[Town]:
    sandbox, upstream, catalog = Sandbox(), Upstream(), load_catalog(["email"])
    async with RunningSandbox(sandbox.app) as running:
        settings = on_sandbox(Settings(data_dir=tmp_path), running.origin, catalog)
        yield Town(sandbox, settings, catalog.platforms["email"].open, upstream, fake_media)
        await upstream.close()


def with_(**changes: Any) -> dict[str, Any]:
    given = demo_credentials()["email"] | changes
    return {name: value for name, value in given.items() if value is not None}


def test_only_a_catalogue_on_the_sandbox_leads_there() -> None:
    assert not isinstance(email.open, SandboxOpener)
    assert not isinstance(load_catalog(["email"]).platforms["email"].open, SandboxOpener)


def test_the_operators_real_mailboxes_are_out_of_reach(tmp_path: Any) -> None:
    real = {"EMAIL_ACCOUNTS": '{"work": {"address": "me@example.com", "password": "real"}}'}
    there = on_sandbox(Settings(data_dir=tmp_path, environ=real), "http://127.0.0.1:1", load_catalog(["email"]))
    assert email.environ_accounts(there) == {}


async def test_every_tool_works_there(town: Town) -> None:
    assert email.probe_function is not None
    known = await email.probe_function(town.open(demo_credentials()["email"]))
    assert known.id == "demo@sandbox.example"
    assert (await town.run("get_profile"))["special_folders"]["sent"] == "Sent"
    (welcome,) = (await town.run("search_messages"))["messages"]
    assert welcome["subject"] == "Welcome"
    assert "sandbox" in (await town.run("read_message", id=welcome["id"]))["body"]
    town.media.add("media_1", bytes(range(256)) * 40, "application/zip", filename="Ü.zip")
    sent = await town.run(
        "send_email", text="Grüße", reply_to_id=welcome["id"], to=["Demo@sandbox.example"], attachments=["media_1"]
    )
    assert sent["filed_in"] == "Sent"
    new, old = (await town.run("search_messages", thread_id=welcome["message_id"]))["messages"]
    assert (new["subject"], new["has_attachments"], old["answered"]) == ("Re: Welcome", True, True)
    read = await town.run("read_message", id=new["id"], attachments=["2"])
    assert town.media.files[read["attachments"][0]["media"]].content == bytes(range(256)) * 40
    draft = await town.run("create_draft", text="later", subject="s")
    assert (await town.run("read_message", id=draft["id"]))["draft"] is True
    counted = {item["name"]: item["messages"] for item in (await town.run("list_folders", counts=True))["folders"]}
    assert (counted["INBOX"], counted["Sent"], counted["Drafts"]) == (2, 1, 1)
    shown = [(message.kind, message.peer, message.text) for message in town.sandbox.recorder.messages("email")]
    assert shown == [("draft", "", "s"), ("mail", "Demo@sandbox.example", "Re: Welcome")]


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({"query": "assistant"}, 1),
        ({"query": "ASSISTANT draft"}, 1),
        ({"query": "Müll"}, 0),
        ({"sender": "welcome@", "unread": True, "flagged": False}, 1),
        ({"recipient": "demo@"}, 1),
        ({"since": "2000-01-01", "until": "2100-01-01"}, 1),
        ({"until": "2000-01-01"}, 0),
        ({"has_attachment": False}, 1),
        ({"has_attachment": True}, 0),
    ],
)
async def test_searches_there(town: Town, given: dict[str, Any], count: int) -> None:
    assert len((await town.run("search_messages", **given))["messages"]) == count


async def test_any_mailbox_any_host_and_both_ways_in_lead_there(town: Town) -> None:
    for account in (
        with_(address="a@gmail.com", imap_host=None, smtp_host=None),
        with_(address="b@icloud.com", imap_host=None, smtp_host=None),
        with_(password=None, access_token="ya29.token"),
        with_(smtp_port=587),
    ):
        sent = await town.run("send_email", account, to=["x@example.com"], subject="s", text="t")
        assert sent["accepted"] == ["x@example.com"]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("expired", NeedsReconnect),
        ("revoked", NeedsReconnect),
        ("limited", RateLimited),
        ("broken", PlatformUnavailable),
    ],
)
async def test_magic_passwords(town: Town, word: str, kind: type[HermesError]) -> None:
    account = with_(password=f"sandbox-{word}")
    with pytest.raises(kind):
        await town.run("list_folders", account)
    with pytest.raises(kind if kind is not RateLimited else HermesError) as caught:
        await town.run("send_email", account, to=["x@example.com"], subject="s", text="t")
    assert caught.value.nothing_sent


@pytest.mark.parametrize(
    ("to", "kind"),
    [
        ("nobody@example.com", PlatformRejected),
        ("full@example.com", PlatformRejected),
        ("lost@example.com", OutcomeUnknown),
    ],
)
async def test_magic_recipients(town: Town, to: str, kind: type[HermesError]) -> None:
    with pytest.raises(kind) as caught:
        await town.run("send_email", to=[to], subject="s", text="t")
    assert caught.value.nothing_sent is (kind is not OutcomeUnknown)
    assert len(list(town.sandbox.recorder.messages("email"))) == (1 if kind is OutcomeUnknown else 0)
