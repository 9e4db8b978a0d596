"""What a stand-in is: one module of this package that defines `stand_in = StandIn(…)`. Nothing else lists it."""

from __future__ import annotations

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from hermes.sandbox.clock import Clock
from hermes.sandbox.failures import Failure
from hermes.sandbox.http import Answer, Incoming, html_error, json_answer
from hermes.sandbox.oauth import OAuthDesk, OAuthRules
from hermes.sandbox.options import SandboxOptions
from hermes.sandbox.recorder import Message, Recorder
from hermes.sandbox.webhooks import Webhooks

DEFAULT_MAX_BODY = 128 * 1024 * 1024
FRONT_SERVER_REASONS = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Time-out"}


class ActionError(ValueError):
    """An action's input does not fit; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What every stand-in is given."""

    options: SandboxOptions
    clock: Clock
    recorder: Recorder
    webhooks: Webhooks

    def note(
        self, platform: str, token: str, direction: str, account: str, peer: str, kind: str, text: str, number: str,
        status: str,
    ) -> Message:  # fmt: skip
        """Show a message on the inspection page; returns it so that its status can be changed later."""
        at = self.clock.now()
        return self.recorder.message(Message(at, platform, token, direction, account, peer, kind, text, number, status))


@dataclass(frozen=True, slots=True)
class Field:
    """One input of an action's form."""

    name: str
    label: str
    example: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True)
class Action:
    """Something a person can do on the platform's side. `run` takes the fields as text and returns JSON."""

    id: str
    title: str
    fields: Sequence[Field]
    run: Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Magic:
    """A documented input that makes the stand-in behave in a special way."""

    value: str
    effect: str


class Service(ABC):
    """A running stand-in with the state of its accounts, each of which is one token."""

    max_body: int = DEFAULT_MAX_BODY
    actions: Sequence[Action] = ()
    desks: Sequence[OAuthDesk] = ()
    """Where people sign in at this vendor; set once when the sandbox is built."""

    @abstractmethod
    def token_of(self, incoming: Incoming) -> str | None:
        """The token that the request brings, whether valid or not."""

    @abstractmethod
    async def answer(self, incoming: Incoming) -> Answer:
        """Do what the request asks and answer as the vendor would."""

    @abstractmethod
    def rate_limited(self, retry_after: int | None) -> Answer:
        """The vendor's answer to a caller that is too fast; None: without a hint when to come back."""

    @abstractmethod
    def error(self, code: int, message: str | None) -> Answer:
        """The vendor's error of that code, with its usual text if `message` is None."""

    @abstractmethod
    def account(self, token: str) -> dict[str, Any]:
        """The ids that follow from a token.

        Raises:
            ActionError: the token is not of the vendor's form.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget all accounts."""

    def desk_for(self, path: str) -> OAuthDesk | None:
        """The vendor's OAuth, if the path is one of its."""
        return next((desk for desk in self.desks if desk.handles(path)), None)

    def presented(self, token: str) -> str:
        """A token as the stand-in knows accounts, whatever was issued for it."""
        for desk in self.desks:
            token = desk.presented(token)
        return token

    async def close(self) -> None:
        """Close what the stand-in opened beside the sandbox's own server."""
        return

    def too_large(self) -> Answer:
        return html_error(413, "Request Entity Too Large")

    def refusal(self, failure: Failure) -> Answer:
        """The answer of a switch that answers instead of acting: rate_limit, error, answer or server_error."""
        if failure.kind == "rate_limit":
            return self.rate_limited(failure.retry_after)
        if failure.kind == "error":
            return self.error(failure.code or 0, failure.message)
        if failure.kind == "answer":
            return json_answer(failure.body, failure.status or 400)
        status = failure.status or 502
        return html_error(status, FRONT_SERVER_REASONS.get(status, "Error"))


@dataclass(frozen=True, slots=True)
class StandIn:
    """The declaration of a stand-in.

    Attributes:
        id: the platform's id; also the path it is mounted under.
        create: makes the running service.
        magic: documented tokens, recipients and the like that change its behaviour.
        demo: credentials of an account to begin with, by the platform's own field names.
        oauth: how people sign in there.
        desk: what serves that.
    """

    id: str
    title: str
    create: Callable[[Stage], Service] = field(repr=False)
    magic: Sequence[Magic] = ()
    demo: Mapping[str, str] = field(default_factory=dict, repr=False)
    oauth: Sequence[OAuthRules] = ()
    desk: type[OAuthDesk] = OAuthDesk


def discover() -> dict[str, StandIn]:
    """Every stand-in of this package, by id: its modules are imported and those with a `stand_in` are taken."""
    package = import_module("hermes.sandbox")
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    modules = [import_module(f"hermes.sandbox.{name}") for name in names]
    found = [module.stand_in for module in modules if isinstance(getattr(module, "stand_in", None), StandIn)]
    return {stand_in.id: stand_in for stand_in in found}
