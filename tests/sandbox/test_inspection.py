"""Looking into the sandbox: what is shown, what is hidden, and who may look."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.types import Message

from hermes.sandbox.app import Sandbox, sandbox_base_urls
from hermes.sandbox.base import discover
from hermes.sandbox.options import SandboxOptions
from hermes.settings import load_settings

BOT = "123456789:AAEabcdefghijklmnopqrstuvwxyz012345"
PHONE = "106540352242922"
ACCESS = f"EAAsandbox-{PHONE}-102290129340398-acme"
HOSTILE = "<script>alert(1)</script>'\"><img src=x onerror=alert(2)>"


async def test_the_page_shows_what_was_sent_and_escapes_it(sandbox: Any) -> None:
    await sandbox.telegram("sendMessage", chat_id=5, text=HOSTILE)
    await sandbox.send(text={"body": HOSTILE}, to="15550131047")
    await sandbox.control("actions/whatsapp/message", token=ACCESS, text=HOSTILE, name=HOSTILE)
    await sandbox.control("failures", kind="slow", token=BOT, match=HOSTILE)
    for path in ("/", "/?platform=telegram", "/?live=1", f"/?notice={HOSTILE}&account={HOSTILE}&platform={HOSTILE}"):
        reply = await sandbox.request("GET", path)
        page = reply.body.decode()
        assert reply.status == 200
        assert "<script" not in page
        assert "<img" not in page
        assert BOT not in page
        assert ACCESS not in page
    page = (await sandbox.request("GET", "/")).body.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


async def test_requests_are_told_without_their_tokens(sandbox: Any) -> None:
    await sandbox.telegram("sendMessage", chat_id=5, text=f"my token is {BOT}")
    await sandbox.request("GET", f"/telegram/bot{BOT.replace(':', '%3A')}/getMe")
    await sandbox.request("GET", f"/whatsapp/v26.0/{PHONE}?access_token={ACCESS}")
    await sandbox.request("POST", f"/whatsapp/v26.0/{PHONE}/messages", data={"access_token": ACCESS, "type": "text"})
    shown = json.dumps(await sandbox.control("requests", "GET"))
    assert BOT not in shown
    assert BOT.replace(":", "%3A") not in shown
    assert ACCESS not in shown
    only = (await sandbox.request("GET", "/_sandbox/requests", params={"token": BOT})).json["requests"]
    assert [request["path"].rpartition("/")[2] for request in only] == ["getMe", "sendMessage"]
    by_platform = (await sandbox.request("GET", "/_sandbox/requests?platform=whatsapp&limit=1")).json["requests"]
    assert [request["platform"] for request in by_platform] == ["whatsapp"]


async def test_forms_work_without_scripts(sandbox: Any) -> None:
    page = {"origin": sandbox.origin, "sec-fetch-site": "same-origin"}

    async def submit(path: str, **fields: str) -> Any:
        return await sandbox.request("POST", path, data=fields, headers=page, allow_redirects=False)

    on = await submit("/_sandbox/failures", kind="rate_limit", platform="telegram", times="always", token="", status="")
    assert (on.status, on.headers["location"]) == (303, "/")
    [failure] = (await sandbox.control("failures", "GET"))["failures"]
    assert (failure["times"], failure["platform"]) == (None, "telegram")
    await submit("/_sandbox/failures/clear", id=str(failure["id"]))
    assert (await sandbox.control("failures", "GET"))["failures"] == []
    assert "notice=" in (await submit("/_sandbox/failures", kind="x")).headers["location"]
    assert "notice=" in (await submit("/_sandbox/actions/telegram/message", token="x", text="y")).headers["location"]
    assert "phone" in (await submit("/_sandbox/account", platform="whatsapp", token=ACCESS)).headers["location"]
    assert (await submit("/_sandbox/actions/telegram/message", token=BOT, text="hi")).headers["location"] == "/"
    await submit("/_sandbox/webhooks", platform="whatsapp", shuffle="true")
    assert sandbox.sandbox.webhooks.disorder("whatsapp").shuffle is True
    before = sandbox.sandbox.clock.now()
    await submit("/_sandbox/advance", seconds="3600")
    assert sandbox.sandbox.clock.now() == pytest.approx(before + 3600)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_other_sites_pages_cannot_steer(sandbox: Any, headers: dict[str, str]) -> None:
    for path in ("failures", "reset", "advance", "webhooks", "account", "actions/telegram/message", "failures/clear"):
        reply = await sandbox.request("POST", f"/_sandbox/{path}", json={"kind": "slow"}, headers=headers)
        assert reply.status == 403
    assert (await sandbox.request("DELETE", "/_sandbox/failures", headers=headers)).status == 403


@pytest.mark.parametrize(
    "headers",
    [{"host": "evil.example"}, {"host": "evil.example:3457"}, {"host": "127.0.0.1.evil.example"}, {"host": ""},
     {"host": "10.0.0.1"}, {"host": "127.0.0.1:3457@evil.example"}, {"x-forwarded-for": "127.0.0.1"},
     {"forwarded": "for=127.0.0.1"}],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/_sandbox/requests", f"/telegram/bot{BOT}/getMe"])
async def test_other_names_and_proxies_are_refused(sandbox: Any, headers: dict[str, str], path: str) -> None:
    assert (await sandbox.request("GET", path, headers=headers)).status == 403


@pytest.mark.parametrize("host", ["localhost:3457", "127.0.0.1", "[::1]:3457"])
async def test_loopback_names_are_fine(sandbox: Any, host: str) -> None:
    assert (await sandbox.request("GET", "/", headers={"host": host})).status == 200


@pytest.mark.parametrize(
    ("path", "open_to_network", "status"),
    [
        ("/", False, 403),
        ("/", True, 403),
        ("/_sandbox/reset", True, 403),
        (f"/telegram/bot{BOT}/getMe", False, 403),
        (f"/telegram/bot{BOT}/getMe", True, 200),
    ],
)
@pytest.mark.parametrize("client", [("10.1.2.3", 5000), None])
async def test_other_machines_never_see_the_page(
    path: str, open_to_network: bool, status: int, client: tuple[str, int] | None
) -> None:
    app = Sandbox(SandboxOptions(open_to_network=open_to_network)).app
    scope = {
        "type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", b"127.0.0.1:3457")],
        "client": client, "scheme": "http", "root_path": "", "http_version": "1.1",
    }  # fmt: skip
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == status


async def test_reset_forgets_everything(sandbox: Any) -> None:
    await sandbox.telegram("sendMessage", chat_id=5, text="x")
    await sandbox.send()
    await sandbox.control("failures", kind="slow", token="1:abcdefghijklmnopqrstuvwxyz")
    assert await sandbox.control("reset") == {"reset": True}
    assert (await sandbox.control("requests", "GET"))["requests"] == []
    assert (await sandbox.control("messages", "GET"))["messages"] == []
    assert (await sandbox.control("failures", "GET"))["failures"] == []
    assert (await sandbox.telegram("sendMessage", chat_id=5, text="x")).json["result"]["message_id"] == 1


async def test_what_is_remembered_is_bounded(start_sandbox: Any) -> None:
    sandbox = await start_sandbox(SandboxOptions(frozen_clock=True, kept=3))
    for number in range(5):
        await sandbox.telegram("sendMessage", chat_id=5, text=f"{number}" + "x" * 20_000)
    requests = (await sandbox.control("requests", "GET"))["requests"]
    assert len(requests) == 3
    assert all(len(request["body"]) <= 16 * 1024 < request["size"] for request in requests)


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("advance", {"seconds": -1}),
        ("advance", {}),
        ("webhooks", {"platform": "fax"}),
        ("account", {"platform": "telegram", "token": "x"}),
        ("actions/fax/message", {}),
        ("actions/telegram/dance", {}),
        ("actions/telegram/message", {"token": BOT}),
        ("actions/telegram/message", {"token": BOT, "text": "x", "from_id": "Ann"}),
        ("actions/whatsapp/message", {"token": ACCESS, "text": "x", "kind": "smoke"}),
    ],
)
async def test_controls_say_what_they_want(sandbox: Any, path: str, given: dict[str, Any]) -> None:
    reply = await sandbox.request("POST", f"/_sandbox/{path}", json=given)
    assert reply.status == 400
    assert ":" in reply.json["error"]


async def test_every_stand_in_tells_its_magic_and_base_url(sandbox: Any) -> None:
    platforms = (await sandbox.control("platforms", "GET"))["platforms"]
    assert set(platforms) == set(discover()) == set(sandbox.base_urls) >= {"telegram", "whatsapp"}
    for platform, told in platforms.items():
        assert told["magic"]
        assert told["base_url"] == sandbox_base_urls(sandbox.origin)[platform]


def test_options_come_from_the_gateways_settings() -> None:
    settings = load_settings({"PUBLIC_URL": "http://127.0.0.1:4000", "META_APP_SECRET": "s"}, env_file=None)
    options = SandboxOptions.from_settings(settings, frozen_clock=True)
    assert options.webhook_urls == {"whatsapp": "http://127.0.0.1:4000/webhook/whatsapp"}
    assert (options.meta_app_secret, options.frozen_clock) == ("s", True)
    assert "'s'" not in repr(options)
