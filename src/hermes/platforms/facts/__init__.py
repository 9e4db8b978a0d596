"""What is known of a platform beside its declaration: its checklist, and examples of calls. One data file for each.

The docs are written from it, and the harness that every tool must pass reads it. An example is the smallest call of a
tool that shows its use, with arguments as JSON. A value that only the vendor can give is a reference:

    message_id: {from: send_message.message_id, like: wamid.HBgLMTY1MDU1NTEyMzQ}   an earlier call's result gives it
    photo: {file: photo, like: https://example.com/photo.jpg}                     a file of the caller's

`like` is what the docs show in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

ITEMS: Final = ("probe", "limits", "errors", "paging", "refresh", "revoke", "sandbox", "contract", "docs")


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Item(_Data):
    """One item of the checklist: done, with where to look, or exempt, with the reason.

    What `done` holds: probe, refresh, revoke: the vendor's call; limits: the vendor's page; errors: `module:table`;
    paging: `tool.argument` of every cursor; sandbox: the stand-in; contract: the specification; docs: the page.
    """

    done: str | list[str] | None = None
    exempt: str | None = Field(default=None, min_length=20)

    @model_validator(mode="after")
    def _one(self) -> Item:
        if (self.done is None) == (self.exempt is None):
            raise ValueError("give either done or exempt")
        return self

    @property
    def places(self) -> list[str]:
        return [self.done] if isinstance(self.done, str) else self.done or []


class Reference(_Data):
    """A value that an example takes from elsewhere."""

    source: str | None = Field(default=None, alias="from", pattern=r"^[a-z_]+(\.[A-Za-z0-9_]+)+$")
    """`tool.member.0.member` of an earlier call's result on the same account."""
    file: Literal["photo", "video", "document"] | None = None
    like: Any

    @model_validator(mode="after")
    def _one(self) -> Reference:
        if (self.source is None) == (self.file is None):
            raise ValueError("give either from or file")
        return self


class Facts(_Data):
    """One platform's facts.

    Attributes:
        checklist: every item of `ITEMS`.
        forbidden: the vendor's error code for an account that lacks a permission, as the stand-in knows it.
        examples: tool (without the platform) → arguments, with `Reference`s as mappings.
        repeatable: parts of the paths of requests that do no harm when they are sent twice: the vendor addresses what
            they write by offset or part, or they only ask.
        exempt: group of the harness's cases → why it cannot concern this platform.
    """

    checklist: Mapping[str, Item]
    forbidden: int | str = 403
    examples: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    repeatable: Sequence[str] = ()
    exempt: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> Facts:
        if set(self.checklist) != set(ITEMS):
            raise ValueError(f"the checklist has exactly {', '.join(ITEMS)}")
        return self


@cache
def load_facts(platform_id: str) -> Facts:
    """The platform's facts, from `<id>.yaml` beside this file.

    Raises:
        FileNotFoundError: there is no such file.
        pydantic.ValidationError: it is not complete, or something in it is not known.
    """
    text = files(__name__).joinpath(f"{platform_id}.yaml").read_text(encoding="utf-8")
    return Facts.model_validate(yaml.safe_load(text))


def reference_of(value: Any) -> Reference | None:
    """The reference that a value of an example is, if it is one."""
    if isinstance(value, dict) and "like" in value and ("from" in value or "file" in value):
        return Reference.model_validate(value)
    return None


def shown(value: Any) -> Any:
    """An example as a person reads it: what its references stand for in their place."""
    reference = reference_of(value)
    if reference is not None:
        return reference.like
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shown(item) for item in value]
    return value
