"""gateway, wired: the door, the policy behind it, the views it reads, the owners it forwards to."""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from services.gateway import store as kept
from services.gateway.api import (
    children,
    description,
    dev_clock,
    dev_token,
    directory,
    docs,
    events,
    fhir,
    forwarded,
    places,
)
from services.gateway.api.door import SECURITY_HEADERS, DoorKeeper, door_of
from services.gateway.commands.access_tokens import AccessTokens
from services.gateway.commands.changes import Listeners
from services.gateway.commands.clock import DevelopmentClock
from services.gateway.commands.directory import Directory
from services.gateway.commands.passage import Admission
from services.gateway.commands.places import Places
from services.gateway.domain.routes import Table
from services.gateway.subscribers import subscribe
from services.gateway.subscribers.changes import follow_changes
from shared.audit import Audit
from shared.cursors import Cursors
from shared.runtime import Runtime
from shared.service import create_service
from shared.settings import Settings

ARCHIVE = (("GET", "/internal/events"), ("GET", "/internal/heads"))


def create_app(settings: Settings) -> FastAPI:
    """The service; a route without a policy, or a policy that does not fit its schema, stops it here."""
    runtime = Runtime(settings)
    signing_key = settings.internal_keys.get("private") or {}
    policy = kept.load_policy()
    table = Table(development=settings.development)
    tokens = AccessTokens(settings)
    audit = Audit(runtime.store, runtime.clock, signing_key)

    async def prepare() -> None:
        await kept.ensure_indexes(runtime.store)

    runtime.on_start += [prepare, audit.start]
    runtime.on_stop.append(audit.stop)
    subscribe(runtime, audit.write)
    documents = runtime.documents(kept.CHILDREN)
    admission = Admission(policy, documents, runtime.clock)
    listeners = Listeners()
    follow_changes(runtime, listeners, documents, kept.plans_of(runtime))
    forwarder = forwarded.Forwarder(runtime)
    cursors = Cursors(settings.own_secret, "children")
    routers = [
        docs.routes(),
        dev_token.keys(tokens),
        *([dev_token.routes(tokens), dev_clock.routes(DevelopmentClock(runtime))] if settings.development else []),
        children.routes(runtime, admission, forwarder, cursors),
        directory.routes(Directory(runtime)),
        places.routes(Places(runtime)),
        fhir.routes(runtime, admission, cursors),
        events.routes(listeners),
        forwarded.routes(table, forwarder),
    ]
    given = [
        (method, route.path)
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    ]
    table.check([*given, *ARCHIVE], policy.actions)
    app = create_service(
        runtime,
        routers,
        title="Hagukumi gateway",
        trust_correlation=False,
        middleware=[(DoorKeeper, door_of(settings, table, tokens, admission, audit)), fhir.OperationOutcomes],
        answer_headers=SECURITY_HEADERS,
        larger_body=lambda scope: table.larger_body(scope["method"], scope["path"]),
    )
    app.state.listeners = listeners
    return app


def openapi_document() -> dict[str, Any]:
    """The OpenAPI 3.1 document of the public API, without starting anything."""
    return description.openapi_document()
