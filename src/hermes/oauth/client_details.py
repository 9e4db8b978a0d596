"""What a client says of itself, checked: the metadata of RFC 7591, section 2, that matter here. Others are ignored.

Members that only decorate (links, a logo) are left away when they are not acceptable; what decides where answers go or
how the client proves itself is refused.
"""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from hermes.oauth.errors import OAuthError
from hermes.oauth.redirects import check_redirect_uri

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
GrantType = Literal["authorization_code", "refresh_token", "client_credentials"]

PUBLIC: Final = "none"
BASIC: Final = "client_secret_basic"
POST: Final = "client_secret_post"
SIGNED: Final = "private_key_jwt"

UNNAMED: Final = "A program without a name"
_LONGEST_NAME: Final = 100
_LONGEST_URL: Final = 2048
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_KEY_MEMBERS: Final = frozenset({"kty", "crv", "x", "y", "n", "e", "d", "k", "kid", "use", "alg"})
"""Of RFC 7518, 6, and RFC 7517, 4; `d` and `k` are kept only to be noticed."""
_KNOWN_GRANTS: Final = ("authorization_code", "refresh_token", "client_credentials")


def shown_name(text: Any) -> str:
    """A client's name as a person may be shown it: one line without invisible or direction-changing characters, at
    most 100 characters; empty if nothing is left."""
    if not isinstance(text, str):
        return ""
    visible = (" " if char.isspace() else char for char in unicodedata.normalize("NFKC", text[:1000]))
    kept = "".join(char for char in visible if unicodedata.category(char) not in _INVISIBLE)
    return " ".join(kept.split())[:_LONGEST_NAME].rstrip()


def https_or_nothing(url: Any) -> str | None:
    """A link that a person may be shown; none if it is not https, or none that every program reads alike."""
    if not isinstance(url, str) or len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return url if parts.scheme == "https" and parts.hostname and "@" not in parts.netloc else None


def check_keys(jwks: Any) -> Any:
    """A JWK set of public keys, with the members by which signatures are checked and no others.

    Raises:
        ValueError: it is something else.
    """
    if jwks is None:
        return None
    with suppress(JoseError, ValueError, TypeError, KeyError, AttributeError):
        kept = [{name: key[name] for name in _KEY_MEMBERS & key.keys()} for key in jwks["keys"]]
        keys = KeySet.import_key_set({"keys": kept}).keys
        plain = all(isinstance(value, str) for key in kept for value in key.values())
        if plain and 0 < len(keys) <= 10 and all(key.key_type != "oct" and not key.is_private for key in keys):
            return {"keys": kept}
    raise ValueError("must be a JWK set of one to ten public keys")


def _known_grants(grants: Any) -> Any:
    """Grant types that are not given out here are left away, as RFC 7591, 2 allows."""
    return tuple(grant for grant in _KNOWN_GRANTS if grant in grants) if isinstance(grants, list) else grants


def _or_absent(value: Any) -> Any:
    """Clients write `""` for what they do not have."""
    return None if value == "" else value


_RedirectUri = Annotated[str, AfterValidator(check_redirect_uri)]
_Link = Annotated[str | None, BeforeValidator(https_or_nothing)]


class ClientDetails(BaseModel):
    """A client's metadata. What the model does not name is not kept."""

    model_config = ConfigDict(frozen=True)

    client_name: Annotated[str, BeforeValidator(shown_name)] = ""
    redirect_uris: tuple[_RedirectUri, ...] = Field((), max_length=20)
    token_endpoint_auth_method: AuthMethod = BASIC
    grant_types: Annotated[tuple[GrantType, ...], BeforeValidator(_known_grants)] = (
        "authorization_code",
        "refresh_token",
    )
    response_types: tuple[Annotated[str, Field(max_length=64)], ...] = Field(("code",), max_length=10)
    application_type: Annotated[Literal["web", "native"] | None, BeforeValidator(_or_absent)] = None
    scope: Annotated[str | None, Field(max_length=2000), BeforeValidator(_or_absent)] = None
    client_uri: _Link = None
    logo_uri: _Link = None
    policy_uri: _Link = None
    tos_uri: _Link = None
    jwks_uri: Annotated[str | None, BeforeValidator(_or_absent)] = None
    jwks: Annotated[dict[str, Any] | None, BeforeValidator(_or_absent), AfterValidator(check_keys)] = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if "authorization_code" in self.grant_types:
            if not self.redirect_uris:
                raise ValueError("redirect_uris: at least one is needed for authorization_code")
            if "code" not in self.response_types:
                raise ValueError("response_types: must hold code, the only one that there is here")
        elif "client_credentials" not in self.grant_types:
            raise ValueError("grant_types: must hold authorization_code")
        if self.jwks_uri is not None and https_or_nothing(self.jwks_uri) is None:
            raise ValueError("jwks_uri: must be an https URL")
        if self.jwks is not None and self.jwks_uri is not None:
            raise ValueError("jwks and jwks_uri: only one of them may be given")
        if self.token_endpoint_auth_method == SIGNED and self.jwks is None and self.jwks_uri is None:
            raise ValueError("token_endpoint_auth_method: private_key_jwt needs jwks or jwks_uri")
        return self

    @property
    def has_secret(self) -> bool:
        """Whether the client proves itself by a secret that we made."""
        return self.token_endpoint_auth_method in (BASIC, POST)

    def to_json(self) -> dict[str, Any]:
        """The members that say something, ready for JSON."""
        return self.model_dump(mode="json", exclude_none=True)


def check_details(members: Any) -> ClientDetails:
    """A client's metadata from what it sent.

    Args:
        members: the JSON object. A member that is null counts as left away.

    Raises:
        OAuthError: `invalid_redirect_uri` or `invalid_client_metadata` (RFC 7591, 3.2.2), which names the member and
            never repeats its value.
    """
    if not isinstance(members, dict):
        raise OAuthError("invalid_client_metadata", "The metadata must be a JSON object.")
    given = {name: value for name, value in members.items() if value is not None and name in ClientDetails.model_fields}
    try:
        return ClientDetails(**given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    member = str(first["loc"][0]) if first["loc"] else ""
    problem = first["msg"].removeprefix("Value error, ")
    text = f"{member}: {problem}" if member else problem
    of_redirect = text.startswith("redirect_uris")
    raise OAuthError("invalid_redirect_uri" if of_redirect else "invalid_client_metadata", f"{text}.")
