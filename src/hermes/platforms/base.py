"""What a platform and a tool are: the one declaration from which everything else is derived (design.md, section 1).

telegram = Platform("telegram", title="Telegram", credentials=TelegramCredentials, base_url="https://api.telegram.org",
                    connect=PasteToken(...), open=TelegramApi, limits=(RateLimit(...),))

@telegram.probe
async def probe(api: TelegramApi) -> Account: ...

@telegram.tool(Effect.SEND, rest="POST /message")
async def send_message(api: TelegramApi, chat_id: ChatId, text: Text4096) -> SentMessage:
    \"\"\"Send a text message to a chat.\"\"\"
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar, get_type_hints

import orjson
from pydantic import BaseModel, ConfigDict, SecretStr, create_model

from hermes.net.upstream import BoundUpstream
from hermes.platforms.content import Content
from hermes.platforms.context import ToolContext
from hermes.platforms.documents import Documents
from hermes.platforms.onboarding import Onboarding
from hermes.platforms.ports import Ports
from hermes.platforms.schema import Schema, input_schema, output_schema, without_member
from hermes.settings import Settings

if TYPE_CHECKING:
    from hermes.platforms.oauth import OAuthConnect
    from hermes.platforms.pasting import FieldChoices

DEFAULT_ACCOUNT = "default"
"""The label of a customer's first account on a platform."""


class Effect(StrEnum):
    """What a tool does to the account. Gives the MCP hints, the quota class, and whether a retry is safe."""

    READ = "read"
    SEND = "send"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"

    @property
    def access(self) -> Literal["read", "write"]:
        return "read" if self is Effect.READ else "write"


class Redaction(StrEnum):
    """How an argument appears in the audit trail (contract.md). A string without a mark is treated as TEXT."""

    PLAIN = "plain"
    RECIPIENT = "recipient"
    TEXT = "text"


Plain = Annotated[str, Redaction.PLAIN]
"""A name or an id: audited as it is."""

Recipient = Annotated[str, Redaction.RECIPIENT]
"""Who a message goes to: audited as its last four characters."""


class Credentials(BaseModel):
    """The secret of one linked account. Secrets are `SecretStr`; `Env` marks give the names for single-user mode.

    Accepts camelCase aliases and snake_case names alike; unknown members are refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True)

    def to_json(self) -> bytes:
        """The plaintext that is encrypted: secrets revealed, by field name."""
        return orjson.dumps(_reveal(self.model_dump()))


def _reveal(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return {key: _reveal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_reveal(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Env:
    """Marks a credential's field with the environment variable that holds it in single-user mode."""

    name: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of one platform, beside the common `<PLATFORM>_API_BASE_URL`, `_CLIENT_ID`, `_CLIENT_SECRET`."""

    name: str
    default: str
    description: str


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What the vendor allows per account.

    Attributes:
        requests: how many requests in the period.
        seconds: the period's length.
        source: the vendor's page that says so.
        enforced: whether hermes holds calls back itself (True), or leaves it to the vendor's own 429 (False: the
            vendor's numbers are adaptive, or its answers are cheap and say when to come back).
    """

    requests: int
    seconds: float
    source: str
    enforced: bool = True


@dataclass(frozen=True, slots=True)
class PasteToken:
    """The account is linked by pasting credentials that the person got from the vendor."""

    help_url: str
    steps: tuple[str, ...]
    """How to get the credentials, one step each."""
    choices: FieldChoices | None = None
    """The field that says which account is meant, where it may be left out."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a credential belongs to, as the vendor says when it is probed.

    Attributes:
        id: the vendor's id of the account.
        name: what a person would recognise it by.
        scopes: what the credential may do, if the vendor says so.
        expires_at: when the credential ends, if it does.
        routing_id: the id that inbound webhooks name (WhatsApp's phone number id). Only one customer can hold it.
        shared_id: the vendor's id of what other accounts may live by too, where onboarding sets something up for it.
    """

    id: str
    name: str | None = None
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    routing_id: str | None = None
    shared_id: str | None = None


@dataclass(frozen=True, slots=True)
class ApiContext:
    """What a platform's API object gets for one call: bound to one customer's one account.

    Attributes:
        customer_id: the tenant (or `operator` in single-user mode). The only source of it; never an argument.
        account: the label of the account.
        http: the client for this platform, bound to the tool's effect and deadline.
        base_url: the platform's API, without a trailing slash.
    """

    customer_id: str
    account: str
    http: BoundUpstream
    base_url: str
    settings: Settings
    ports: Ports

    def setting(self, declared: Setting) -> str:
        return self.settings.environ.get(declared.name) or declared.default


C = TypeVar("C", bound=Credentials)
A = TypeVar("A")
ToolFunction = Callable[..., Awaitable[BaseModel]]
F = TypeVar("F", bound=ToolFunction)
First = Callable[[ToolContext, BaseModel], Awaitable[object]]


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """One thing an assistant can do on a platform. Built by `Platform.tool`, never by hand.

    Attributes:
        name: the MCP name, `{platform}_{function}`.
        rest_path: the full REST path, `/api/<platform>/…`.
        input_schema: closed JSON Schema 2020-12 of the arguments, without `account`.
        output_schema: JSON Schema of the result.
        structured_schema: of its data: the same, without the blocks of a `Content`; None when nothing is left.
        redactions: argument name → how it is audited.
        timeout: seconds until the call is given up.
        over_http: whether everything it does is requests to the platform's API (not files, not mail).
        open_world: whether it touches a world of other people.
        long: it may take minutes; its steps are kept, and it can run as a task.
        task_only: it runs as a task or not at all.
        first: asks what has to be known before it is begun.
    """

    name: str
    platform: str
    title: str
    description: str
    effect: Effect
    rest_method: str
    rest_path: str
    input_schema: Schema
    output_schema: Schema
    structured_schema: Schema | None
    redactions: Mapping[str, Redaction]
    timeout: float
    over_http: bool
    open_world: bool
    long: bool
    arguments_model: type[BaseModel]
    function: ToolFunction = field(repr=False)
    wants_context: str | None = None
    task_only: bool = False
    first: First | None = None

    @property
    def shows_blocks(self) -> bool:
        """Whether its result is a `Content`."""
        return self.structured_schema is not self.output_schema

    def validate(self, arguments: Mapping[str, Any]) -> BaseModel:
        """Check arguments strictly, as JSON.

        Raises:
            pydantic.ValidationError: with one entry per wrong field.
        """
        return self.arguments_model.model_validate_json(orjson.dumps(arguments), strict=True)

    def validate_query(self, query: Mapping[str, Any]) -> BaseModel:
        """Check arguments that came as strings of a query (lists as lists of strings). Raises as `validate`."""
        if any(isinstance(value, list) for value in query.values()):
            # Pydantic's reading of strings knows no lists; its lax reading does, and takes strings for numbers as well.
            return self.arguments_model.model_validate(dict(query), strict=False)
        return self.arguments_model.model_validate_strings(dict(query))

    async def run(self, api: Any, arguments: BaseModel, context: ToolContext) -> dict[str, Any]:
        """Run the tool on an opened API object; returns the JSON-ready result, which fits `output_schema`."""
        given = {name: getattr(arguments, name) for name in self.arguments_model.model_fields}
        if self.wants_context is not None:
            given[self.wants_context] = context
        result = await self.function(api, **given)
        return result.model_dump(mode="json", exclude_none=True, by_alias=True)


Probe = Callable[[Any], Awaitable[Account]]


class Platform(Generic[C, A]):
    """One of the services, and its tools. See the module's docstring for how a platform's file reads."""

    def __init__(
        self,
        platform_id: str,
        *,
        title: str,
        credentials: type[C],
        connect: PasteToken,
        oauth: Sequence[OAuthConnect] = (),
        open: Callable[[ApiContext, C], A],  # noqa: A002  (reads as the verb it is where platforms are declared)
        base_url: str = "",
        limits: tuple[RateLimit, ...] = (),
        settings: tuple[Setting, ...] = (),
        onboarding: Onboarding | None = None,
        accounts_from_environ: Callable[[Settings], Mapping[str, C]] | None = None,
        check_settings: Callable[[Settings], None] | None = None,
        open_world: bool = True,
        probe_costs: str | None = None,
    ) -> None:
        """Declare a platform.

        Args:
            platform_id: lower-case id, first part of every tool's name.
            title: the service's name as people write it.
            credentials: the model of one account's secret.
            connect: how an account is linked by pasting what the person got from the vendor.
            oauth: how it is linked by signing in at the vendor, where that can be; one for each vendor.
            open: makes the API object that tools get first, from the call's context and the account's secret.
            base_url: the vendor's API (`<PLATFORM>_API_BASE_URL` overrides it); empty when there is none.
            limits: what the vendor allows per account.
            settings: further settings of this platform.
            onboarding: what has to be set up at the vendor before an account can do everything.
            accounts_from_environ: label → credentials of single-user mode; default: the fields' `Env` marks, as one
                account called `default`.
            check_settings: called at start; raises `SettingsError` when the platform cannot work with them.
            open_world: whether its tools touch a world of other people (MCP's openWorldHint).
            probe_costs: what the vendor takes for the probe, if it does: then it is made only when somebody asks.
        """
        self.id = platform_id
        self.title = title
        self.credentials = credentials
        self.connect = connect
        self.oauth = tuple(oauth)
        self.open = open
        self.base_url = base_url
        self.limits = limits
        self.settings = settings
        self.onboarding = onboarding
        self.tools: dict[str, Tool] = {}
        self.probe_function: Probe | None = None
        self.documents: Documents | None = None
        self.unlisted: dict[str, Tool] = {}
        self._accounts_from_environ = accounts_from_environ
        self._check_settings = check_settings
        self.open_world = open_world
        self.probe_costs = probe_costs

    def probe(self, function: Callable[[A], Awaitable[Account]]) -> Callable[[A], Awaitable[Account]]:
        """Register the cheap call that proves a credential works and says whose it is."""
        self.probe_function = function
        return function

    def tool(
        self,
        effect: Effect,
        *,
        rest: str,
        title: str | None = None,
        timeout: float = 30.0,
        long: bool = False,
        task_only: bool = False,
        first: First | None = None,
    ) -> Callable[[F], F]:
        """Declare a tool: its name, schemas, description and redactions come from the function itself.

        Args:
            effect: what the tool does to the account.
            rest: method and path below `/api/<platform>`, for example `POST /message`.
            title: name for people; default from the function's name.
            timeout: seconds until the call is given up.
            long: it may take minutes (uploads): its steps are kept, and clients that can get a task instead of waiting.
            task_only: a long tool that nobody could wait for: clients that know no tasks are told so.
            first: for a long tool, asks (`ToolContext.ask`) what has to be known before the call is begun; the tool
                finds the answers by asking the same.
        """

        def register(function: F) -> F:
            tool = _build_tool(self, function, effect, rest, title, timeout, long=long)
            tool = replace(tool, task_only=task_only, first=first)
            self.tools[function.__name__] = tool
            return function

        return register

    def document(self, scheme: str, *, read: str, title: str, description: str, media_type: str) -> Callable[[F], F]:
        """Declare that clients can read texts of an account by address; the function lists the last changed ones.

        Args:
            read: the function of the tool that reads one, declared before.
            scheme, title, description, media_type: as in `Documents`.
        """

        def register(function: F) -> F:
            recent = _build_tool(self, function, Effect.READ, "GET /", None, 30.0, long=False)
            self.unlisted[recent.name] = recent
            self.documents = Documents(scheme, title, description, media_type, self.tools[read].name, recent.name)
            return function

        return register

    def check_settings(self, settings: Settings) -> None:
        """Refuse settings that the platform cannot work with.

        Raises:
            SettingsError: names the setting and the remedy.
        """
        if self._check_settings is not None:
            self._check_settings(settings)

    def api_base_url(self, settings: Settings) -> str:
        return (settings.platform(self.id, "API_BASE_URL") or self.base_url).rstrip("/")

    def sign_in(self, provider: str | None) -> OAuthConnect | None:
        """How an account is linked by signing in; None when it cannot be, or not at that vendor.

        Args:
            provider: which of several vendors; None for the first.
        """
        return next((one for one in self.oauth if provider in (None, one.provider)), None)

    def environ_accounts(self, settings: Settings) -> Mapping[str, C]:
        """The operator's own accounts of single-user mode: label → credentials; empty when none is set.

        Raises:
            pydantic.ValidationError: some variables of an account are set, but not all or not well.
        """
        if self._accounts_from_environ is not None:
            return self._accounts_from_environ(settings)
        names = {
            name: mark.name
            for name, info in self.credentials.model_fields.items()
            for mark in info.metadata
            if isinstance(mark, Env)
        }
        values = {
            name: settings.environ[variable] for name, variable in names.items() if settings.environ.get(variable)
        }
        return {DEFAULT_ACCOUNT: self.credentials.model_validate(values)} if values else {}


def _build_tool(
    platform: Platform[Any, Any],
    function: ToolFunction,
    effect: Effect,
    rest: str,
    title: str | None,
    timeout: float,
    *,
    long: bool,
) -> Tool:
    name = f"{platform.id}_{function.__name__}"
    hints = get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    wants_context = next((p.name for p in parameters if hints[p.name] is ToolContext), None)
    fields: dict[str, Any] = {
        p.name: (hints[p.name], ... if p.default is inspect.Parameter.empty else p.default)
        for p in parameters
        if p.name != wants_context
    }
    model = create_model(
        f"{name}_arguments", __config__=ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True), **fields
    )
    result = hints["return"]
    method, path = rest.split(" ")
    schema = output_schema(result)
    return Tool(
        name=name,
        platform=platform.id,
        title=title or function.__name__.replace("_", " ").capitalize(),
        description=_first_paragraph(function),
        effect=effect,
        rest_method=method,
        rest_path=f"/api/{platform.id}{path}",
        input_schema=input_schema(model),
        output_schema=schema,
        structured_schema=without_member(schema, "content") if issubclass(result, Content) else schema,
        redactions={field_name: _redaction(hints[field_name]) for field_name in fields},
        timeout=timeout,
        over_http=bool(platform.base_url),
        open_world=platform.open_world,
        long=long,
        arguments_model=model,
        function=function,
        wants_context=wants_context,
    )


def _first_paragraph(function: ToolFunction) -> str:
    text = inspect.getdoc(function)
    if not text:
        raise TypeError(f"{function.__name__} needs a docstring: its first paragraph is what the model reads")
    return " ".join(text.split("\n\n")[0].split())


def _redaction(hint: Any) -> Redaction:
    """The mark on an argument's type, also below `| None`; without one: text."""
    for part in (hint, *getattr(hint, "__args__", ())):
        for mark in getattr(part, "__metadata__", ()):
            if isinstance(mark, Redaction):
                return mark
    return Redaction.TEXT
