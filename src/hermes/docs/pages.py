"""What a platform's page says from its declaration and its facts: credentials, settings, limits, tools, errors."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, Final, get_args

import orjson
from pydantic import SecretStr

from hermes.docs.words import arguments, cell, code, table
from hermes.errors import InvalidArguments
from hermes.platforms.base import Effect, Env, Tool
from hermes.platforms.catalog import AnyPlatform
from hermes.platforms.facts import Facts, load_facts, shown
from hermes.platforms.oauth import OAuthConnect, Pkce
from hermes.platforms.refusals import Refusal

_EFFECTS: Final = {
    Effect.READ: "reads",
    Effect.SEND: "sends",
    Effect.CREATE: "creates",
    Effect.UPDATE: "changes",
    Effect.DELETE: "deletes",
}
_BY_HAND: Final = "\n## Getting the credential"


def platform_part(platform: AnyPlatform, by_hand: str) -> str:
    """The generated part of a platform's page.

    Args:
        by_hand: the rest of the page; what it explains itself is not repeated.
    """
    facts = load_facts(platform.id)
    parts = [*_credentials(platform, by_hand), *_signing_in(platform), *_settings(platform), *_limits(platform)]
    parts.append("## Tools")
    for tool in platform.tools.values():
        parts.extend(_tool(tool, facts))
    parts.extend(_errors(facts))
    return "\n\n".join(parts)


def _credentials(platform: AnyPlatform, by_hand: str) -> Iterator[str]:
    if _BY_HAND not in by_hand:
        yield "## Getting the credential"
        yield "\n".join(f"{number}. {step}" for number, step in enumerate(platform.connect.steps, 1))
        yield f"More: <{platform.connect.help_url}>"
    fields, choices = platform.credentials.model_fields, platform.connect.choices
    left_out = {} if choices is None else {choices.field: choices.hint}
    if fields:
        yield "## What is linked"
        rows = [
            (
                f"`{name}`" + (f" or `{info.alias}`" if info.alias and info.alias != name else ""),
                "may be left out" if name in left_out else "required" if info.is_required() else "",
                "secret" if _is_secret(info.annotation) else "",
                next((f"`{mark.name}`" for mark in info.metadata if isinstance(mark, Env)), ""),
                cell(info.description or left_out.get(name, "")),
            )
            for name, info in fields.items()
        ]
        yield table(("field", "", "", "for one's own hermes", "meaning"), rows)


def _signing_in(platform: AnyPlatform) -> Iterator[str]:
    """What the operator registers at the vendor, and how long what people allow there lasts."""
    if platform.oauth:
        yield "## Signing in"
        yield (
            "People can link an account by signing in at the vendor, where the operator has registered this hermes as "
            "an app, with the redirect URI below."
        )
    for connect in platform.oauth:
        name = connect.provider.upper()
        rows = [
            ("settings", f"`{name}_CLIENT_ID`, `{name}_CLIENT_SECRET`"),
            ("redirect URI", f"`PUBLIC_URL{connect.callback(platform.id)}`"),
            ("asked for", _listed(connect.scopes)),
            *((f"with `{name}=true` also", _listed(scopes)) for name, scopes in connect.more_scopes.items()),
            ("proof of possession", "none" if connect.pkce is Pkce.NONE else "PKCE, S256"),
            ("renewed", _renewal(connect)),
            ("taken back", "when the account is disconnected" if connect.takes_back else "by the person only"),
            ("by the person", cell(connect.revoke_by_hand)),
            ("source", f"<{connect.source}>"),
        ]
        yield table((f"with {connect.title}", ""), rows)


def _listed(scopes: tuple[str, ...]) -> str:
    return ", ".join(code(scope) for scope in scopes)


def _renewal(connect: OAuthConnect) -> str:
    seconds = connect.renew_before.total_seconds()
    turn = "; each renewal gives a new refresh token" if connect.rotates else ""
    return f"by itself, {_period(seconds).removeprefix('a ')} before its end{turn}"


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))


def _settings(platform: AnyPlatform) -> Iterator[str]:
    if platform.settings:
        yield "## Settings"
        rows = [(f"`{one.name}`", code(one.default), cell(one.description)) for one in platform.settings]
        yield table(("setting", "default", "meaning"), rows)


def _limits(platform: AnyPlatform) -> Iterator[str]:
    if platform.limits:
        yield "## How much the platform allows"
        rows = [
            (
                f"{limit.requests:,} requests in {_period(limit.seconds)}",
                "held back by hermes"
                if limit.enforced
                else "left to the platform, whose refusal says when to come back",
                f"<{limit.source}>",
            )
            for limit in platform.limits
        ]
        yield table(("limit of one account", "how it is kept", "source"), rows)


def _period(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= length and seconds % length == 0:
            number = int(seconds // length)
            return f"a {unit}".replace("a hour", "an hour") if number == 1 else f"{number} {unit}s"
    return f"{seconds:g} seconds"


def _tool(tool: Tool, facts: Facts) -> Iterator[str]:
    yield f"### {tool.name}"
    yield f"{cell(tool.description)}"
    waits = "may take minutes and can run as a task" if tool.long else f"answers within {tool.timeout:g} s"
    yield f"`{tool.rest_method} {tool.rest_path}` · {_EFFECTS[tool.effect]} · {waits}"
    rows = list(arguments(tool.input_schema))
    yield table(("argument", "kind", "default", "meaning"), rows) if rows else "It takes no arguments."
    returned = ", ".join(f"`{name}`" for name in tool.output_schema["properties"])
    yield f"Returns {returned}." if returned else "Returns nothing."
    yield _failures(tool)
    given = facts.examples.get(tool.name.removeprefix(f"{tool.platform}_"))
    if given is not None:
        yield from _examples(tool, shown(dict(given)))


def _failures(tool: Tool) -> str:
    after = (
        "When the platform does not answer clearly the error is `outcome_unknown`, and hermes does not send it again."
        if tool.effect is not Effect.READ and tool.over_http
        else "It changes nothing, so it can be repeated after any error."
        if tool.effect is Effect.READ
        else "After an error nothing was changed, unless the error says so."
    )
    return f"Errors: those [of every tool](../errors.md). {after}"


def _examples(tool: Tool, given: Mapping[str, Any]) -> Iterator[str]:
    call = {"method": "tools/call", "params": {"name": tool.name, "arguments": given}}
    yield f"```json\n{_pretty(call)}\n```"
    yield f"```sh\n{_rest(tool, given)}\n{_cli(tool, given)}\n```"


def _pretty(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _rest(tool: Tool, given: Mapping[str, Any]) -> str:
    key = '-H "Authorization: Bearer $HERMES_API_KEY"'
    if tool.rest_method in ("GET", "DELETE"):
        words = "".join(
            f" \\\n  --data-urlencode {shlex.quote(f'{name}={_text(item)}')}"
            for name, value in given.items()
            for item in (value if isinstance(value, list) else [value])
        )
        how = "-G " if tool.rest_method == "GET" else f"-G -X {tool.rest_method} "
        return f'curl {how}"$HERMES_URL{tool.rest_path}" {key}{words}'
    body = shlex.quote(orjson.dumps(given).decode())
    return (
        f'curl -X {tool.rest_method} "$HERMES_URL{tool.rest_path}" {key} \\\n'
        f"  -H 'Content-Type: application/json' -d {body}"
    )


def _cli(tool: Tool, given: Mapping[str, Any]) -> str:
    words = " ".join(shlex.quote(f"{name}={_text(value)}") for name, value in given.items())
    return f"hermes tools call {tool.name} {words + ' ' if words else ''}--customer CUSTOMER_ID"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _errors(facts: Facts) -> Iterator[str]:
    """The platform's table of refusals, in the words that a caller gets."""
    rows = [row for place in facts.checklist["errors"].places for row in _refusals(place)]
    if rows:
        yield "## What the platform's refusals mean"
        yield table(("code", "error", "what to do"), rows)


def _refusals(place: str) -> Iterator[tuple[str, str, str]]:
    module, _, name = place.partition(":")
    known = getattr(import_module(module), name)
    entries = known.items() if isinstance(known, Mapping) else ((entry[:-1], entry[-1]) for entry in known)
    for key, refusal in entries:
        if isinstance(refusal, Refusal):
            parts = key if isinstance(key, tuple) else (key,)
            said = " ".join(str(part) for part in parts if part not in (None, ""))
            at_fault = f"`{refusal.argument}` " if refusal.argument and refusal.kind is InvalidArguments else ""
            yield f"`{said}`", f"`{refusal.kind.code}`", cell(at_fault + refusal.way_out)
