"""LinkedIn's tools for who linked a company page, and what the stand-in knows of organizations."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from hermes.errors import InvalidArguments, NeedsReconnect, PlatformRejected
from hermes.net.upstream import UpstreamResponse
from hermes.platforms.linkedin import linkedin
from hermes.settings import Settings

PAGE = {"access_token": "AQXpartnertokentokentoken", "organization_id": "1337"}


def authors(bench: Any) -> list[str]:
    """As whom posts were made."""
    return [orjson.loads(request.body)["author"] for request in bench.requests()]


async def test_posts_are_made_as_the_page_unless_the_call_names_another(platform_bench: Any) -> None:
    await platform_bench.run(linkedin, PAGE, "create_post", text="Hi")
    platform_bench.journal = type(platform_bench.journal)()
    await platform_bench.run(linkedin, PAGE, "create_post", text="Hi", organization_id="2414183")
    assert authors(platform_bench) == ["urn:li:organization:1337", "urn:li:organization:2414183"]
    assert {request.path for request in platform_bench.requests()} == {"/rest/posts"}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("create_post", {"text": "Hi"}), ("upload_video", {"video": "media_a", "text": "Hi"})],
)
async def test_a_page_has_no_connections(platform_bench: Any, name: str, arguments: dict[str, Any]) -> None:
    error = await platform_bench.refused(linkedin, PAGE, name, visibility="CONNECTIONS", **arguments)
    assert (type(error), error.data["fields"][0]["field"]) == (InvalidArguments, "visibility")
    assert platform_bench.requests() == []


async def test_the_profile_stays_the_members(platform_bench: Any) -> None:
    me = await platform_bench.run(linkedin, PAGE, "get_profile")
    assert me["name"].startswith("Sandbox Member")


async def test_probing_says_which_page_it_is(platform_bench: Any) -> None:
    account = await platform_bench.probe(linkedin, PAGE)
    assert (account.id, account.name) == ("urn:li:organization:1337", "Sandbox Company 1337")
    unnamed = await platform_bench.probe(linkedin, {**PAGE, "access_token": "AQXtokentokentokentoken"})
    assert (unnamed.id, unnamed.name) == ("urn:li:organization:1337", "Organization 1337")
    with pytest.raises(NeedsReconnect):
        await platform_bench.probe(linkedin, {**PAGE, "access_token": "AQXexpiredtokentoken"})


@pytest.mark.parametrize(
    ("credentials", "known"),
    [
        ({**PAGE, "organization_id": "5005"}, False),
        ({**PAGE, "organization_id": "6006"}, False),
        ({**PAGE, "organization_id": "4711"}, False),
        ({**PAGE, "scopes": "openid profile w_member_social"}, True),
        ({**PAGE, "access_token": "AQXtokentokentokentoken"}, False),
    ],
    ids=["analyst", "requested", "stranger", "scope-known", "scope-unknown"],
)
async def test_who_may_not_post_for_a_page_is_told_what_is_missing(
    platform_bench: Any, credentials: dict[str, str], known: bool
) -> None:
    error = await platform_bench.refused(linkedin, credentials, "create_post", text="Hi")
    assert type(error) is PlatformRejected
    assert (error.data["missing_scope"], error.data["product"]) == (
        "w_organization_social",
        "Community Management API",
    )
    assert (platform_bench.requests() == []) is known
    assert list(platform_bench.sandbox.recorder.messages()) == []


def test_the_operators_own_page_is_named_in_the_environment() -> None:
    environ = {"LINKEDIN_ACCESS_TOKEN": "AQXtokentoken", "LINKEDIN_ORGANIZATION_ID": "1337"}
    (account,) = linkedin.environ_accounts(Settings(environ=environ)).values()
    assert account.organization_id == "1337"
    with pytest.raises(ValidationError):
        linkedin.environ_accounts(Settings(environ=environ | {"LINKEDIN_ORGANIZATION_ID": "urn:li:organization:1337"}))


async def ask(bench: Any, path: str, token: str = "AQXpartnertokentokentoken") -> UpstreamResponse:
    """Ask the stand-in for roles or names, as the vendor's documentation says."""
    api = bench.open(linkedin, {"access_token": token}, write=False)
    headers = {"LinkedIn-Version": "202609", "X-Restli-Protocol-Version": "2.0.0", **api.authorization()}
    return await bench.http.request("GET", f"{api.context.base_url}/rest/{path}", headers=headers)


async def test_the_stand_in_finds_roles_as_linkedin_does(platform_bench: Any) -> None:
    found = (await ask(platform_bench, "organizationAcls?q=roleAssignee&state=APPROVED&start=0&count=2")).json()
    assert [(one["organization"], one["role"]) for one in found["elements"]] == [
        ("urn:li:organization:1337", "ADMINISTRATOR"),
        ("urn:li:organization:1337", "ANALYST"),
    ]
    assert found["paging"]["links"][0]["rel"] == "next"
    revoked = (await ask(platform_bench, "organizationAcls?q=roleAssignee&state=REVOKED")).json()
    assert [(one["organization"], one["state"]) for one in revoked["elements"]] == [
        ("urn:li:organization:7007", "REVOKED")
    ]


@pytest.mark.parametrize(
    ("path", "token", "status", "code"),
    [
        ("organizationAcls?q=organization", "AQXpartnertoken", 400, "ILLEGAL_ARGUMENT"),
        ("organizationAcls?q=roleAssignee&role=OWNER", "AQXpartnertoken", 400, "ILLEGAL_ARGUMENT"),
        ("organizationAcls?q=roleAssignee", "AQXtokentoken", 403, "ACCESS_DENIED"),
        ("organizationsLookup?ids=List(1337)", "AQXtokentoken", 403, "ACCESS_DENIED"),
        ("organizationsLookup?ids=1337", "AQXpartnertoken", 400, "ILLEGAL_ARGUMENT"),
        ("organizationsLookup?ids=List(1337)", "AQXexpiredtoken", 401, "EXPIRED_ACCESS_TOKEN"),
    ],
)
async def test_the_stand_in_refuses_as_linkedin_does(
    platform_bench: Any, path: str, token: str, status: int, code: str
) -> None:
    answer = await ask(platform_bench, path, token)
    assert (answer.status, answer.json()["code"]) == (status, code)
