"""Municipalities, clinics and staff: opened by the operator, read by everybody who is signed in."""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.gateway.api.door import passage_of
from services.gateway.commands.directory import Directory
from shared.documents import Command, Document
from shared.events.gateway import DirectoryEvent
from shared.store import Doc
from shared.web import answer, api_router, command_of

Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")
]
IdempotencyKey = Annotated[str | None, Header()]


class Body(BaseModel):
    """A request body: no unknown field, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MunicipalityBody(Body):
    """A municipality that joins."""

    code: Code = Field(description="全国地方公共団体コード, 6 digits with check digit")
    name: Name


class ClinicBody(Body):
    """A clinic that joins; without an id it gets one. Six digits are a municipality's and no clinic's."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$")] | None = None
    name: Name
    municipality: Code


class StaffBody(Body):
    """A person who works for a municipality in a profession."""

    subject: Id
    municipality: Code
    profession: Id


def routes(directory: Directory) -> APIRouter:
    """The routes of the directory."""
    router = api_router()

    def wish(request: Request, key: str | None, body: BaseModel | None) -> Command:
        written = body.model_dump(mode="json") if body is not None else None
        return command_of(passage_of(request).who, request, key, written)

    def created(doc: Document, body: Doc, location: str) -> JSONResponse:
        return answer(doc, DirectoryEvent.stream, body, status=201, location=location)

    @router.post("/v1/municipalities", status_code=201)
    async def open_municipality(
        body: MunicipalityBody, request: Request, idempotency_key: IdempotencyKey = None
    ) -> JSONResponse:
        """Open a municipality: its topics, its rights, its Kafka user, whose password is told this once."""
        command = wish(request, idempotency_key, body)
        found, doc = await directory.open_municipality(body.code, body.name, command)
        return created(doc, found, f"/v1/municipalities/{doc.id}")

    @router.post("/v1/clinics", status_code=201)
    async def register_clinic(
        body: ClinicBody, request: Request, idempotency_key: IdempotencyKey = None
    ) -> JSONResponse:
        """Register a clinic: its topic, its rights, its Kafka user, whose password is told this once."""
        command = wish(request, idempotency_key, body)
        found, doc = await directory.register_clinic(body.id, body.name, body.municipality, command)
        return created(doc, found, f"/v1/clinics/{doc.id}")

    @router.post("/v1/staff", status_code=201)
    async def assign_staff(body: StaffBody, request: Request, idempotency_key: IdempotencyKey = None) -> JSONResponse:
        """Assign a person to a municipality; another profession takes the place of the one before."""
        command = wish(request, idempotency_key, body)
        found, doc = await directory.assign_staff(body.subject, body.municipality, body.profession, command)
        return answer(doc, DirectoryEvent.stream, found, status=201)

    @router.post("/v1/municipalities/{code}/credentials", status_code=201)
    async def municipality_credentials(
        code: str, request: Request, idempotency_key: IdempotencyKey = None
    ) -> JSONResponse:
        """Another Kafka password for a municipality; the one before ends."""
        return await fresh("municipality", code, wish(request, idempotency_key, None))

    @router.post("/v1/clinics/{clinic}/credentials", status_code=201)
    async def clinic_credentials(clinic: str, request: Request, idempotency_key: IdempotencyKey = None) -> JSONResponse:
        """Another Kafka password for a clinic; the one before ends."""
        return await fresh("clinic", clinic, wish(request, idempotency_key, None))

    async def fresh(kind: Literal["municipality", "clinic"], key: str, command: Command) -> JSONResponse:
        found, doc = await directory.new_credentials(kind, key, command)
        return answer(doc, DirectoryEvent.stream, found, status=201)

    @router.get("/v1/municipalities")
    async def municipalities() -> JSONResponse:
        """Every municipality, by name."""
        return JSONResponse({"items": await directory.listed("municipality"), "next": None})

    @router.get("/v1/clinics")
    async def clinics(municipality: Annotated[Code | None, Query()] = None) -> JSONResponse:
        """Every clinic, or those of one municipality, by name."""
        found = await directory.listed("clinic")
        items = [one for one in found if municipality in {None, one["municipality"]}]
        return JSONResponse({"items": items, "next": None})

    return router
