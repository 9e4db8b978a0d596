"""Switches that make a stand-in fail, per platform and per token."""

from __future__ import annotations

from enum import StrEnum
from itertools import count
from random import Random
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

from hermes.sandbox.http import account_key, mask_token


class FailureKind(StrEnum):
    """How a request fails. `after` in a name: the stand-in acts first, so that the caller cannot know."""

    RATE_LIMIT = "rate_limit"
    SERVER_ERROR = "server_error"
    ERROR = "error"
    ANSWER = "answer"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    CUT_BEFORE = "cut_before"
    CUT_AFTER = "cut_after"
    CUT_BODY = "cut_body"
    MALFORMED = "malformed"
    GIANT = "giant"
    SLOW = "slow"
    HOSTILE = "hostile"


EXPLAINED: dict[FailureKind, str] = {
    FailureKind.RATE_LIMIT: "the vendor's 429, nothing done; retry_after empty: without a hint",
    FailureKind.SERVER_ERROR: "an HTML page with the given status (502), nothing done unless acts is set",
    FailureKind.ERROR: "the vendor's own error of the given code, nothing done",
    FailureKind.ANSWER: "the given status and JSON body, nothing done",
    FailureKind.TIMEOUT_BEFORE: "accepts the request, does nothing, never answers",
    FailureKind.TIMEOUT_AFTER: "does it, never answers",
    FailureKind.CUT_BEFORE: "closes the connection, nothing done",
    FailureKind.CUT_AFTER: "does it, then closes the connection without a byte",
    FailureKind.CUT_BODY: "does it, then closes the connection in the middle of the body",
    FailureKind.MALFORMED: "does it, answers 200 with broken JSON",
    FailureKind.GIANT: "does it, answers with a body of many megabytes",
    FailureKind.SLOW: "does it, answers after a delay",
    FailureKind.HOSTILE: "does it, answers with names and texts that try to mislead whoever reads them",
}


class Failure(BaseModel):
    """One switch. Without `platform` or `token` it concerns all of them; `match` is a part of the request's path,
    which counts as ending in a slash, so that `/add/` is the whole segment and not the beginning of some id."""

    model_config = ConfigDict(extra="forbid")

    kind: FailureKind
    platform: str | None = None
    token: str | None = Field(None, repr=False)
    account: str | None = Field(None, pattern=r"^[0-9a-f]{12}$")
    match: str | None = Field(None, max_length=200)
    times: int | None = Field(1, ge=1, description="how many requests fail; null: until switched off")
    let_pass: int = Field(0, ge=0, description="how many requests that it concerns go well first")
    probability: float = Field(1.0, gt=0, le=1, description="how likely each request that it concerns meets it")
    retry_after: int | None = Field(None, ge=0, le=86_400)
    status: int | None = Field(None, ge=200, le=599)
    acts: bool = False
    code: int | None = None
    message: str | None = Field(None, max_length=1000)
    body: Any = None
    delay: float = Field(2.0, ge=0, le=3600)
    megabytes: int = Field(32, ge=1, le=512)
    _id: int = PrivateAttr(0)

    @field_validator("times", mode="before")
    @classmethod
    def _always(cls, value: Any) -> Any:
        return None if value == "always" else value

    @property
    def concerns(self) -> str | None:
        """The account it is set for, or None."""
        return account_key(self.token) if self.token else self.account

    def shown(self) -> dict[str, Any]:
        """For people and tests, without the token."""
        shown = self.model_dump(exclude={"token"}, exclude_none=True, mode="json")
        return shown | {
            "id": self._id,
            "times": self.times,
            "account": self.concerns,
            "token": mask_token(self.token) if self.token else None,
        }


class Failures:
    """All switches that are on. The first that fits a request is used, and used up when its `times` are over.

    One with a `probability` leaves what it does not meet to the next: several together are random failures of several
    kinds.
    """

    def __init__(self, seed: int | None = None) -> None:
        """`seed`: of the chance by which switches with a `probability` are met; None: another one in each process."""
        self._active: list[Failure] = []
        self._ids = count(1)
        self._chance = Random(seed)  # noqa: S311  (which request fails is no secret)

    def seed(self, seed: int) -> None:
        """Begin the chance anew: the same requests in the same order then meet the same failures."""
        self._chance.seed(seed)

    def add(self, failure: Failure) -> Failure:
        failure._id = next(self._ids)
        self._active.append(failure)
        return failure

    def remove(self, number: int | None = None) -> int:
        """Switch off one, or all; returns how many were on."""
        before = len(self._active)
        self._active = [] if number is None else [one for one in self._active if one.shown()["id"] != number]
        return before - len(self._active)

    def take(self, platform: str, token: str | None, path: str) -> Failure | None:
        """The failure that this request meets, counted as used; None when it meets none."""
        if not self._active:
            return None
        account = account_key(token) if token else None
        for failure in self._active:
            if failure.platform not in (None, platform) or failure.concerns not in (None, account):
                continue
            if failure.match and failure.match.lower() not in f"{path.lower()}/":
                continue
            if failure.let_pass > 0:
                failure.let_pass -= 1
                continue
            if failure.probability < 1 and self._chance.random() >= failure.probability:
                continue
            if failure.times is not None:
                failure.times -= 1
                if failure.times <= 0:
                    self._active.remove(failure)
            return failure
        return None

    def shown(self) -> list[dict[str, Any]]:
        return [failure.shown() for failure in self._active]
