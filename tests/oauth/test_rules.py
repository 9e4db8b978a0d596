"""What strangers send is read or refused, never more; and what people agreed to adds up."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hermes.identity.caller import Access, Grants
from hermes.oauth.client_details import ClientDetails, check_details, https_or_nothing, shown_name
from hermes.oauth.endpoints import read_form
from hermes.oauth.errors import OAuthError
from hermes.oauth.redirects import check_redirect_uri, is_loopback, matching, with_answer
from hermes.oauth.resources import Audience
from hermes.oauth.scopes import ScopeCatalogue, grants_of, scope_text

PLATFORMS = ("email", "obsidian", "telegram")
SCOPES = ScopeCatalogue(PLATFORMS)
ACCESSES: tuple[Access, ...] = ("read", "write")
EVERY = [(platform, access) for platform in PLATFORMS for access in ACCESSES]

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine that runs the tests may have other things to do."""

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
grants = st.frozensets(st.tuples(st.sampled_from([*PLATFORMS, "*"]), st.sampled_from(ACCESSES)), max_size=6).map(Grants)
PARTS = [
    "http",
    "https",
    ":",
    "//",
    "127.0.0.1",
    "localhost",
    "@",
    "\\",
    "/",
    "[::1]",
    "#",
    "?",
    "a.example",
    "80",
    "\n",
    " ",
]
odd_urls = st.text() | st.lists(st.sampled_from(PARTS), max_size=9).map("".join)
odd_forms = st.binary(max_size=200) | st.text(max_size=100).map(
    lambda text: urlencode({"a": text}, errors="replace").encode()
)


@unhurried
@given(st.dictionaries(st.sampled_from(sorted(ClientDetails.model_fields)), anything))
def test_metadata_of_any_kind(members: dict[str, Any]) -> None:
    with suppress(OAuthError):
        details = check_details(members)
        assert check_details(details.to_json()) == details
        assert json.dumps(details.to_json())


@unhurried
@given(anything)
def test_names_are_one_visible_line(text: Any) -> None:
    name = shown_name(text)
    assert len(name) <= 100
    assert name.isprintable()


@unhurried
@given(
    st.binary(max_size=200) | st.text(max_size=100).map(lambda text: urlencode({"a": text}, errors="replace").encode())
)
def test_forms_of_any_kind(body: bytes) -> None:
    with suppress(OAuthError):
        form = read_form(body, None, "192.0.2.1")
        assert "" not in form.members.values()


@unhurried
@given(odd_urls)
def test_odd_redirect_uris(uri: str) -> None:
    with suppress(ValueError):
        assert check_redirect_uri(uri) == uri
        parts = urlsplit(uri)
        assert parts.scheme not in ("javascript", "data", "file", "vbscript", "blob", "about")
        assert parts.scheme != "http" or is_loopback(uri)
        answer = urlsplit(with_answer(uri, {"code": "c\r\n", "state": None}))
        assert (answer.scheme, answer.netloc) == (parts.scheme, parts.netloc)
        assert answer.query.endswith("code=c%0D%0A")
    for registered in ("https://client.example/callback", "http://127.0.0.1/callback"):
        if matching(uri, [registered]) and uri != registered:
            assert urlsplit(uri).hostname == "127.0.0.1"
            assert uri.isprintable()


@unhurried
@given(odd_urls)
def test_odd_resources_and_links(url: str) -> None:
    if Audience("https://gateway.example").accepts(url):
        assert urlsplit(url).hostname == "gateway.example"
    link = https_or_nothing(url)
    assert link is None or link.startswith("https://")


@unhurried
@given(before=grants, asked=grants, ticked=grants)
def test_what_is_agreed_to_after_an_answer(before: Grants, asked: Grants, ticked: Grants) -> None:
    given_ = ticked.both(asked)
    after = SCOPES.after(before, asked, given_)
    for pair in EVERY:
        expected = given_.allow(*pair) if asked.allow(*pair) else before.allow(*pair)
        assert after.allow(*pair) == expected, pair


@unhurried
@given(grants, grants)
def test_what_two_allow(one: Grants, other: Grants) -> None:
    both = one.both(other)
    assert one.covers(both)
    assert other.covers(both)
    for pair in [*EVERY, ("another", "read")]:
        assert both.allow(*pair) == (one.allow(*pair) and other.allow(*pair))


@unhurried
@given(grants)
def test_grants_and_scopes_say_the_same(some: Grants) -> None:
    assert SCOPES.parse(scope_text(some)).grants == some
    assert grants_of(scope_text(some).split()) == some


@pytest.mark.parametrize("word", ["*:read", "all", "all:", ":read", "telegram:admin", "all:read:write", "ALL:READ"])
def test_words_that_are_no_scope(word: str) -> None:
    asked = SCOPES.parse(word)
    assert (asked.grants.pairs, asked.unknown) == (frozenset(), (word,))
