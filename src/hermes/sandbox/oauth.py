"""Signing in at a vendor: the consent page, codes, tokens, renewal and revocation, as each vendor documents them.

A person is a name that is typed on the consent page; who signs in under the same name again has the same account. What
reaches a stand-in with a token that was issued here reaches it with that account's own token instead, so that the
account stays the same whichever token is in force; a token that ran out or was taken back reaches it as one with
`expired` or `revoked` in it, which it knows how to refuse.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from jinja2 import Environment, PackageLoader, Template, select_autoescape

from hermes.sandbox.clock import Clock
from hermes.sandbox.http import Answer, Incoming, json_answer
from hermes.sandbox.limits import RateLimiter

CLIENT_SECRET: Final = "sandbox-client-secret"  # noqa: S105  (of a stand-in, guards nothing)
PERSON: Final = re.compile(r"[a-z0-9]{1,24}")
DAY: Final = 86_400
_SHOWN: Final = frozenset({"grant_type", "redirect_uri", "response_type", "scope", "state", "person", "decision"})
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_KEPT: Final = 20_000


def client_id_of(provider: str) -> str:
    """hermes as the sandbox's vendors know it."""
    return f"sandbox-{provider}"


class OAuthRefusal(Exception):
    """A refusal of RFC 6749, 5.2; each vendor words it its own way."""

    def __init__(self, code: str, described: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.described = described
        self.status = status


@dataclass(frozen=True, slots=True)
class OAuthRules:
    """How one vendor does it. Paths are below the stand-in's prefix.

    Attributes:
        access, refresh: how tokens begin; `refresh` is None where there are no refresh tokens.
        access_seconds, refresh_seconds, code_seconds: how long they last.
        account: person → the token of the account, as the stand-in knows accounts.
        more: the stand-in's further members of an answer with tokens, from the account's token.
        refresh_for: whether a grant comes with a refresh token.
        callback: how the path of the redirect URI ends.
        pkce: `required`, `taken`, or `refused`.
        basic: the client shows itself in the header; otherwise in the body.
        rotates: `yes`; `no`; `reuse_ends_all`: using a spent refresh token ends the whole grant.
        spent: code and words for a refresh token that is not in force, and the status if it is not 400.
        refresh_ends_name: the member that says when the refresh token ends; empty: the vendor does not say.
        denied: what the browser brings back when the person says no.
        revoked: the body of the answer when a token is taken back; None: an empty one.
        scope_in_answer: whether the answer repeats what was granted.
        unknown_scope: the error for a scope that the app does not have.
    """

    provider: str
    title: str
    authorize: str
    token: str
    scopes: frozenset[str]
    access: str
    account: Callable[[str], str] = field(repr=False)
    refresh: str | None = None
    revoke: str | None = None
    more: Callable[[str], dict[str, Any]] = field(default=lambda _: {}, repr=False)
    access_seconds: int = 3600
    refresh_seconds: int | None = None
    code_seconds: int = 600
    callback: str = "/callback"
    client_id_name: str = "client_id"
    pkce: Literal["required", "taken", "refused"] = "refused"
    pkce_hex: bool = False
    basic: bool = False
    separator: str = " "
    rotates: Literal["yes", "no", "reuse_ends_all"] = "no"
    spent: tuple[str, str] = ("invalid_grant", "The refresh token is invalid or expired.")
    refresh_for: Callable[[Grant], bool] = field(default=lambda _: True, repr=False)
    refresh_ends_name: str = "refresh_expires_in"
    denied: Mapping[str, str] = field(
        default_factory=lambda: {"error": "access_denied", "error_description": "The person said no"}
    )
    revoked: Any = None
    scope_in_answer: bool = True
    unknown_scope: str = "invalid_scope"


@dataclass(slots=True)
class Grant:
    """What one person allowed once."""

    person: str
    scopes: tuple[str, ...]
    account: str = field(repr=False)
    ended: bool = False
    renewed: int = 0
    """How often its tokens were renewed."""


@dataclass(slots=True)
class _Code:
    grant: Grant
    redirect_uri: str
    challenge: str
    expires: float
    used: bool = False


@dataclass(slots=True)
class Issued:
    """One token."""

    grant: Grant
    expires: float | None
    refresh: bool = False
    spent: bool = False


class OAuthDesk:
    """One vendor's authorization server."""

    def __init__(self, rules: OAuthRules, clock: Clock, *, per_second: float | None = None) -> None:
        """Open it; `per_second`: how many requests for tokens the vendor takes, None for any number."""
        self.rules = rules
        self.clock = clock
        self.tokens: dict[str, Issued] = {}
        self.asked: deque[float] = deque(maxlen=_KEPT)
        """When tokens were asked for, newest last."""
        self.came = asyncio.Event()
        """Set when tokens are asked for."""
        self.limited = 0
        """How many of those requests were too many."""
        self._limiter = RateLimiter(clock, per_second, burst=max(1, int(per_second or 1)))
        self._codes: dict[str, _Code] = {}

    # the door

    def handles(self, path: str) -> bool:
        return path in (self.rules.authorize, self.rules.token, self.rules.revoke)

    async def answer(self, incoming: Incoming) -> Answer:
        """Answer a request to one of the vendor's OAuth addresses."""
        if incoming.path == self.rules.authorize:
            return await self._authorize(incoming)
        try:
            args = {name: str(value) for name, value in (await incoming.body_args())[0].items()}
            self._count()
            return self.ask(incoming, args)
        except OAuthRefusal as refusal:
            return self.refused(refusal)

    def ask(self, incoming: Incoming, args: dict[str, str]) -> Answer:
        """Answer what a program asks. Raises `OAuthRefusal`."""
        self._check_client(incoming, args)
        if incoming.path == self.rules.revoke:
            return self._revoke(args)
        if incoming.method != "POST" or incoming.content_type != "application/x-www-form-urlencoded":
            raise OAuthRefusal("invalid_request", "Only a POST of a form is taken here.")
        match args.get("grant_type"):
            case "authorization_code":
                return json_answer(self.tokens_for_code(args))
            case "refresh_token":
                return json_answer(self.renew(args.get("refresh_token", "")))
        raise OAuthRefusal("unsupported_grant_type", "The grant type is not supported.")

    def refused(self, refusal: OAuthRefusal) -> Answer:
        """A refusal in the vendor's words: flat, as most have it (RFC 6749, 5.2)."""
        body = {"error": refusal.code, "error_description": refusal.described}
        headers = (("Retry-After", "1"),) if refusal.status == 429 else ()
        return json_answer(body, refusal.status, headers)

    def shown(self, text: str) -> str:
        """A query or form for people's eyes: without codes, tokens and secrets."""
        pairs = parse_qsl(text, keep_blank_values=True)
        return urlencode([(name, value if name in _SHOWN else "…") for name, value in pairs])

    # the person

    async def _authorize(self, incoming: Incoming) -> Answer:
        given = incoming.query_args()
        problem = self._wrong_client(given)
        if problem is not None:
            return self._html(400, problem=problem, asked={})
        fault = self._wrong_request(given)
        if fault is not None:
            return self._back(given, {"error": fault, "error_description": "The request is not right"})
        if incoming.method != "POST":
            scopes = [one for one in given["scope"].split(self.rules.separator) if one]
            return self._html(200, problem=None, asked={"scopes": scopes})
        decided, _ = await incoming.body_args()
        person = str(decided.get("person", "")).strip().lower()
        if decided.get("decision") != "allow":
            return self._back(given, dict(self.rules.denied))
        if not PERSON.fullmatch(person):
            return self._html(400, problem="A name is 1 to 24 of a-z and 0-9.", asked={"scopes": []})
        return self._back(given, {"code": self.code_for(person, given)})

    def _wrong_client(self, given: Mapping[str, str]) -> str | None:
        if given.get(self.rules.client_id_name) != client_id_of(self.rules.provider):
            return "This vendor knows no such client."
        redirect = given.get("redirect_uri", "")
        parts = urlsplit(redirect)
        if parts.scheme not in ("http", "https") or parts.query or parts.fragment or "#" in redirect:
            return "The redirect URI is not one that was registered."
        return None if parts.path.endswith(self.rules.callback) else "The redirect URI is not one that was registered."

    def _wrong_request(self, given: Mapping[str, str]) -> str | None:
        if given.get("response_type") != "code":
            return "unsupported_response_type"
        asked = {one for one in given.get("scope", "").split(self.rules.separator) if one}
        if not asked or not asked <= self.rules.scopes:
            return self.rules.unknown_scope
        has_challenge = bool(given.get("code_challenge")) and given.get("code_challenge_method") == "S256"
        if (self.rules.pkce == "required" and not has_challenge) or (
            self.rules.pkce == "refused" and "code_challenge" in given
        ):
            return "invalid_request"
        return None

    def _back(self, given: Mapping[str, str], answer: Mapping[str, str]) -> Answer:
        state = {"state": given["state"]} if "state" in given else {}
        location = f"{given['redirect_uri']}?{urlencode({**answer, **state})}"
        return Answer(303, b"", "text/plain", (("Location", location),))

    def _html(self, status: int, *, problem: str | None, asked: Mapping[str, Any]) -> Answer:
        html = _page().render(title=self.rules.title, problem=problem, **asked)
        headers = (
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
            ("Cache-Control", "no-store"),
        )
        return Answer(status, html.encode(), "text/html; charset=utf-8", headers)

    # the program

    def code_for(self, person: str, given: Mapping[str, str]) -> str:
        """The code that the browser takes back once the person allowed it."""
        scopes = tuple(one for one in given["scope"].split(self.rules.separator) if one)
        code = secrets.token_urlsafe(24)
        expires = self.clock.now() + self.rules.code_seconds
        grant = Grant(person, scopes, self.rules.account(person))
        self._codes[code] = _Code(grant, given["redirect_uri"], given.get("code_challenge", ""), expires)
        return code

    def tokens_for_code(self, args: Mapping[str, str]) -> dict[str, Any]:
        """RFC 6749, 4.1.3: once, in time, with the same redirect URI and the verifier. Raises `OAuthRefusal`."""
        code = self._codes.get(args.get("code", ""))
        if code is not None and code.used:
            code.grant.ended = True  # RFC 6749, 4.1.2
        if code is None or code.used or code.expires <= self.clock.now():
            raise OAuthRefusal("invalid_grant", "The code is invalid, used or expired.")
        if code.redirect_uri != args.get("redirect_uri"):
            raise OAuthRefusal("invalid_grant", "The redirect URI does not match.")
        self._check_verifier(code.challenge, args.get("code_verifier", ""))
        code.used = True
        return self.answer_of(code.grant)

    def renew(self, token: str) -> dict[str, Any]:
        """RFC 6749, 6. Raises `OAuthRefusal`."""
        issued = self.tokens.get(token)
        if issued is not None and issued.refresh and issued.spent and self.rules.rotates == "reuse_ends_all":
            issued.grant.ended = True
        if issued is None or not issued.refresh or issued.spent or issued.grant.ended or self._over(issued):
            raise OAuthRefusal(*self.rules.spent)
        issued.grant.renewed += 1
        if self.rules.rotates != "no":
            issued.spent = True
            return self.answer_of(issued.grant)
        return self.answer_of(issued.grant, keeps=token)

    def answer_of(self, grant: Grant, keeps: str | None = None) -> dict[str, Any]:
        """New tokens (RFC 6749, 5.1). `keeps`: the refresh token that stays in force, and is not given again."""
        rules = self.rules
        answer: dict[str, Any] = {
            "access_token": self.issue(grant, rules.access, rules.access_seconds),
            "token_type": "Bearer",
            "expires_in": rules.access_seconds,
        }
        if rules.refresh is not None and keeps is None and rules.refresh_for(grant):
            answer["refresh_token"] = self.issue(grant, rules.refresh, rules.refresh_seconds, refresh=True)
            if rules.refresh_seconds is not None and rules.refresh_ends_name:
                answer[rules.refresh_ends_name] = rules.refresh_seconds
        if rules.scope_in_answer:
            answer["scope"] = rules.separator.join(grant.scopes)
        return answer | rules.more(grant.account)

    def issue(self, grant: Grant, begins: str, seconds: int | None, *, refresh: bool = False) -> str:
        """A new token."""
        token = begins + secrets.token_urlsafe(32).replace("-", "x").replace("_", "y")
        ends = None if seconds is None else self.clock.now() + seconds
        self.tokens[token] = Issued(grant, ends, refresh)
        return token

    def sign_in(self, person: str, scopes: tuple[str, ...]) -> dict[str, Any]:
        """The tokens of a person who signed in and allowed these scopes, without a browser: for tests."""
        return self.answer_of(Grant(person, scopes, self.rules.account(person)))

    def _revoke(self, args: Mapping[str, str]) -> Answer:
        issued = self.tokens.get(args.get("token", ""))
        if issued is not None:
            issued.grant.ended = True
        return Answer(200, b"", "text/plain") if self.rules.revoked is None else json_answer(self.rules.revoked)

    def end(self, person: str) -> int:
        """The person takes the access back at the vendor; returns how many grants ended."""
        grants = {id(one.grant): one.grant for one in self.tokens.values() if one.grant.person == person}
        for grant in grants.values():
            grant.ended = True
        return len(grants)

    def reset(self) -> None:
        self.tokens.clear()
        self.asked.clear()
        self._codes.clear()
        self._limiter.clear()
        self.limited = 0

    # tokens on their way to the stand-in

    def presented(self, token: str) -> str:
        """The token as the stand-in is to see it; one that was not issued here stays as it is."""
        issued = self.tokens.get(token)
        if issued is None:
            return token
        if issued.grant.ended or issued.refresh:
            return f"{issued.grant.account}revoked"
        return f"{issued.grant.account}expired" if self._over(issued) else issued.grant.account

    def present(self, incoming: Incoming, token: str | None, app_secret: str) -> Incoming:
        """The request as the stand-in is to see it."""
        shown = None if token is None else self.presented(token)
        if token is None or shown is None or shown == token:
            return incoming
        query = incoming.query_args()
        proof = query.pop("appsecret_proof", None)
        if proof is not None and proof != hmac.new(app_secret.encode(), token.encode(), hashlib.sha256).hexdigest():
            query["appsecret_proof"] = proof  # wrong for the token that came, so wrong for the account's as well
        if query.get("access_token") == token:
            query["access_token"] = shown
        headers = dict(incoming.headers)
        headers["authorization"] = headers.get("authorization", "").replace(token, shown)
        # Written anew only where something in it changed: some vendors mind how a query is quoted.
        raw = incoming.query if query == incoming.query_args() else urlencode(query)
        return replace(incoming, headers=headers, query=raw)

    # checks

    def _over(self, issued: Issued) -> bool:
        return issued.expires is not None and issued.expires <= self.clock.now()

    def _count(self) -> None:
        self.asked.append(self.clock.now())
        self.came.set()
        if self._limiter.take("tokens"):
            self.limited += 1
            raise OAuthRefusal("slow_down", "Too many requests", 429)

    def _check_client(self, incoming: Incoming, args: Mapping[str, str]) -> None:
        shown = args.get(self.rules.client_id_name), args.get("client_secret")
        if self.rules.basic:
            shown = _basic(incoming.headers.get("authorization", ""))
        if shown != (client_id_of(self.rules.provider), CLIENT_SECRET):
            raise OAuthRefusal("invalid_client", "Client authentication failed", 401)

    def _check_verifier(self, challenge: str, verifier: str) -> None:
        if not challenge:
            return
        digest = hashlib.sha256(verifier.encode())
        right = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
        if not _VERIFIER.fullmatch(verifier) or (digest.hexdigest() if self.rules.pkce_hex else right) != challenge:
            raise OAuthRefusal("invalid_request", "Code verifier or code challenge is invalid")


def _basic(header: str) -> tuple[str | None, str | None]:
    scheme, _, given = header.partition(" ")
    try:
        name, colon, secret = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None, None
    return (unquote(name), unquote(secret)) if scheme.lower() == "basic" and colon else (None, None)


@cache
def _page() -> Template:
    """The consent page's template, compiled when it is first looked at and not for every vendor of every sandbox."""
    pages = Environment(loader=PackageLoader("hermes.sandbox"), autoescape=select_autoescape(default=True))
    return pages.get_template("consent.html.jinja")
