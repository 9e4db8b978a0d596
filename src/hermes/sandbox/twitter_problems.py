"""X's refusals, as problem objects (RFC 9457). Source: docs.x.com, "Response codes and errors"."""

from __future__ import annotations

from typing import Any

from hermes.sandbox.http import Answer, json_answer

PROBLEMS = "https://api.x.com/2/problems/"
TITLES = {400: "Invalid Request", 401: "Unauthorized", 402: "CreditsDepleted", 403: "Forbidden", 404: "Not Found",
          413: "Request Entity Too Large", 429: "Too Many Requests", 500: "Internal Server Error",
          503: "Service Unavailable"}  # fmt: skip


class Refused(Exception):
    """A refusal, with the whole body as X gives it."""

    def __init__(self, status: int, body: dict[str, Any], headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(body.get("detail") or body.get("title"))
        self.status = status
        self.body = body
        self.headers = headers

    def answer(self) -> Answer:
        answer = json_answer(self.body, self.status, self.headers)
        answer.content_type = "application/problem+json"
        return answer


def problem(status: int, detail: str, kind: str = "about:blank", **more: Any) -> Refused:
    """A problem whose type is `kind`: a name below X's problems, or about:blank."""
    full = kind if ":" in kind else PROBLEMS + kind
    title = TITLES.get(status, "Error")
    return Refused(status, {"title": title, "detail": detail, "type": full, "status": status} | more)


def invalid(message: str, **parameters: Any) -> Refused:
    """400, naming the parameters."""
    named = {name: [str(value)] for name, value in parameters.items()}
    errors = [{"parameters": named, "message": message}]
    return problem(400, "One or more parameters to your request was invalid.", "invalid-request", errors=errors)


def forbidden(detail: str) -> Refused:
    return problem(403, detail)


def missing(resource: str, parameter: str, value: str) -> dict[str, Any]:
    """What stands in `errors` of a 200 for something that does not exist."""
    return {
        "value": value,
        "detail": f"Could not find {resource} with {parameter}: [{value}].",
        "title": "Not Found Error",
        "resource_type": resource,
        "parameter": parameter,
        "resource_id": value,
        "type": PROBLEMS + "resource-not-found",
    }


def unshown(resource: str, parameter: str, value: str, detail: str) -> dict[str, Any]:
    """What stands in `errors` of a 200 for something that X does not show."""
    return {
        "value": value,
        "detail": detail,
        "title": "Forbidden",
        "resource_type": resource,
        "parameter": parameter,
        "resource_id": value,
        "type": PROBLEMS + ("resource-not-found" if "suspended" in detail else "not-authorized-for-resource"),
    }
