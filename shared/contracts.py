"""Writes docs/contracts from the code: AsyncAPI 3, a JSON Schema per event, OpenAPI 3.1; `--check` compares instead."""

import json
import subprocess
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from shared.events import municipal
from shared.events.base import REGISTRY, Event

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "contracts"
EXAMPLES = ROOT / "shared" / "events" / "examples"

HEADERS: dict[str, str] = {
    "ce_specversion": "Always 1.0",
    "ce_id": "uuid5 of stream, subject and revision: the same event has the same id however often it is sent",
    "ce_source": "/hagukumi/<service>",
    "ce_type": "The event's type",
    "ce_subject": "Opaque id of what the event is about",
    "ce_time": "UTC, RFC 3339",
    "ce_partitionkey": "Equal to the record's key",
    "ce_revision": "Dense per subject in this stream: 1, 2, 3 …",
    "ce_tenant": "Municipality code, 6 digits with check digit",
    "ce_correlationid": "Id of the request that started it",
    "ce_causationid": "Id of the event that caused it",
    "ce_dataschema": "Schema URI with version",
    "traceparent": "W3C trace context",
    "content-type": "application/json",
}


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema by file name, for every event type and every inbound type."""
    found = {kind: _schema(cls) for kind, cls in REGISTRY.items()}
    found |= {kind: _schema(cls) for kind, cls in municipal.INBOUND.items()}
    for cls in (municipal.MessageAccepted, municipal.MessageRefused):
        found[f"jp.hagukumi.gateway.{cls.__name__}.v1"] = _schema(cls)
    return found


def _schema(cls: type[Any]) -> dict[str, Any]:
    schema: dict[str, Any] = cls.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document of every topic, its messages, its owner and its readers."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for kind, cls in sorted(REGISTRY.items()):
        name = f"{cls.__name__}.v{cls.major}" if cls.__name__ not in messages else kind
        messages[name] = _message(kind, cls)
        channel = channels.setdefault(
            cls.topic(),
            {
                "address": cls.topic(),
                "description": _family(cls),
                "messages": {},
                "bindings": {"kafka": {"topic": cls.topic(), "bindingVersion": "0.5.0"}},
            },
        )
        channel["messages"][name] = {"$ref": f"#/components/messages/{_escape(name)}"}
        owner = cls.stream.partition(".")[0]
        operations[f"{owner}.sends.{cls.topic()}"] = _operation("send", owner, cls.topic())
        for reader in cls.readers:
            operations[f"{reader}.receives.{cls.topic()}"] = _operation("receive", reader, cls.topic())
    _municipal_channels(channels, operations, messages)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Hagukumi events",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 on Apache Kafka, binary mode. Inside a major version only optional fields are added.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": dict(sorted(operations.items())),
        "components": {"messages": messages, "messageTraits": {"cloudEvent": _trait()}},
    }


def _municipal_channels(channels: dict[str, Any], operations: dict[str, Any], messages: dict[str, Any]) -> None:
    parameters = {"code": {"description": "Municipality code, 6 digits with check digit (JIS X 0402)"}}
    inbound = {kind.split(".")[-2] + ".v1": kind for kind in municipal.INBOUND}
    for name, kind in inbound.items():
        messages[name] = _message(kind, municipal.INBOUND[kind])
    replies = {}
    for cls in (municipal.MessageAccepted, municipal.MessageRefused):
        name = f"{cls.__name__}.v1"
        messages[name] = _message(f"jp.hagukumi.gateway.{cls.__name__}.v1", cls)
        replies[name] = {"$ref": f"#/components/messages/{_escape(name)}"}
    channels["municipal"] = {
        "address": "municipal.{code}.v1",
        "description": "What a municipality's system sends; only that municipality may write it. Binary or structured mode.",
        "parameters": parameters,
        "messages": {name: {"$ref": f"#/components/messages/{_escape(name)}"} for name in inbound},
    }
    channels["municipal.replies"] = {
        "address": "municipal.{code}.replies.v1",
        "description": "What became of each message; only that municipality may read it.",
        "parameters": parameters,
        "messages": replies,
    }
    channels["clinic"] = {
        "address": "clinic.{id}.v1",
        "description": "FHIR R4 resources of the families that gave this clinic consent, in order per child; "
        "ce_sequence is dense per (clinic, child). A repeat is possible: drop sequence numbers that were seen. "
        "Types are jp.hagukumi.clinic.<what happened>.v1: see clinic-feed.md.",
        "parameters": {"id": {"description": "The clinic's id"}},
        "messages": {"FhirResource": {"$ref": "#/components/messages/FhirResource"}},
    }
    messages["FhirResource"] = {
        "name": "FhirResource",
        "title": "A FHIR R4 resource",
        "contentType": "application/fhir+json",
        "payload": {"type": "object", "required": ["resourceType"], "properties": {"resourceType": {"type": "string"}}},
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
    }
    operations["gateway.receives.municipal"] = _operation("receive", "gateway", "municipal")
    operations["gateway.sends.municipal.replies"] = _operation("send", "gateway", "municipal.replies")
    operations["gateway.sends.clinic"] = _operation("send", "gateway", "clinic")


def _operation(action: str, service: str, channel: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{_escape(channel)}"}, "tags": [{"name": service}]}


def _message(kind: str, cls: type[Any]) -> dict[str, Any]:
    message = {
        "name": kind,
        "title": cls.__name__,
        "summary": (cls.__doc__ or "").strip().splitlines()[0],
        "contentType": "application/json",
        "payload": _inlined(_schema(cls)),
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
    }
    examples = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((EXAMPLES / kind).glob("*.json"))]
    if examples:
        message["examples"] = [{"payload": example} for example in examples]
    return message


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its `$defs` put in place, since a message's payload has no root of its own."""
    definitions = schema.pop("$defs", {})
    schema.pop("$schema", None)

    def put(value: Any) -> Any:
        if isinstance(value, dict):
            reference = value.get("$ref")
            if isinstance(reference, str) and reference.startswith("#/$defs/"):
                rest = {key: inner for key, inner in value.items() if key != "$ref"}
                return {**put(definitions[reference.removeprefix("#/$defs/")]), **put(rest)}
            return {key: put(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [put(inner) for inner in value]
        return value

    inlined: dict[str, Any] = put(schema)
    return inlined


def _trait() -> dict[str, Any]:
    return {
        "headers": {
            "type": "object",
            "required": ["ce_specversion", "ce_id", "ce_source", "ce_type"],
            "properties": {name: {"type": "string", "description": text} for name, text in HEADERS.items()},
        }
    }


def _family(cls: type[Event]) -> str:
    base = cls.__mro__[1]
    doc = base.__doc__ if base is not Event else cls.__doc__
    return (doc or "").strip()


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def openapi() -> dict[str, Any] | None:
    """The gateway's OpenAPI 3.1 document; None in an image that holds another service."""
    try:
        documented = import_module("services.gateway.app")
    except ModuleNotFoundError:
        return None
    found: dict[str, Any] = documented.openapi_document()
    return found


def documents() -> dict[str, str]:
    """Every generated file by its path below docs/contracts."""
    found = {f"schemas/{kind}.json": _render(schema) for kind, schema in schemas().items()}
    found["asyncapi.json"] = _render(asyncapi())
    described = openapi()
    if described is not None:
        found["openapi.json"] = _render(described)
    return found


def _render(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def breaking(old: dict[str, Any], new: dict[str, Any], path: str = "") -> list[str]:
    """What a reader of the old schema could trip over in the new one."""
    found: list[str] = []
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, schema in before.items():
        if name not in after:
            found.append(f"{path}/{name} was removed")
        elif schema.get("type") != after[name].get("type") and "$ref" not in schema:
            found.append(f"{path}/{name} changed its type")
    found += [
        f"{path}/{name} became required" for name in sorted(set(new.get("required", [])) - set(old.get("required", [])))
    ]
    for name, definition in old.get("$defs", {}).items():
        if name in new.get("$defs", {}):
            found += breaking(definition, new["$defs"][name], f"{path}#{name}")
    return found


def breaking_against_main(files: dict[str, str]) -> list[str]:
    """Breaking changes of the event schemas against the main branch; nothing where git does not know it."""
    found: list[str] = []
    for name, text in files.items():
        if not name.startswith("schemas/"):
            continue
        shown = subprocess.run(  # noqa: S603 - fixed command, our own file names
            ["git", "show", f"main:docs/contracts/{name}"],  # noqa: S607 - git from PATH, as in every checkout
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if shown.returncode == 0:
            found += [f"{name}: {what}" for what in breaking(json.loads(shown.stdout), json.loads(text))]
    return found


def check(files: dict[str, str]) -> list[str]:
    """Every difference between the generated and the committed files, and every breaking change."""
    problems = [
        f"{name} is not as generated: run `make contracts`"
        for name, text in files.items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text(encoding="utf-8") != text
    ]
    known = {FOLDER / name for name in files}
    problems += [
        f"schemas/{path.name} belongs to no event" for path in (FOLDER / "schemas").glob("*.json") if path not in known
    ]
    return problems + breaking_against_main(files)


def main(arguments: Iterable[str]) -> int:
    """`--check` compares, otherwise the files are written."""
    files = documents()
    if "--check" in arguments:
        problems = check(files)
        for problem in problems:
            print(problem, file=sys.stderr)
        return 1 if problems else 0
    for name, text in files.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(f"{len(files)} files in {FOLDER.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
