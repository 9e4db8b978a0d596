"""What accounts lack is said in words, with the tools that cannot work and the way out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hermes.connections.missing import missing_of, needs_person
from hermes.connections.models import Connection, Status
from hermes.platforms.catalog import load_catalog
from hermes.settings import Settings, load_settings

CATALOG = load_catalog()
X = Connection("cus_a", "twitter", "default", Status.CONNECTED, provider="twitter")


@pytest.fixture
def settings() -> Settings:
    return load_settings({"TWITTER_CLIENT_ID": "id", "TWITTER_CLIENT_SECRET": "secret"}, env_file=None)


@pytest.mark.parametrize("platform", CATALOG, ids=lambda platform: platform.id)
def test_what_is_asked_for_at_sign_in_is_what_the_tools_need(platform, settings) -> None:
    for connect in platform.oauth:
        named = {tool for need in connect.needs for tool in need.tools}
        assert named <= set(platform.tools)
        allowed = replace(X, platform=platform.id, provider=connect.provider, scopes=connect.scopes)
        lacking = [item for item in missing_of(platform, allowed, settings) if item["kind"] == "scopes"]
        not_asked = [need for need in connect.needs if need.scopes_lacking(connect.scopes)]
        assert all(need.how for need in not_asked), "else asking would help"
        assert len(lacking) == len([need for need in not_asked if need.concerns(None)])


def test_a_permission_that_was_left_out_is_named_with_its_tools(settings: Settings) -> None:
    account = replace(X, scopes=("tweet.read", "users.read", "tweet.write", "offline.access"))
    missing = missing_of(CATALOG.platforms["twitter"], account, settings)
    assert [(item["kind"], item["scopes"], item["tools"]) for item in missing] == [
        ("scopes", ["media.write"], ["twitter_upload_video"])
    ]
    assert "twitter_upload_video cannot work" in missing[0]["message"]
    assert needs_person(account, missing)


def test_where_it_is_not_known_what_was_allowed_nothing_is_claimed(settings: Settings) -> None:
    missing = missing_of(CATALOG.platforms["twitter"], X, settings)
    assert (missing, needs_person(X, missing)) == ([], False)
    assert needs_person(replace(X, status=Status.EXPIRING), missing)


def test_a_server_that_cannot_renew_says_what_its_operator_must_set() -> None:
    (item,) = missing_of(CATALOG.platforms["twitter"], X, load_settings({}, env_file=None))
    assert (item["kind"], "TWITTER_CLIENT_ID" in item["message"]) == ("setting", True)
    assert not needs_person(X, [item]), "the account's owner cannot help that"


def test_posting_as_a_page_needs_a_permission_of_its_own(settings: Settings) -> None:
    linkedin = CATALOG.platforms["linkedin"]
    as_member = replace(X, platform="linkedin", provider=None, external_id="S1", scopes=linkedin.oauth[0].scopes)
    as_page = replace(as_member, external_id="urn:li:organization:1337")
    posting = {"linkedin_create_post", "linkedin_upload_video"}
    assert not [item for item in missing_of(linkedin, as_member, settings) if posting & set(item["tools"])]
    (item,) = [item for item in missing_of(linkedin, as_page, settings) if posting & set(item["tools"])]
    assert (item["scopes"], set(item["tools"])) == (["w_organization_social"], posting)
    assert "LINKEDIN_ORGANIZATIONS" in item["message"]
    allowed = replace(as_page, scopes=("openid", "w_organization_social"))
    assert not [item for item in missing_of(linkedin, allowed, settings) if posting & set(item["tools"])]
