"""What the platforms' checklists say is so: done can be found where they say, exempt has a reason that fits."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import jsonschema
import pytest

from harness.arguments import token_field
from harness.cases import asks_vendor
from hermes.platforms.base import Effect
from hermes.platforms.catalog import AnyPlatform, load_catalog
from hermes.platforms.facts import ITEMS, Reference, load_facts, reference_of, shown
from hermes.platforms.refusals import Refusal

ROOT = Path(__file__).parent.parent.parent
CATALOG = load_catalog()
CURSORS = {"after", "around", "before", "cursor", "next_page", "offset", "page", "page_token", "start"}
"""Names of arguments that say where a page begins."""

PLATFORMS = pytest.mark.parametrize("platform", list(CATALOG), ids=lambda platform: platform.id)


@PLATFORMS
def test_every_item_is_done_or_exempt_with_a_reason(platform: AnyPlatform) -> None:
    checklist = load_facts(platform.id).checklist
    assert list(checklist) == list(ITEMS)
    assert [name for name, item in checklist.items() if not item.exempt and not item.places] == []


@PLATFORMS
def test_the_probe_is_declared(platform: AnyPlatform) -> None:
    assert load_facts(platform.id).checklist["probe"].done
    assert platform.probe_function is not None


@PLATFORMS
def test_limits_are_data_with_their_source(platform: AnyPlatform) -> None:
    item = load_facts(platform.id).checklist["limits"]
    assert (item.exempt is None) == bool(platform.limits)
    sources = {limit.source for limit in platform.limits}
    assert all(source.startswith("https://") for source in sources)
    assert sources >= set(item.places)


@PLATFORMS
def test_the_table_of_errors_is_one_of_refusals(platform: AnyPlatform) -> None:
    item = load_facts(platform.id).checklist["errors"]
    assert item.exempt or item.places
    for place in item.places:
        module, _, name = place.partition(":")
        table = getattr(import_module(module), name)
        refusals = list(table.values()) if isinstance(table, dict) else [entry[-1] for entry in table]
        assert refusals
        assert all(isinstance(refusal, Refusal) and len(refusal.way_out) > 10 for refusal in refusals)


@PLATFORMS
def test_every_cursor_is_listed(platform: AnyPlatform) -> None:
    item = load_facts(platform.id).checklist["paging"]
    cursors = {
        f"{name}.{argument}"
        for name, tool in platform.tools.items()
        for argument in _arguments(platform, name)
        if tool.effect is Effect.READ and argument in CURSORS
    }
    known = {
        f"{name}.{argument}" for name, tool in platform.tools.items() for argument in tool.input_schema["properties"]
    }
    assert cursors <= set(item.places) <= known
    assert (item.exempt is None) == bool(item.places)


def _arguments(platform: AnyPlatform, tool: str) -> list[str]:
    return list(platform.tools[tool].input_schema["properties"])


@PLATFORMS
def test_tokens_that_can_be_refreshed_are(platform: AnyPlatform) -> None:
    item = load_facts(platform.id).checklist["refresh"]
    assert (item.exempt is None) == any(connect.renews for connect in platform.oauth)


@PLATFORMS
def test_a_revoked_credential_is_noticed(platform: AnyPlatform) -> None:
    """Done: the harness revokes the token and sees `needs_reconnect` for every tool."""
    item = load_facts(platform.id).checklist["revoke"]
    tool = next(iter(platform.tools.values()))
    assert item.exempt or (asks_vendor(tool) is None and token_field(platform) is not None)


@PLATFORMS
def test_the_stand_in_stands_in(platform: AnyPlatform) -> None:
    for place in load_facts(platform.id).checklist["sandbox"].places:
        assert import_module(place).stand_in.id == platform.id


@PLATFORMS
def test_the_specification_is_checked_against(platform: AnyPlatform) -> None:
    """Done: `make contract` holds the client's requests against it."""
    checks = "".join(path.read_text() for path in (ROOT / "tests/contract").glob("*.py"))
    assert [place for place in load_facts(platform.id).checklist["contract"].places if place not in checks] == []


@PLATFORMS
def test_the_page_is_there(platform: AnyPlatform) -> None:
    for place in load_facts(platform.id).checklist["docs"].places:
        assert (ROOT / place).exists()


@PLATFORMS
def test_every_tool_has_an_example_that_fits(platform: AnyPlatform) -> None:
    facts = load_facts(platform.id)
    assert set(facts.examples) == set(platform.tools)
    for name, given in facts.examples.items():
        jsonschema.Draft202012Validator(platform.tools[name].input_schema).validate(shown(dict(given)))
        platform.tools[name].validate(shown(dict(given)))


@PLATFORMS
def test_examples_refer_to_tools_that_there_are(platform: AnyPlatform) -> None:
    def references(value: object) -> list[Reference]:
        found = reference_of(value)
        if found is not None:
            return [found]
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [one for item in inner for one in references(item)]

    for given in load_facts(platform.id).examples.values():
        sources = [one.source.partition(".")[0] for one in references(dict(given)) if one.source is not None]
        assert set(sources) <= set(platform.tools)
