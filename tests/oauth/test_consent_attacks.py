"""What is refused where a person answers: their answer is given by themselves, on our page, to this very request."""

from __future__ import annotations

import html
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest

from hermes.identity.caller import OPERATOR
from hermes.identity.service import NewCustomer
from oauth.conftest import CALLBACK, ISSUER, RESOURCE, Pkce, Replica, asking

pytestmark = [pytest.mark.storage, pytest.mark.attack("consent")]

AUTHORIZE = "/oauth/authorize"
BROWSER = {"accept": "text/html"}


@dataclass
class Consent:
    """Ada's browser with the consent page open, and all that its form sends."""

    replica: Replica
    ada: NewCustomer
    eve: NewCustomer
    client_id: str
    query: dict[str, str]
    fields: dict[str, str]
    cookies: dict[str, str]

    async def session(self, customer: NewCustomer) -> str:
        return await self.replica.house.sessions.begin(customer.row.id, client="Firefox")

    async def post(self, **changed: Any) -> httpx2.Response:
        """Send the form as the page would, but for what is changed: `query`, `fields`, `cookies`, `headers`."""
        query = {**self.query, **changed.get("query", {})}
        fields = {**self.fields, **changed.get("fields", {})}
        cookies = {**self.cookies, **changed.get("cookies", {})}
        headers = {
            **BROWSER,
            "origin": ISSUER,
            "content-type": "application/x-www-form-urlencoded",
            "cookie": "; ".join(f"{name}={value}" for name, value in cookies.items() if value),
            **changed.get("headers", {}),
        }
        sent = {name: value for name, value in headers.items() if value is not None}
        body = urlencode({name: value for name, value in fields.items() if value is not None})
        place = f"{AUTHORIZE}?{urlencode({name: value for name, value in query.items() if value})}"
        return await self.replica.http.post(place, content=body, headers=sent)


async def open_page(
    replica: Replica, cookies: dict[str, str], query: dict[str, str]
) -> tuple[httpx2.Response, dict[str, str]]:
    """Open the consent page; returns it with the form's hidden fields."""
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    page = await replica.http.get(f"{AUTHORIZE}?{urlencode(query)}", headers={**BROWSER, "cookie": cookie})
    form = re.search(r'<form method="post" action="/oauth/authorize.*?</form>', page.text, re.S)
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[0] if form else "")
    return page, {name: html.unescape(value) for name, value in hidden}


@pytest.fixture
async def consent(one: Replica, ada: NewCustomer, bob: NewCustomer) -> Consent:
    client_id = (await one.register())["client_id"]
    query = asking(client_id, Pkce(), scope="telegram:read")
    cookies = {
        "session": await one.house.sessions.begin(ada.row.id, client="Firefox"),
        "__Host-visitor": "v" * 43,
    }
    page, fields = await open_page(one, cookies, query)
    assert page.status_code == 200, page.text
    return Consent(one, ada, bob, client_id, query, {**fields, "answer": "agree", "grant": "telegram:read"}, cookies)


async def test_the_form_itself_is_taken(consent: Consent) -> None:
    answer = await consent.post()
    assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, CALLBACK)
    assert "code=sq_ac_" in answer.headers["location"]


FORGED: dict[str, dict[str, Any]] = {
    "from another site": {"headers": {"origin": "https://evil.example"}},
    "from a sandboxed frame": {"headers": {"origin": "null"}},
    "without an origin": {"headers": {"origin": None}},
    "from the same host over http": {"headers": {"origin": ISSUER.replace("https", "http")}},
    "from another port": {"headers": {"origin": f"{ISSUER}:8443"}},
    "from a host that begins alike": {"headers": {"origin": f"{ISSUER}.evil.example"}},
    "without the token": {"fields": {"csrf_token": None}},
    "with a made-up token": {"fields": {"csrf_token": "A" * 64}},
    "with a token that is no text": {"fields": {"csrf_token": "ä\x00"}},
    "for another scope": {"query": {"scope": "all:write"}},
    "for another challenge": {"query": {"code_challenge": Pkce().challenge}},
    "for another state": {"query": {"state": "the attacker's"}},
    "for another resource": {"query": {"resource": ISSUER}},
}


@pytest.mark.parametrize("changed", FORGED.values(), ids=FORGED)
async def test_an_answer_that_is_not_the_persons_own_is_refused(consent: Consent, changed: dict[str, Any]) -> None:
    answer = await consent.post(**changed)
    assert answer.status_code == 403, answer.text
    assert "location" not in answer.headers
    assert await given(consent) == []


async def given(consent: Consent) -> list[str]:
    """What Ada's assistants may do."""
    headers = {"x-api-key": consent.ada.key.secret}
    answer = await consent.replica.http.get("/api/assistants", headers=headers)
    return [assistant["client_id"] for assistant in answer.json()["assistants"]]


async def test_a_form_of_ones_own_does_not_answer_for_another(consent: Consent) -> None:
    """Eve opens the page as herself and has Ada's browser send her form."""
    eve = {**consent.cookies, "session": await consent.session(consent.eve)}
    _, fields = await open_page(consent.replica, eve, consent.query)
    assert (await consent.post(fields=fields)).status_code == 403
    assert await given(consent) == []


async def test_a_form_for_one_client_does_not_answer_for_another(consent: Consent) -> None:
    other = (await consent.replica.register(client_name="Evil"))["client_id"]
    assert (await consent.post(query={"client_id": other})).status_code == 403
    assert await given(consent) == []


async def no_session(_consent: Consent) -> str:
    return ""


async def a_forged_session(consent: Consent) -> str:
    head, body, _signature = consent.cookies["session"].split(".")
    return f"{head}.{body}.{'A' * 43}"


async def a_session_signed_by_nobody(consent: Consent) -> str:
    return f"eyJhbGciOiJub25lIn0.{consent.cookies['session'].split('.')[1]}."


async def a_session_that_was_ended(consent: Consent) -> str:
    await consent.replica.house.sessions.end_all(consent.ada.row.id, by=OPERATOR)
    return consent.cookies["session"]


async def an_api_key(consent: Consent) -> str:
    return consent.ada.key.secret


NOBODY = [no_session, a_forged_session, a_session_signed_by_nobody, a_session_that_was_ended, an_api_key]


@pytest.mark.parametrize("session", NOBODY, ids=lambda session: session.__name__)
async def test_who_is_not_signed_in_answers_nothing(
    consent: Consent, session: Callable[[Consent], Awaitable[str]]
) -> None:
    answer = await consent.post(cookies={"session": await session(consent)})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?return_to=%2Foauth%2Fauthorize")
    assert await given(consent) == []


CREDENTIALS = ("api key", "bearer")


@pytest.mark.parametrize("kind", CREDENTIALS)
async def test_only_a_browsers_session_counts_on_the_page(consent: Consent, kind: str) -> None:
    secret = consent.ada.key.secret
    headers = {"x-api-key": secret} if kind == "api key" else {"authorization": f"Bearer {secret}"}
    answer = await consent.post(cookies={"session": ""}, headers=headers)
    assert answer.headers["location"].startswith("/login?")
    assert await given(consent) == []


TICKS = {
    "more than was asked": "telegram:write",
    "another platform": "email:read",
    "everything": "*:write",
    "an umbrella": "all:write",
    "no grant at all": "root",
}


@pytest.mark.parametrize("grant", TICKS.values(), ids=TICKS)
async def test_ticks_that_were_not_offered_count_for_nothing(consent: Consent, grant: str) -> None:
    answer = await consent.post(fields={"grant": grant})
    assert answer.status_code == 400
    assert await given(consent) == []


async def test_the_page_cannot_be_framed_or_run_scripts(consent: Consent) -> None:
    page, _ = await open_page(consent.replica, consent.cookies, consent.query)
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["strict-transport-security"].startswith("max-age=")


HOSTILE_NAMES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "Claude\u202egnp.exe",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_a_clients_name_is_only_text(consent: Consent, name: str) -> None:
    asked = {"client_name": name, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
    made = await consent.replica.http.post("/oauth/register", json=asked)
    if made.status_code == 400:
        assert made.json()["error"] == "invalid_client_metadata"
        return
    page, _ = await open_page(consent.replica, consent.cookies, asking(made.json()["client_id"], Pkce()))
    heading = re.search(r"<h1>(.*?)</h1>", page.text)
    assert heading is not None
    assert not {"<", ">", '"', "\u202e"} & set(heading[1])
    assert html.unescape(heading[1]) == f"{name.replace(chr(0x202E), '')} wants to use your accounts"


async def test_the_answer_names_us_so_that_no_other_server_can_be_mixed_up_with_it(consent: Consent) -> None:
    for answer in ("agree", "refuse"):
        location = (await consent.post(fields={"answer": answer})).headers["location"]
        assert f"iss={ISSUER.replace(':', '%3A').replace('/', '%2F')}" in location
        assert "state=the" in location
    assert RESOURCE not in location
