"""The OpenAPI 3.1 document of the public API, from the table of routes and the bodies; every status that can come is declared."""

import re
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.gateway.api.bodies.common import Anything, ProblemAnswer
from services.gateway.api.bodies.table import ANSWERS, BODIES, FILES, PAGED, QUERIES, WITHOUT_BODY
from services.gateway.domain.routes import ROUTES, SEGMENT, Route

Json = dict[str, Any]
HIDDEN = frozenset({"/internal/events", "/internal/heads", "/openapi.json", "/docs", "/docs/{file}"})
REF = "#/components/schemas/{model}"

PROBLEMS = {
    400: "The request is malformed, or an Idempotency-Key is missing",
    401: "No valid access token",
    403: "This role may never do this",
    404: "Not there, or not yours: the same bytes",
    406: "Only application/fhir+json is offered",
    408: "The body did not arrive in time",
    409: "Somebody else changed it, it exists already, or the same request is in progress",
    412: "If-Match names another version",
    413: "The body is too large",
    415: "The body is not of a media type that is accepted here",
    422: "A field breaks a rule, or the Idempotency-Key was used with another body",
    428: "If-Match is missing",
    429: "Too many requests",
    431: "The headers are too large",
    503: "Not now; safe to repeat with the same Idempotency-Key",
}
HEADERS: Json = {
    "ETag": {"schema": {"type": "string"}, "description": "Version for If-Match"},
    "Hagukumi-Revision": {
        "schema": {"type": "string"},
        "description": "Send it with a later read: that waits until it shows this write",
    },
}


def openapi_document() -> Json:
    """The document, without starting anything."""
    models: set[type[BaseModel]] = {
        ProblemAnswer,
        Anything,
        *BODIES.values(),
        *(model for _, model in ANSWERS.values()),
    }
    ordered: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [
        (model, "validation") for model in sorted(models, key=lambda model: model.__name__)
    ]
    _, definitions = models_json_schema(ordered, ref_template=REF)
    paths: dict[str, Json] = {}
    for row in ROUTES:
        if row.path not in HIDDEN:
            paths.setdefault(row.path, {})[row.method.lower()] = _operation(row)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hagukumi",
            "version": "1.0.0",
            "description": "The public API of the electronic maternal and child health handbook (母子健康手帳).",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(row: Route) -> Json:
    name = f"{row.method} {row.path}"
    found: Json = {
        "operationId": re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_"),
        "summary": _words(row.action) if row.action != "open" else name,
        "tags": [_tag(row)],
        "parameters": _parameters(row, name),
        "responses": _responses(row, name),
    }
    if row.thing != "open":
        found["security"] = [{"token": []}]
    if row.accepts != ("application/json",):
        schema = {"type": "string", "format": "binary", "maxLength": row.max_body}
        found["requestBody"] = {"required": True, "content": {kind: {"schema": schema} for kind in row.accepts}}
    body = BODIES.get(name)
    if body is not None:
        found["requestBody"] = {
            "required": name not in WITHOUT_BODY,
            "content": {"application/json": {"schema": {"$ref": REF.format(model=body.__name__)}}},
        }
    return found


def _parameters(row: Route, name: str) -> list[Json]:
    found: list[Json] = [
        {"name": part, "in": "path", "required": True, "schema": {"type": "string", "pattern": f"^{SEGMENT}$"}}
        for part in re.findall(r"\{([a-z_]+)\}", row.path)
    ]
    if row.creates:
        found.append(_header("Idempotency-Key", "The same key and body get the same answer", required=True))
    if row.method in {"PUT", "DELETE"} and row.owner is not None:
        found.append(_header("If-Match", "The version that you have read"))
    if row.method == "GET" and row.thing in {"child", "own"}:
        found.append(_header("Hagukumi-Revision", "Wait, at most 5 seconds, until the answer shows these writes"))
    found += [
        {"name": query, "in": "query", "required": False, "schema": schema, "description": words}
        for query, schema, words in QUERIES.get(name, ())
    ]
    if row.at == "query:patient":
        found.append(
            {
                "name": "patient",
                "in": "query",
                "required": True,
                "schema": {"type": "string"},
                "description": "The child: its id, or Patient/<id>",
            }
        )
    if name in PAGED:
        found += [
            {
                "name": "limit",
                "in": "query",
                "required": False,
                "schema": {"type": "integer", "minimum": 1, "maximum": 200},
            },
            {"name": "cursor", "in": "query", "required": False, "schema": {"type": "string", "maxLength": 400}},
        ]
    return found


def _header(name: str, words: str, *, required: bool = False) -> Json:
    schema = {"type": "string", "minLength": 1, "maxLength": 255}
    return {"name": name, "in": "header", "required": required, "schema": schema, "description": words}


def _responses(row: Route, name: str) -> Json:
    if row.path.startswith("/fhir"):
        found: Json = {
            "200": {"description": "FHIR R4", "content": {"application/fhir+json": {"schema": {"type": "object"}}}}
        }
    elif row.action == "followEvents":
        found = {
            "200": {
                "description": "Changes, ids only",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            }
        }
    elif name in FILES:
        schema = {"type": "string", "format": "binary"}
        found = {"200": {"description": "The file", "content": {kind: {"schema": schema} for kind in FILES[name]}}}
    else:
        status, model = ANSWERS.get(name, (200, Anything))
        content = {"application/json": {"schema": {"$ref": REF.format(model=model.__name__)}}}
        found = {str(status): {"description": "Done", "content": content, "headers": HEADERS}}
        if name not in ANSWERS and row.method in {"PUT", "DELETE", "POST"}:
            found |= {"201": found[str(status)], "204": {"description": "Done"}}
    problem: Json = {"application/problem+json": {"schema": {"$ref": REF.format(model="ProblemAnswer")}}}
    if row.path.startswith("/fhir"):
        problem = {"application/fhir+json": {"schema": {"type": "object", "description": "OperationOutcome"}}}
    for status, words in PROBLEMS.items():
        if _can(row, status):
            found[str(status)] = {"description": words, "content": problem}
    return found


def _can(row: Route, status: int) -> bool:
    if row.thing == "open" and status in {401, 403, 409, 412, 428}:
        return False
    if status == 406:
        return row.path.startswith("/fhir")
    return row.method != "GET" or status not in {409, 412, 428}


def _words(action: str) -> str:
    return re.sub(r"([A-Z])", lambda found: " " + found[1].lower(), action).capitalize()


def _tag(row: Route) -> str:
    if row.path.startswith("/dev"):
        return "development"
    return "fhir" if row.path.startswith("/fhir") else row.owner or "gateway"
