"""Signing in to a running hermes: what it prints, mails as files, sessions over several processes."""

from __future__ import annotations

import asyncio
import html
import re
from pathlib import Path
from typing import Any

import httpx2

EMAIL = "demo@sandbox.example"
NEW = "a new good password"


def sign_in(http: httpx2.Client, origin: str, password: str) -> httpx2.Response:
    return send(http, origin, "/login", "/login", email=EMAIL, password=password)


def send(http: httpx2.Client, origin: str, page: str, action: str, **fields: str) -> httpx2.Response:
    """Open a page, and send its form that leads to `action`."""
    form = re.search(rf'<form[^>]*action="{action}".*?</form>', http.get(page).text, re.S)
    assert form is not None
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[0])
    given = {name: html.unescape(value) for name, value in hidden} | fields
    return http.post(action, data=given, headers={"origin": origin})


async def test_the_demo_customer_signs_in_with_what_was_printed(new_hermes: Any, until: Any) -> None:
    hermes = new_hermes("--workers", "2").start()
    file = hermes.data_dir / "demo-password"
    assert file.stat().st_mode & 0o777 == 0o600
    printed = "".join(hermes.output)
    assert f"{hermes.url}/login   ({EMAIL}, password in {file})" in printed
    password = file.read_text().strip()
    assert password not in printed

    def over_both_processes() -> dict[str, str]:
        session = httpx2.Client(base_url=hermes.url, timeout=60)  # the processes may be starting yet
        assert sign_in(session, hermes.url, password).status_code == 303
        cookie = {"cookie": f"session={session.cookies['session']}"}
        assert answers(cookie, 12) == [200] * 12
        csrf = anew.get("/api/csrf-token", headers=cookie).json()["csrf_token"]
        change = {**cookie, "origin": hermes.url, "x-csrf-token": csrf}
        assert anew.delete("/api/sessions", headers=change).status_code == 204
        return cookie

    def answers(cookie: dict[str, str], times: int) -> list[int]:
        return [anew.get("/api/me", headers=cookie).status_code for _ in range(times)]

    # Each request is a connection of its own, so both processes answer some of them.
    with httpx2.Client(base_url=hermes.url, limits=httpx2.Limits(max_keepalive_connections=0)) as anew:
        ended = await asyncio.to_thread(over_both_processes)

        async def ended_everywhere() -> bool:
            return await asyncio.to_thread(answers, ended, 8) == [401] * 8

        await until(ended_everywhere, 8, "the session to be refused by every process")


async def test_a_new_password_by_a_mail_that_lies_in_the_data_folder(new_hermes: Any, until: Any) -> None:
    hermes = new_hermes().start()

    def ask() -> None:
        with httpx2.Client(base_url=hermes.url) as http:
            assert send(http, hermes.url, "/reset-password", "/reset-password", email=EMAIL).status_code == 200

    await asyncio.to_thread(ask)
    mails: Path = hermes.data_dir / "mail"
    (mail,) = await until(lambda: list(mails.glob("*.eml")), 20, "the mail")
    assert mail.stat().st_mode & 0o777 == 0o600
    link = re.search(rf"{re.escape(hermes.url)}(/reset-password/new\?token=\S+)", mail.read_text().replace("=\n", ""))
    assert link is not None
    token = link[1].split("token=")[1].removeprefix("3D")

    def change() -> None:
        with httpx2.Client(base_url=hermes.url) as http:
            path = f"/reset-password/new?token={token}"
            assert (
                send(http, hermes.url, path, "/reset-password/new", password="a new good password").status_code == 200
            )
            assert sign_in(http, hermes.url, "a new good password").status_code == 303

    await asyncio.to_thread(change)
    assert token not in "".join(hermes.output)
    await asyncio.to_thread(hermes.stop)
    await asyncio.to_thread(hermes.start)
    assert "with the password that you chose" in "".join(hermes.output)
