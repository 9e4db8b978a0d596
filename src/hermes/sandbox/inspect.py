"""Looking into the sandbox and steering it: JSON under `/_sandbox/`, a page at `/`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import Any
from urllib.parse import quote

import orjson
from jinja2 import Environment, PackageLoader, Template, select_autoescape
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from hermes.sandbox.base import ActionError, Service, Stage, StandIn
from hermes.sandbox.failures import EXPLAINED, Failure, Failures
from hermes.sandbox.guard import same_origin
from hermes.sandbox.http import account_key

Handler = Callable[[Request, dict[str, Any]], Awaitable[Any]]
PAGE_ROWS = 60
REFRESH_SECONDS = 5
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


class _Advance(BaseModel):
    seconds: float


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    platform: str
    duplicate: bool | None = None
    shuffle: bool | None = None
    batch: bool | None = None


class Inspection:
    """The control routes and the page."""

    def __init__(
        self, stage: Stage, stand_ins: Mapping[str, StandIn], services: Mapping[str, Service], failures: Failures
    ) -> None:
        self._stage = stage
        self._stand_ins = stand_ins
        self._services = services
        self._failures = failures

    def routes(self) -> list[Route]:
        """All routes; those that change something refuse other sites' pages and answer forms with a redirect."""
        reads = {
            "/_sandbox/requests": self._requests,
            "/_sandbox/messages": self._messages,
            "/_sandbox/failures": self._shown_failures,
            "/_sandbox/deliveries": self._deliveries,
            "/_sandbox/platforms": self._platforms,
        }
        writes: list[tuple[str, str, Handler]] = [
            ("/_sandbox/failures", "POST", self._add_failure),
            ("/_sandbox/failures", "DELETE", self._remove_failures),
            ("/_sandbox/failures/clear", "POST", self._remove_failures),
            ("/_sandbox/advance", "POST", self._advance),
            ("/_sandbox/webhooks", "POST", self._order),
            ("/_sandbox/reset", "POST", self._reset),
            ("/_sandbox/account", "POST", self._account),
            ("/_sandbox/end-access", "POST", self._end_access),
            ("/_sandbox/actions/{platform}/{action}", "POST", self._act),
        ]
        return [
            Route("/", self._inspect, methods=["GET"]),
            *(Route(path, _reading(read), methods=["GET"]) for path, read in reads.items()),
            *(Route(path, _writing(write), methods=[method]) for path, method, write in writes),
        ]

    async def _inspect(self, request: Request) -> Response:
        platform = request.query_params.get("platform") or None
        account = request.query_params.get("account") or None
        recorder = self._stage.recorder
        html = _page().render(
            now=self._stage.clock.now(),
            refresh=REFRESH_SECONDS if request.query_params.get("live") else None,
            stand_ins=self._stand_ins,
            services=self._services,
            platform=platform,
            account=account,
            notice=request.query_params.get("notice"),
            said=request.query_params.get("said"),
            kinds=EXPLAINED,
            failures=self._failures.shown(),
            requests=[one.shown() for one in islice(recorder.requests(platform, account), PAGE_ROWS)],
            messages=[one.shown() for one in islice(recorder.messages(platform, account), PAGE_ROWS)],
            deliveries=[
                one.shown()
                for one in islice(reversed(self._stage.webhooks.deliveries), PAGE_ROWS)
                if platform in (None, one.platform)
            ],
            disorder={name: self._stage.webhooks.disorder(name).shown() for name in self._stand_ins},
            webhook_urls=self._stage.options.webhook_urls,
            origin=f"{request.url.scheme}://{request.headers['host']}",
        )
        return HTMLResponse(html, headers=SECURITY_HEADERS)

    def _requests(self, request: Request) -> Any:
        found = self._stage.recorder.requests(*_filter(request))
        return {"requests": [one.shown() for one in islice(found, _limit(request))]}

    def _messages(self, request: Request) -> Any:
        found = self._stage.recorder.messages(*_filter(request))
        return {"messages": [one.shown() for one in islice(found, _limit(request))]}

    def _shown_failures(self, _: Request) -> Any:
        return {"failures": self._failures.shown()}

    def _deliveries(self, request: Request) -> Any:
        shown = [one.shown() for one in reversed(self._stage.webhooks.deliveries)]
        return {"deliveries": shown[: _limit(request)]}

    def _platforms(self, request: Request) -> Any:
        origin = f"{request.url.scheme}://{request.headers['host']}"
        return {
            "platforms": {
                name: {
                    "title": stand_in.title,
                    "base_url": f"{origin}/{name}",
                    "magic": [{"value": one.value, "effect": one.effect} for one in stand_in.magic],
                    "actions": {
                        action.id: [field.name for field in action.fields] for action in self._services[name].actions
                    },
                }
                for name, stand_in in self._stand_ins.items()
            }
        }

    async def _add_failure(self, _: Request, given: dict[str, Any]) -> Any:
        failure = Failure.model_validate(given)
        if failure.platform is not None and failure.platform not in self._services:
            raise ActionError(f"platform: one of {', '.join(self._services)}")
        return {"failure": self._failures.add(failure).shown()}

    async def _remove_failures(self, request: Request, given: dict[str, Any]) -> Any:
        number = given.get("id") or request.query_params.get("id")
        if number is not None and not str(number).isdigit():
            raise ActionError("id: a number")
        return {"removed": self._failures.remove(int(number) if number is not None else None)}

    async def _advance(self, _: Request, given: dict[str, Any]) -> Any:
        seconds = _Advance.model_validate(given).seconds
        try:
            self._stage.clock.advance(seconds)
        except ValueError as error:
            raise ActionError(f"seconds: {error}") from None
        await self._stage.webhooks.idle()
        return {"now": self._stage.clock.now()}

    async def _order(self, _: Request, given: dict[str, Any]) -> Any:
        order = _Order.model_validate(given)
        if order.platform not in self._services:
            raise ActionError(f"platform: one of {', '.join(self._services)}")
        disorder = self._stage.webhooks.disorder(order.platform)
        for name, value in order.model_dump(exclude={"platform"}, exclude_none=True).items():
            setattr(disorder, name, value)
        return {"platform": order.platform, **disorder.shown()}

    async def _reset(self, _request: Request, _given: dict[str, Any]) -> Any:
        self._failures.remove()
        self._stage.recorder.clear()
        self._stage.clock.clear()
        self._stage.webhooks.clear()
        for service in self._services.values():
            service.reset()
            for desk in service.desks:
                desk.reset()
        return {"reset": True}

    async def _account(self, _: Request, given: dict[str, Any]) -> Any:
        service = self._service(given.get("platform"))
        token = str(given.get("token") or "")
        account = service.account(token)
        said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in account.items())
        return {"account": account_key(token), **account, "said": said}

    async def _end_access(self, _: Request, given: dict[str, Any]) -> Any:
        """A person takes hermes's access back at the vendor."""
        desks = self._service(given.get("platform")).desks
        return {"ended": sum(desk.end(str(given.get("person") or "")) for desk in desks)}

    async def _act(self, request: Request, given: dict[str, Any]) -> Any:
        service = self._service(request.path_params["platform"])
        for action in service.actions:
            if action.id == request.path_params["action"]:
                fields = {field.name: str(given.get(field.name) or "").strip() for field in action.fields}
                missing = [field.name for field in action.fields if field.required and not fields[field.name]]
                if missing:
                    raise ActionError(f"{', '.join(missing)}: missing")
                return await action.run(fields)
        raise ActionError(f"action: one of {', '.join(action.id for action in service.actions)}")

    def _service(self, platform: Any) -> Service:
        service = self._services.get(str(platform))
        if service is None:
            raise ActionError(f"platform: one of {', '.join(self._services)}")
        return service


def _reading(read: Callable[[Request], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return _json(read(request))

    return endpoint


def _writing(write: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if not same_origin(request):
            return _json({"error": "only the sandbox's own page may do that"}, 403)
        is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        try:
            result = await write(request, await _given(request, is_form=is_form))
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
            return _refused("; ".join(problems), is_form=is_form)
        except ActionError as error:
            return _refused(str(error), is_form=is_form)
        if not is_form:
            return _json(result)
        said = result.get("said") if isinstance(result, dict) else None
        return RedirectResponse(f"/?said={quote(said)}" if said else "/", 303)

    return endpoint


async def _given(request: Request, *, is_form: bool) -> dict[str, Any]:
    if is_form:
        form = await request.form()
        return {name: value for name, value in form.items() if value != ""}
    body = await request.body()
    if not body:
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ActionError("the body is not JSON") from None
    if not isinstance(value, dict):
        raise ActionError("the body is no JSON object")
    return value


def _refused(message: str, *, is_form: bool) -> Response:
    if is_form:
        return RedirectResponse(f"/?notice={quote(message)}", 303)
    return _json({"error": message}, 400)


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json", headers={"cache-control": "no-store"})


def _filter(request: Request) -> tuple[str | None, str | None]:
    token = request.query_params.get("token")
    account = account_key(token) if token else request.query_params.get("account")
    return request.query_params.get("platform"), account or None


def _limit(request: Request) -> int:
    asked = request.query_params.get("limit", "")
    return int(asked) if asked.isdigit() else 1000


@cache
def _page() -> Template:
    """The page's template, compiled when it is first looked at: that takes longer than all else at the start."""
    pages = Environment(loader=PackageLoader("hermes.sandbox"), autoescape=select_autoescape(default=True))
    pages.filters["clock"] = _clock
    return pages.get_template("inspect.html.jinja")


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S.%f")[:-3]
