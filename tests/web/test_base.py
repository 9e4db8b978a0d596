"""What all pages share: headers, forms, cookies, errors, the stylesheet."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlencode

import httpx2
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hermes.crypto import Keyring
from hermes.errors import Internal, NotAuthenticated
from hermes.identity.caller import Caller, Grants, Via
from hermes.identity.csrf import CsrfTokens
from hermes.settings import Settings
from hermes.transports.body_limit import BodyLimit
from hermes.transports.problem_handlers import install_problem_handlers
from hermes.web.base import WebBase, build_base
from hermes.web.error_pages import ErrorPages
from hermes.web.forms import safe_return_to

ORIGIN = "https://gateway.example"
KEYRING = Keyring(b"k" * 32)
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

Browse = Callable[..., Awaitable[httpx2.Response]]


async def verify(token: str) -> Caller | None:
    if not token.startswith("jwt-"):
        return None
    name = token.removeprefix("jwt-")
    return Caller(
        "customer", name, Via.SESSION, f"sid-{name}", Grants.everything(), "free", email=f"{name}@example.com"
    )


async def refresh(caller: Caller) -> Caller:
    if caller.customer_id == "late":
        raise NotAuthenticated("This session has ended.")
    return caller


def toy_pages(base: WebBase) -> FastAPI:
    """A page with a form that says what it got."""

    async def show(request: Request) -> Response:
        visitor = await base.visitors.of(request)
        page = base.pages.render(visitor, "error.html.jinja", title="A <form>", message="toy")
        page.headers["x-token"] = CsrfTokens(KEYRING).issue(visitor.binding, "toy")
        return page

    async def take(request: Request) -> Response:
        visitor = await base.visitors.of(request)
        fields = await base.forms.read(request, visitor, "toy")
        return JSONResponse(fields.getlist("word"))

    async def broken(_request: Request) -> Response:
        raise Internal("It broke; try later.", retry_after=3, detail="not for people")

    app = FastAPI(openapi_url=None)
    install_problem_handlers(app)
    app.router.routes += [
        Route("/toy", show), Route("/toy", take, methods=["POST"]), Route("/broken", broken), *base.routes(),
    ]  # fmt: skip
    return app


@pytest.fixture
async def web() -> AsyncIterator[httpx2.AsyncClient]:
    base = build_base(Settings(public_url=ORIGIN), KEYRING, verify, refresh)
    app = ErrorPages(BodyLimit(toy_pages(base)), base.pages)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app, raise_app_exceptions=False), base_url=ORIGIN, headers=BROWSER
    ) as client:
        yield client


async def post(web: httpx2.AsyncClient, body: str, **headers: str) -> httpx2.Response:
    given = {"origin": ORIGIN, "content-type": "application/x-www-form-urlencoded"} | headers
    return await web.post("/toy", content=body, headers={name: value for name, value in given.items() if value})


async def token(web: httpx2.AsyncClient) -> str:
    return str((await web.get("/toy")).headers["x-token"])


async def test_pages_let_nothing_in_and_cannot_be_framed(web: httpx2.AsyncClient) -> None:
    headers = (await web.get("/toy")).headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    )
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["strict-transport-security"].startswith("max-age=")


async def test_text_is_escaped(web: httpx2.AsyncClient) -> None:
    page = await web.get("/toy")
    assert "A &lt;form&gt;" in page.text
    assert "<form>" not in page.text


async def test_the_visitor_cookie_is_ours_alone_and_given_once(web: httpx2.AsyncClient) -> None:
    first = await web.get("/toy")
    cookie = first.headers["set-cookie"]
    assert cookie.startswith("__Host-visitor=")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert "set-cookie" not in (await web.get("/toy")).headers


async def test_a_malformed_visitor_cookie_is_replaced(web: httpx2.AsyncClient) -> None:
    page = await web.get("/toy", headers={"cookie": "__Host-visitor=chosen-by-somebody"})
    assert page.headers["set-cookie"].startswith("__Host-visitor=")


async def test_a_signed_in_person_is_named_and_can_sign_out(web: httpx2.AsyncClient) -> None:
    page = await web.get("/toy", headers={"cookie": "session=jwt-alice"})
    assert "alice@example.com" in page.text
    assert 'action="/logout"' in page.text
    assert "Sign out" not in (await web.get("/toy", headers={"cookie": "session=forged"})).text


async def test_our_own_form_is_taken(web: httpx2.AsyncClient) -> None:
    body = urlencode({"csrf_token": await token(web), "word": ["ä", "b"]}, doseq=True)
    answer = await post(web, body)
    assert (answer.status_code, answer.json()) == (200, ["ä", "b"])


@pytest.mark.attack("login")
async def test_a_session_that_has_just_ended_changes_nothing(web: httpx2.AsyncClient) -> None:
    cookie = "session=jwt-late"
    page = await web.get("/toy", headers={"cookie": cookie})
    assert "late@example.com" in page.text
    form = urlencode({"csrf_token": page.headers["x-token"], "word": "a"})
    assert (await post(web, form, cookie=cookie)).status_code == 403


@pytest.mark.attack("login")
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": ""},
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"origin": "http://gateway.example"},
        {"origin": "https://gateway.example:8443"},
        {"origin": "https://gateway.example.evil.example"},
    ],
    ids=lambda headers: headers["origin"] or "none",
)
async def test_forms_of_other_origins_are_refused(web: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    answer = await post(web, urlencode({"csrf_token": await token(web), "word": "a"}), **headers)
    assert answer.status_code == 403
    assert "was not sent from https://gateway.example" in answer.text


@pytest.mark.attack("login")
async def test_a_form_for_another_browser_session_or_purpose_is_refused(web: httpx2.AsyncClient) -> None:
    good = urlencode({"csrf_token": await token(web), "word": "a"})
    assert (await post(web, good)).status_code == 200
    assert (await post(web, good, cookie="session=jwt-alice")).status_code == 403
    assert (await post(web, "word=a")).status_code == 403
    assert (await post(web, "word=a&csrf_token=%C3%A4")).status_code == 403
    web.cookies.clear()
    assert (await post(web, good)).status_code == 403


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("a=b", "application/json", 400),
        ("a=b", "", 400),
        ("a=%ff", "application/x-www-form-urlencoded", 400),
        ("&".join(f"a{number}=b" for number in range(300)), "application/x-www-form-urlencoded", 400),
        ("a=" + "b" * 70_000, "application/x-www-form-urlencoded", 413),
        ("a=" + "b" * 5_000_000, "application/x-www-form-urlencoded", 413),
    ],
    ids=["json", "no type", "no text", "many fields", "long", "very long"],
)
async def test_what_is_no_form_is_refused(web: httpx2.AsyncClient, body: str, content_type: str, status: int) -> None:
    answer = await post(web, body, **{"content-type": content_type})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")


async def test_errors_are_pages_for_browsers_and_problem_documents_for_programs(web: httpx2.AsyncClient) -> None:
    page = await web.get("/nowhere")
    assert (page.status_code, page.headers["x-frame-options"]) == (404, "DENY")
    assert "<h1>There is nothing here</h1>" in page.text
    for path, accept in (("/nowhere", "application/json"), ("/nowhere", "*/*"), ("/api/nowhere", BROWSER["accept"])):
        program = await web.get(path, headers={"accept": accept})
        assert program.status_code == 404
        assert program.headers["content-type"] == "application/problem+json"


async def test_an_error_page_keeps_what_the_error_says_but_no_detail(web: httpx2.AsyncClient) -> None:
    page = await web.get("/broken")
    assert (page.status_code, page.headers["retry-after"]) == (500, "3")
    assert "It broke; try later." in page.text
    assert "not for people" not in page.text


async def test_the_stylesheet_may_be_kept_for_ever(web: httpx2.AsyncClient) -> None:
    (path,) = re.findall(r'rel="stylesheet" href="(/static/site\.[0-9a-f]{16}\.css)"', (await web.get("/toy")).text)
    sheet = await web.get(path)
    assert sheet.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert sheet.headers["content-type"] == "text/css; charset=utf-8"
    assert (await web.get("/static/site.0000000000000000.css")).status_code == 404
    assert (await web.get("/static/..%2f..%2fpages.py")).status_code == 404


@pytest.mark.attack("login")
@pytest.mark.parametrize(
    "value",
    [
        None, "", "https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "/a\\b",
        "/\t/evil", "/\n/evil.example", " /a", "javascript:alert(1)", "a/b", "/ä", "/" + "a" * 9000,
        "///evil.example", "/a\r\nX: y",
    ],
)  # fmt: skip
def test_return_to_leads_nowhere_else(value: str | None) -> None:
    assert safe_return_to(value, "/account") == "/account"


@pytest.mark.parametrize("value", ["/", "/account", "/oauth/authorize?client_id=https%3A%2F%2Fx.example&state=a%20b"])
def test_return_to_keeps_our_own_paths(value: str) -> None:
    assert safe_return_to(value) == value
