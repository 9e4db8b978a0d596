"""The way into a stand-in of the Graph API: version, token, proof, and the answer's headers."""

from __future__ import annotations

import re
from abc import abstractmethod
from datetime import UTC, datetime
from typing import Any, ClassVar

from hermes.sandbox.base import ActionError, Service, Stage
from hermes.sandbox.graph import (
    NEWEST,
    TOKEN,
    GraphCall,
    GraphError,
    arguments,
    check_proof,
    check_token,
    graph_answer,
    graph_failure,
    parameter_error,
    split_version,
    token_in,
)
from hermes.sandbox.http import Answer, Incoming, Upload


class GraphService(Service):
    """A product of the Graph API: subclasses say what its objects are."""

    product: ClassVar[str]
    """Its name in the usage headers."""
    limit_code: ClassVar[int]
    """Its code for a caller that is too fast."""
    token_form: ClassVar[re.Pattern[str]] = TOKEN
    processing_seconds: float = 1.0
    """Simulated time that a video takes from its last byte until it can be seen."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    @abstractmethod
    def number_of(self, token: str) -> str:
        """The id of the account that a token controls."""

    @abstractmethod
    async def route(self, call: GraphCall, files: dict[str, Upload]) -> Any:
        """Do what a call asks; `files` are those of a multipart body.

        Raises:
            GraphError: the vendor's refusal.
        """

    def token_of(self, incoming: Incoming) -> str | None:
        return token_in(incoming)

    async def answer(self, incoming: Incoming) -> Answer:
        version, number = _newest(), "0"
        try:
            version, parts = split_version(incoming.path)
            args, files = await arguments(incoming)
            token = self.check(token_in(incoming), parts)
            number = self.number_of(token)
            check_proof(args, token, self.stage.options.meta_app_secret)
            call = GraphCall(incoming.method, version, parts, token, args, incoming)
            return graph_answer(await self.route(call, files), version, number, product=self.product)
        except GraphError as error:
            return graph_failure(error, version, number, product=self.product)

    def rate_limited(self, retry_after: int | None) -> Answer:
        minutes = None if retry_after is None else max(1, -(-retry_after // 60))
        return graph_failure(GraphError(self.limit_code), _newest(), "0", minutes, self.product)

    def error(self, code: int, message: str | None) -> Answer:
        return graph_failure(GraphError(code, message), _newest(), "0", product=self.product)

    def check(self, token: str | None, about: tuple[str, ...] = ()) -> str:
        """The token, if a call may go on with it. Raises `GraphError`."""
        return check_token(token, about=about, form=self.token_form, limit=self.limit_code)

    def check_form(self, token: str) -> None:
        """Refuse, for people, what is no token of the vendor's form. Raises `ActionError`."""
        if not self.token_form.match(token):
            raise ActionError(f"token: of the form {self.token_form.pattern}")


def graph_time(at: float) -> str:
    """A moment as Graph writes it: without a colon in the offset."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


def moment(given: Any, name: str) -> float:
    """A moment that came as seconds since 1970 or in ISO 8601.

    Raises:
        GraphError: 100.
    """
    text = str(given)
    try:
        return float(text) if text.replace(".", "", 1).isdigit() else datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise parameter_error(f"Param {name} must be a valid timestamp") from None


def truth(given: Any, default: bool) -> bool:  # noqa: FBT001, RUF100  (a default as in `dict.get`)
    """A switch as forms and JSON bring it."""
    return default if given is None else str(given).lower() in ("true", "1")


def _newest() -> str:
    return f"v{NEWEST[0]}.{NEWEST[1]}"
