"""Linking an account by signing in at its vendor: what each vendor's OAuth 2.0 (RFC 6749) is like, as data.

    oauth=(OAuthConnect("linkedin", title="LinkedIn", authorize_url=…, token_url=…, scopes=(…,)),)

What most vendors do is the default. What one does otherwise is a field; what no field can say is a method that its
platform overrides. Nothing here sends anything: a `VendorRequest` says what is to be sent.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from pydantic import SecretStr

from hermes.platforms.base import ApiContext, RateLimit
from hermes.settings import Settings

MAX_TOKEN: Final = 8192
TOKEN_LIMIT: Final = RateLimit(10, 1, source="no vendor says how often; ten a second leaves room for sign-ins")

_LONGEST_SECONDS: Final = 10**10
_TOKEN = re.compile(r"[!-~]+\Z")
_SCOPES = re.compile(r"[ ,]+")
_LATER: Final = frozenset({"server_error", "temporarily_unavailable", "slow_down"})


class Pkce(StrEnum):
    """How a vendor wants its proof of possession of the code (RFC 7636), if it takes one."""

    NONE = "none"
    S256 = "s256"
    S256_HEX = "s256_hex"
    """The digest as lower-case hex instead of base64url: TikTok."""

    def challenge(self, verifier: str) -> str:
        """What is shown of the verifier (RFC 7636, 4.2); empty for `NONE`."""
        digest = hashlib.sha256(verifier.encode())
        match self:
            case Pkce.NONE:
                return ""
            case Pkce.S256_HEX:
                return digest.hexdigest()
            case Pkce.S256:
                return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()


class Verdict(StrEnum):
    """What a refusal of a vendor's token endpoint says."""

    GRANT_ENDED = "grant_ended"
    """The vendor's own word that the person must sign in again."""
    LATER = "later"
    """The vendor cannot answer now."""
    OUR_FAULT = "our_fault"
    """This hermes is not set up as the vendor wants it; nothing about the account."""


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """hermes as the vendor knows it: `<PROVIDER>_CLIENT_ID` and `<PROVIDER>_CLIENT_SECRET`."""

    id: str
    secret: SecretStr

    def basic(self) -> str:
        """The header of RFC 6749, 2.3.1."""
        return "Basic " + base64.b64encode(f"{self.id}:{self.secret.get_secret_value()}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a vendor gave.

    Attributes:
        access_token: for calls.
        refresh_token: for the next access token; None when the vendor gave none.
        expires_at: when the access token ends; None when it does not, or the vendor does not say.
        refresh_expires_at: likewise the refresh token.
        scopes: as granted, as far as the vendor says.
        answer: all of it, for what only this vendor says.
    """

    access_token: SecretStr
    refresh_token: SecretStr | None = None
    expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    answer: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class VendorRequest:
    """One request to a vendor's OAuth endpoints. Everything in it may be a secret."""

    method: str
    url: str
    query: Mapping[str, str] | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Choice:
    """One account that a sign-in reaches, where it can reach several: a Page, an ad account.

    Attributes:
        id: the vendor's id.
        name: what a person knows it by.
        credentials: the platform's credential fields if this one is chosen. Secret.
    """

    id: str
    name: str
    credentials: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ScopeNeed:
    """What tools cannot do without.

    Attributes:
        scopes: any one of them is enough.
        tools: names of the tools' functions.
        how: how it is got, where allowing it at a new sign-in is not the way.
        concerns: whether an account needs it, by the vendor's id of it as far as that is known; default: every account.
    """

    scopes: tuple[str, ...]
    tools: tuple[str, ...]
    how: str | None = None
    concerns: Callable[[str | None], bool] = lambda _: True

    def scopes_lacking(self, granted: Iterable[str]) -> bool:
        """Whether none of them was granted."""
        return not set(self.scopes).intersection(granted)


Choices = Callable[[ApiContext, Tokens], Awaitable[list[Choice]]]


class NotTokens(Exception):
    """A vendor's answer is a success by its status and has no token that could be one."""


@dataclass(frozen=True)
class OAuthConnect:
    """The account is linked by signing in at the vendor.

    Attributes:
        provider: lower-case id: names the settings `<PROVIDER>_CLIENT_ID`, `_CLIENT_SECRET`, `_OAUTH_BASE_URL`.
        title: whom the person signs in with.
        authorize_url: where the person's browser is sent.
        token_url: where codes and refresh tokens become tokens.
        scopes: what is asked for.
        more_scopes: what is asked for besides where the operator says so: a setting that is `true` → scopes.
        source: the vendor's page that says all this.
        revoke_url: where a token is taken back (RFC 7009); None: the vendor has no such endpoint.
        revoke_by_hand: where the person ends the access themselves.
        pkce: whether and how.
        client_id_name: the parameter's name.
        basic_auth: the client shows itself in the header instead of the body.
        scope_separator: between scopes in the request.
        authorize_extra: further parameters of the authorize request.
        callback_path: where the vendor sends the browser back to; default `/api/connect/<platform>/callback`.
        renews: whether tokens can be renewed without the person.
        rotates: each refresh gives a new refresh token, and the one before ends.
        renew_before: so long before an access token's end it is renewed in the background.
        keeps_scopes: the credentials have a field for the scopes that were granted.
        revokes: which of the credentials' fields is shown when they are taken back, the first one that is there.
        ended: codes of `error` by which the vendor says that the grant has ended.
        limit: how many requests to `token_url` this hermes makes, over all replicas.
        choices: asks which accounts the sign-in reaches; None: it is one account. Of several the person chooses one.
        without_choice: what the person does at the vendor when it reaches none.
        needs: which scopes the platform's tools need, as far as a person may have left them out.
    """

    provider: str
    title: str
    authorize_url: str
    token_url: str
    scopes: tuple[str, ...]
    source: str
    revoke_url: str | None = None
    revoke_by_hand: str = ""
    pkce: Pkce = Pkce.NONE
    client_id_name: str = "client_id"
    basic_auth: bool = False
    scope_separator: str = " "
    authorize_extra: Mapping[str, str] = field(default_factory=dict)
    more_scopes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    callback_path: str = ""
    renews: bool = True
    rotates: bool = False
    renew_before: timedelta = timedelta(minutes=10)
    keeps_scopes: bool = False
    revokes: tuple[str, ...] = ("refresh_token", "access_token")
    ended: frozenset[str] = frozenset({"invalid_grant"})
    limit: RateLimit = TOKEN_LIMIT
    choices: Choices | None = None
    without_choice: str = ""
    needs: tuple[ScopeNeed, ...] = ()

    # where

    def client(self, settings: Settings) -> OAuthClient | None:
        """hermes at this vendor; None when the operator has not registered it there."""
        client_id = settings.platform(self.provider, "CLIENT_ID")
        secret = settings.platform(self.provider, "CLIENT_SECRET")
        return OAuthClient(client_id, SecretStr(secret)) if client_id and secret else None

    def located(self, url: str, settings: Settings) -> str:
        """The URL, at `<PROVIDER>_OAUTH_BASE_URL` if that is set: the sandbox and tests stand there."""
        base = settings.platform(self.provider, "OAUTH_BASE_URL")
        if base is None:
            return url
        at, parts = urlsplit(base.rstrip("/")), urlsplit(url)
        return urlunsplit((at.scheme, at.netloc, at.path + parts.path, parts.query, ""))

    def asked(self, settings: Settings) -> tuple[str, ...]:
        """The scopes that people are asked for on this server."""
        more = [scopes for name, scopes in self.more_scopes.items() if settings.environ.get(name) == "true"]
        return self.scopes + sum(more, ())

    def callback(self, platform_id: str) -> str:
        """The path that the vendor sends the browser back to."""
        return self.callback_path or f"/api/connect/{platform_id}/callback"

    @property
    def takes_back(self) -> bool:
        """Whether the vendor takes tokens back when a program asks it."""
        return self.revoke_url is not None

    # what is sent

    def authorize_location(
        self, client: OAuthClient, settings: Settings, *, state: str, redirect_uri: str, verifier: str
    ) -> str:
        """Where the person's browser goes to sign in (RFC 6749, 4.1.1)."""
        parameters = {
            "response_type": "code",
            self.client_id_name: client.id,
            "redirect_uri": redirect_uri,
            "scope": self.scope_separator.join(self.asked(settings)),
            "state": state,
            **self.authorize_extra,
        }
        if self.pkce is not Pkce.NONE:
            parameters |= {"code_challenge": self.pkce.challenge(verifier), "code_challenge_method": "S256"}
        return f"{self.located(self.authorize_url, settings)}?{urlencode(parameters)}"

    def code_request(self, client: OAuthClient, *, code: str, redirect_uri: str, verifier: str) -> VendorRequest:
        """Turns a code into tokens (RFC 6749, 4.1.3)."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        if self.pkce is not Pkce.NONE:
            form["code_verifier"] = verifier
        return self._as_client(client, self.token_url, form)

    def lengthen_request(self, client: OAuthClient, tokens: Tokens) -> VendorRequest | None:  # noqa: ARG002
        """Turns the first, short token into a long one, where a vendor works like that; None: it does not."""
        return None

    def renew_request(self, client: OAuthClient, renewable: str) -> VendorRequest:
        """Turns a refresh token into new tokens (RFC 6749, 6)."""
        return self._as_client(client, self.token_url, {"grant_type": "refresh_token", "refresh_token": renewable})

    def revoke_request(self, client: OAuthClient, credentials: Mapping[str, Any]) -> VendorRequest | None:
        """Takes the tokens back (RFC 7009, 2.1); None: this vendor cannot, or there is nothing to take back."""
        token = next((credentials[name] for name in self.revokes if credentials.get(name)), None)
        if self.revoke_url is None or token is None:
            return None
        return self._as_client(client, self.revoke_url, {"token": str(token)})

    def _as_client(self, client: OAuthClient, url: str, form: Mapping[str, str]) -> VendorRequest:
        if self.basic_auth:
            return VendorRequest("POST", url, form=form, headers={"Authorization": client.basic()})
        shown = {self.client_id_name: client.id, "client_secret": client.secret.get_secret_value()}
        return VendorRequest("POST", url, form={**form, **shown})

    # what comes back

    def read_tokens(self, answer: Mapping[str, Any], now: datetime) -> Tokens:
        """The tokens of a good answer (RFC 6749, 5.1).

        Raises:
            NotTokens: there is no access token in it.
        """
        access = token_in(answer, "access_token")
        if access is None:
            raise NotTokens
        return Tokens(
            access_token=access,
            refresh_token=token_in(answer, "refresh_token"),
            expires_at=end_of(answer, now, "expires_in"),
            refresh_expires_at=end_of(answer, now, "refresh_expires_in", "refresh_token_expires_in"),
            scopes=scopes_in(answer, "scope"),
            answer=answer,
        )

    def refusal(self, answer: Mapping[str, Any]) -> tuple[str, str] | None:
        """Code and words of a refusal (RFC 6749, 5.2); None when the answer is none.

        Some vendors refuse with status 200, so the status does not count.
        """
        code = answer.get("error")
        if not isinstance(code, str) or not code:
            return None
        described = answer.get("error_description")
        return code[:100], described[:300] if isinstance(described, str) else ""

    def verdict(self, code: str) -> Verdict:
        """What a refusal's code says about the account."""
        if code in self.ended:
            return Verdict.GRANT_ENDED
        return Verdict.LATER if code in _LATER else Verdict.OUR_FAULT

    # what is kept

    def credentials_of(self, tokens: Tokens) -> dict[str, Any]:
        """The platform's credential fields after signing in."""
        return self.renewed({}, tokens)

    def renewed(self, before: Mapping[str, Any], tokens: Tokens) -> dict[str, Any]:
        """The credential fields after a renewal.

        A refresh token that the vendor did not give anew goes on (RFC 6749, 6): it is never replaced by nothing.
        """
        fields = {**before, "access_token": tokens.access_token.get_secret_value(), "expires_at": tokens.expires_at}
        if tokens.refresh_token is not None:
            fields["refresh_token"] = tokens.refresh_token.get_secret_value()
        if self.keeps_scopes and tokens.scopes:
            fields["scopes"] = " ".join(tokens.scopes)
        return fields

    def renewable(self, credentials: Mapping[str, Any]) -> str | None:
        """What a renewal shows the vendor; None: these credentials cannot be renewed."""
        token = credentials.get("refresh_token")
        return str(token) if self.renews and token else None

    def renew_at(self, credentials: Mapping[str, Any], now: datetime) -> datetime | None:
        """When these credentials are to be renewed: in time, but not before half of their life; None: never."""
        ends = self.access_ends(credentials)
        if self.renewable(credentials) is None or ends is None:
            return None
        left = max(ends - now, timedelta(0))
        return now + max(left - self.renew_before, left / 2)

    def access_ends(self, credentials: Mapping[str, Any]) -> datetime | None:
        """When what is renewed ends, by the credentials' own word."""
        return moment(credentials.get("expires_at"))

    def ends_at(self, credentials: Mapping[str, Any], tokens: Tokens) -> datetime | None:
        """When the person must sign in again at the latest; None: not known to end."""
        if self.renewable(credentials) is None:
            return self.access_ends(credentials)
        return tokens.refresh_expires_at

    def at(self, **changes: Any) -> OAuthConnect:
        """The same with other values: tests' vendors."""
        return replace(self, **changes)


def token_in(answer: Mapping[str, Any], name: str) -> SecretStr | None:
    """A token of an answer, if it can be one. An empty one is none."""
    given = answer.get(name)
    if not isinstance(given, str) or len(given) > MAX_TOKEN or _TOKEN.match(given) is None:
        return None
    return SecretStr(given)


def moment(value: Any) -> datetime | None:
    """A moment of stored credentials: ISO 8601, aware."""
    if isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None


def end_of(answer: Mapping[str, Any], now: datetime, *names: str) -> datetime | None:
    """The end that the first of these members, a number of seconds, gives; None: the vendor does not say."""
    for name in names:
        seconds = answer.get(name)
        if isinstance(seconds, str) and seconds.isascii() and seconds.isdigit():
            seconds = int(seconds[:12])
        if isinstance(seconds, int | float) and 0 < seconds < _LONGEST_SECONDS:
            return now + timedelta(seconds=seconds)
    return None


def scopes_in(answer: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Scopes as a vendor lists them: joined by spaces or commas, or as a list."""
    given = answer.get(name)
    if isinstance(given, list):
        given = " ".join(one for one in given if isinstance(one, str))
    return tuple(one for one in _SCOPES.split(given) if one) if isinstance(given, str) else ()
