"""The whole handbook as a file, and the keys by which it is proven."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from services.records.api.wire import Asked, Authorization
from services.records.commands import handbook as commands
from services.records.commands.records import Records
from shared.runtime import Runtime
from shared.web import api_router

MEDIA: dict[commands.Format, tuple[str, str]] = {
    "pdf": ("application/pdf", "handbook.pdf"),
    "json": ("application/json", "handbook.json"),
    "fhir": ("application/fhir+json", "handbook-fhir.json"),
    "pack": ("application/json", "handbook-signed.json"),
}


def router(runtime: Runtime, records: Records) -> APIRouter:
    """The routes of the handbook."""
    routes = api_router()

    @routes.get("/v1/children/{child}/handbook")
    async def export(
        child: str,
        request: Request,
        authorization: Authorization = None,
        form: Annotated[commands.Format, Query(alias="format")] = "pdf",
    ) -> Response:
        """The handbook as PDF, JSON, FHIR R4 document or signed pack."""
        asked = Asked(runtime, request, authorization)
        data = await commands.export(records, asked.caller, child, form)
        kind, name = MEDIA[form]
        return Response(data, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})

    @routes.get("/v1/handbook-keys")
    async def keys(request: Request, authorization: Authorization = None) -> JSONResponse:
        """The public keys, to be kept where handbooks are looked at without a network."""
        Asked(runtime, request, authorization)
        return JSONResponse(commands.public_keys(records))

    return routes
