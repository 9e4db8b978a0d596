"""The parts of our OpenAPI documents: one tool's operation, the error answer, how to say who you are."""

from __future__ import annotations

from typing import Any, Final

from hermes.platforms.base import Effect, Tool
from hermes.transports.rest import IN_QUERY

Document = dict[str, Any]

SECURITY: Final[list[Document]] = [{"apiKey": []}, {"bearer": []}]

_ACCOUNT: Final[Document] = {
    "type": "string",
    "pattern": "^[a-z0-9_-]{1,32}$",
    "description": "Label of the account to use, where several are linked on this platform.",
}

PROBLEM: Final[Document] = {
    "type": "object",
    "description": "What went wrong (RFC 9457), with the way out in `detail`.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable name of the kind of error."},
        "message": {"type": "string"},
        "retryable": {"type": "boolean"},
        "retry_after": {"type": "number", "description": "Seconds until trying again makes sense."},
    },
    "required": ["type", "title", "status", "detail", "code", "message", "retryable"],
    "additionalProperties": True,
}

COMPONENTS: Final[Document] = {
    "schemas": {"Problem": PROBLEM},
    "responses": {
        "Problem": {
            "description": "An error",
            "headers": {"Retry-After": {"schema": {"type": "integer"}}, "X-Request-Id": {"schema": {"type": "string"}}},
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    },
    "securitySchemes": {
        "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key (sq_live_…) or an access token"},
    },
}


def _public(summary: str, operation_id: str, schema: Document | None = None, *, also: str | None = None) -> Document:
    content = {"application/json": {"schema": schema or {"type": "object"}}}
    responses: Document = {"200": {"description": summary, "content": content}}
    if also is not None:
        responses[also] = {"description": "Not ready", "content": content}
    return {"get": {"operationId": operation_id, "summary": summary, "security": [], "responses": responses}}


_HEALTH: Final[Document] = {
    "type": "object",
    "properties": {
        "status": {"type": "string"},
        "service": {"const": "hermes-mcp"},
        "version": {"type": "string"},
        "toolCount": {"type": "integer"},
        "transports": {"type": "array", "items": {"type": "string"}},
        "endpoints": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["status", "service", "version", "toolCount", "transports", "endpoints"],
}

_CATALOGUE: Final[Document] = {
    "type": "object",
    "properties": {"tools": {"type": "array", "items": {"type": "object"}}},
    "required": ["tools"],
}

PUBLIC_PATHS: Final[Document] = {
    "/tools": _public("The catalogue of tools", "list_catalogue", _CATALOGUE),
    "/openapi.json": _public("This description", "get_openapi"),
    "/openapi-living-brief.json": _public("The notes' tools alone, for a custom GPT", "get_openapi_living_brief"),
    "/.well-known/ai-plugin.json": _public("Manifest for agents", "get_ai_plugin"),
    "/health": _public("What this service is and offers", "get_health", _HEALTH),
    "/livez": _public("The process is alive", "get_livez"),
    "/readyz": _public("The process can answer requests", "get_readyz", also="503"),
}


def tool_operation(tool: Tool) -> Document:
    """One tool as an OpenAPI operation."""
    operation: Document = {
        "operationId": tool.name[:64],
        "summary": tool.title,
        "description": tool.description,
        "tags": [tool.platform],
        "responses": {
            "200": {
                "description": "The tool's result",
                "headers": {
                    "X-Call-Id": {"schema": {"type": "string"}},
                    "X-Request-Id": {"schema": {"type": "string"}},
                },
                "content": {"application/json": {"schema": tool.output_schema}},
            },
            **problem_responses(),
        },
    }
    schema = {**tool.input_schema, "properties": {**tool.input_schema["properties"], "account": _ACCOUNT}}
    if tool.rest_method in IN_QUERY:
        operation["parameters"] = _query_parameters(schema)
    else:
        content = {"application/json": {"schema": schema}}
        operation["requestBody"] = {"required": bool(schema.get("required")), "content": content}
    if tool.effect is not Effect.READ:
        operation["parameters"] = [*operation.get("parameters", ()), _IDEMPOTENCY_KEY]
        operation["x-openai-isConsequential"] = True
    return operation


_IDEMPOTENCY_KEY: Final[Document] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repeat with the same key and arguments gives the first answer for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def problem_responses() -> Document:
    return {"default": {"$ref": "#/components/responses/Problem"}}


def merged_components(other: Document) -> Document:
    """Our components, with the schemas of the other routes beside them."""
    schemas = {
        name: schema
        for name, schema in other.get("schemas", {}).items()
        if name not in ("HTTPValidationError", "ValidationError")
    }
    schemes = {**other.get("securitySchemes", {}), **COMPONENTS["securitySchemes"]}
    return {**COMPONENTS, "schemas": {**schemas, **COMPONENTS["schemas"]}, "securitySchemes": schemes}


def _query_parameters(schema: Document) -> list[Document]:
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            **({"description": node["description"]} if "description" in node else {}),
            "schema": _without_null({key: value for key, value in node.items() if key != "description"}),
        }
        for name, node in schema["properties"].items()
    ]


def _without_null(node: Document) -> Document:
    """A query cannot say null: leaving the argument out does."""
    kind = node.get("type")
    if not isinstance(kind, list) or "null" not in kind:
        return node
    rest = [name for name in kind if name != "null"]
    cleaned = {**node, "type": rest[0] if len(rest) == 1 else rest}
    if "enum" in cleaned:
        cleaned["enum"] = [value for value in cleaned["enum"] if value is not None]
    return cleaned
