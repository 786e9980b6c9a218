"""The whole handbook as a file, and the keys by which it is proven."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from services.records.api.wire import Asking
from services.records.commands import handbook as commands
from services.records.commands.records import Records
from shared.web import api_router

MEDIA: dict[commands.Format, tuple[str, str]] = {
    "pdf": ("application/pdf", "handbook.pdf"),
    "json": ("application/json", "handbook.json"),
    "fhir": ("application/fhir+json", "handbook-fhir.json"),
    "pack": ("application/json", "handbook-signed.json"),
}


def router(records: Records) -> APIRouter:
    """The routes of the handbook."""
    routes = api_router()

    @routes.get("/v1/children/{child}/handbook")
    async def export(
        child: str, asked: Asking, form: Annotated[commands.Format, Query(alias="format")] = "pdf"
    ) -> Response:
        """The handbook as PDF, JSON, FHIR R4 document or signed pack."""
        data = await commands.export(records, asked.caller, child, form)
        kind, name = MEDIA[form]
        return Response(data, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})

    @routes.get("/v1/handbook-keys")
    async def keys(asked: Asking) -> JSONResponse:
        """The public keys, to be kept where handbooks are looked at without a network."""
        return JSONResponse(commands.public_keys(records))

    return routes
