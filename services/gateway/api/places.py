"""Places and circles: kept by a town's staff, read by everybody who is signed in."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from services.gateway.commands.places import Places
from services.gateway.domain.places import Kind, read_box
from shared.web import api_router

Code = Annotated[str, Path(pattern=r"^[0-9]{6}$")]
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class PlaceBody(BaseModel):
    """A place, a circle or a group of neighbours. Degrees in WGS 84; `url` is https."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: Kind
    name: str = Field(min_length=1, max_length=100)
    address: str | None = Field(default=None, max_length=200)
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    district: str | None = Field(default=None, max_length=100)
    hours: str | None = Field(default=None, max_length=200)
    contact: str | None = Field(default=None, max_length=200)
    url: str | None = Field(default=None, max_length=500, pattern=r"^https://[^\s<>\"'@]+$")


def routes(places: Places) -> APIRouter:
    """The routes of places."""
    router = api_router()

    @router.put("/v1/municipalities/{code}/places/{place}")
    async def put(code: Code, place: Name, body: PlaceBody) -> JSONResponse:
        """Say what there is at a place."""
        facts: dict[str, Any] = body.model_dump()
        new, doc = await places.put(code, place, facts)
        return JSONResponse({"id": place, **facts}, 201 if new else 200, {"ETag": f'"{doc.version}"'})

    @router.delete("/v1/municipalities/{code}/places/{place}", status_code=204)
    async def close(code: Code, place: Name) -> Response:
        """It is there no longer."""
        await places.close(code, place)
        return Response(status_code=204)

    @router.get("/v1/municipalities/{code}/places")
    async def places_of(
        code: Code,
        kind: Kind | None = None,
        district: Annotated[str | None, Query(max_length=100)] = None,
        bbox: Annotated[str | None, Query(max_length=100)] = None,
    ) -> JSONResponse:
        """The map of a town (GeoJSON)."""
        box = read_box(bbox) if bbox is not None else None
        return JSONResponse(await places.map_of(code, kind, district, box), media_type="application/geo+json")

    return router
