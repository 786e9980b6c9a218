"""The documentation for programmers: the OpenAPI document, and a page of our own that shows it without a script."""

from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from services.gateway.api.description import openapi_document
from services.gateway.api.door import passage_of
from shared.problems import NotFound
from shared.web import api_router

STATIC = Path(__file__).with_name("static")
FILES = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix == ".css"}
PAGE_POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def routes() -> APIRouter:
    """The routes of the documentation."""
    router = api_router()

    @router.get("/openapi.json")
    async def document() -> JSONResponse:
        """OpenAPI 3.1."""
        return JSONResponse(_document())

    @router.get("/docs")
    async def page() -> HTMLResponse:
        """Every operation on one page."""
        return HTMLResponse(_page(), headers={"Content-Security-Policy": PAGE_POLICY})

    @router.get("/docs/{file}")
    async def static(request: Request) -> Response:
        """The page's own files."""
        found = FILES.get(passage_of(request).params["file"])
        if found is None:
            raise NotFound
        return Response(found, media_type="text/css")

    return router


@cache
def _document() -> dict[str, Any]:
    return openapi_document()


@cache
def _page() -> str:
    document = _document()
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(path, method, operation))
    parts = [f"<h2>{escape(tag)}</h2>{''.join(found)}" for tag, found in sorted(by_tag.items())]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Hagukumi API</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/docs/page.css"></head>'
        f"<body><h1>Hagukumi API</h1><p>{escape(document['info']['description'])}</p>"
        '<p>The same for machines, with every body and answer: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>'
        f"{''.join(parts)}</body></html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    takes = f"<p>Body: <code>{escape(body['$ref'].rpartition('/')[2])}</code></p>" if "$ref" in body else ""
    answers = "".join(
        f"<dt>{escape(status)}</dt><dd>{escape(answer['description'])}</dd>"
        for status, answer in operation["responses"].items()
    )
    return (
        f'<article id="{escape(operation["operationId"])}"><h3><code><span class="method">{method.upper()}</span>'
        f"{escape(path)}</code></h3><p>{escape(operation['summary'])}</p>{takes}<dl>{answers}</dl></article>"
    )
