"""The internal HTTP of records: the gateway calls it for a principal; each command checks again."""

from fastapi import APIRouter

from services.records.api import (
    children,
    death,
    diary,
    doses,
    family,
    growth,
    handbook,
    health,
    imports,
    merging,
    moves,
    observations,
    pregnancies,
)
from services.records.commands.records import Records


def routers(records: Records) -> list[APIRouter]:
    """Every route of the service."""
    modules = (
        children,
        doses,
        growth,
        observations,
        health,
        death,
        family,
        diary,
        moves,
        merging,
        imports,
        handbook,
        pregnancies,
    )
    return [module.router(records) for module in modules]
