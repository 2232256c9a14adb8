"""A schema registry for the demo: as much of Confluent's API as registering and reading takes.

Speaks HTTP like the real one, so that the connector's own client is what is shown. Keeps everything in
memory and checks no compatibility.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

_SCHEMA_NOT_FOUND = 40403


def registry_app() -> Starlette:
    """An empty registry. The same text registered twice has the same id."""
    texts: list[str] = []
    subjects: dict[str, list[int]] = {}

    async def register(request: Request) -> JSONResponse:
        text = (await request.json())["schema"]
        if text not in texts:
            texts.append(text)
        schema_id = texts.index(text) + 1
        versions = subjects.setdefault(request.path_params["subject"], [])
        if schema_id not in versions:
            versions.append(schema_id)
        return JSONResponse({"id": schema_id})

    async def schema(request: Request) -> JSONResponse:
        schema_id = request.path_params["schema_id"]
        if not 1 <= schema_id <= len(texts):
            message = f"Schema {schema_id} not found"
            return JSONResponse({"error_code": _SCHEMA_NOT_FOUND, "message": message}, status_code=404)
        return JSONResponse({"schema": texts[schema_id - 1]})

    async def names(request: Request) -> JSONResponse:
        del request
        return JSONResponse(list(subjects))

    return Starlette(
        routes=[
            Route("/subjects", names, methods=["GET"]),
            Route("/subjects/{subject}/versions", register, methods=["POST"]),
            Route("/schemas/ids/{schema_id:int}", schema, methods=["GET"]),
        ]
    )
