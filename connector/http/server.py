"""Serves /healthz, /readyz and /metrics on the running loop.

It only reads: every answer comes from a question put to the rest of the process at that moment. Signals
stay the process's own business, and a slow or silent client cannot keep a stop waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connector.http.door import Door

STOP_S = 2
"""How long answers under way may take when the server stops; they take milliseconds."""

CONNECTIONS_MAX = 100
"""A kubelet, a few scrapers and a curious engineer; more is a mistake, answered with 503."""

IDLE_S = 30
"""Longer than the usual scrape interval of 15 s, so that a scraper keeps its connection."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether work can be taken on, and if not, why: one sentence per reason. ``holds`` says what waits all
    the same, and why: none of it is cured by taking this process for unready."""

    is_ready: bool
    reasons: Sequence[str] = ()
    holds: Mapping[str, str] = field(default_factory=dict)


class CannotListen(RuntimeError):
    """The address cannot be listened on; the message names it and the cure."""


class HttpServer:
    """:meth:`start`, then :meth:`stop`; both once, on one loop."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        is_alive: Callable[[], bool],
        readiness: Callable[[], Readiness],
        metrics: Callable[[], bytes],
    ) -> None:
        self._host = host
        self._port = port
        self._server = _Server(
            uvicorn.Config(
                _app(is_alive, readiness, metrics),
                access_log=False,
                limit_concurrency=CONNECTIONS_MAX,
                lifespan="off",
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=STOP_S,
                timeout_keep_alive=IDLE_S,
                ws="none",
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listen, and return the port. Raises :class:`CannotListen`."""
        listening = _listen(self._host, self._port)
        self._serving = asyncio.create_task(self._server.serve([listening]), name="http")
        await self._server.has_started_or_ended.wait()
        if self._serving.done():
            self._serving.result()
        port: int = listening.getsockname()[1]
        return port

    async def stop(self) -> None:
        """Close the port and wait for the answers under way, two seconds at most."""
        if self._serving is None:
            return
        self._server.should_exit = True
        await self._serving
        self._serving = None


class _Server(uvicorn.Server):
    """Uvicorn without its hold on signals, behind a door of our own. It tells when it has started, or not
    been able to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started_or_ended = asyncio.Event()
        self._doors: list[Door] = []

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        self._doors = [Door(listening, self._protocol) for listening in sockets or ()]
        self.has_started_or_ended.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for door in self._doors:
            door.close()
        await super().shutdown(sockets)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().serve(sockets)
        finally:
            self.has_started_or_ended.set()

    def _protocol(self) -> asyncio.Protocol:
        kind = cast(Callable[..., asyncio.Protocol], self.config.http_protocol_class)
        return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=CONNECTIONS_MAX)
    except OSError as error:
        why = os.strerror(error.errno or 0)  # Python's own text repeats the address
        raise CannotListen(
            f"cannot listen on {host}:{port}: {why}; free the port or choose another (http.port)"
        ) from None


def _app(
    is_alive: Callable[[], bool], readiness: Callable[[], Readiness], metrics: Callable[[], bytes]
) -> Starlette:
    async def healthz(request: Request) -> Response:
        del request
        alive = is_alive()
        return JSONResponse({"alive": alive}, status_code=200 if alive else 503)

    async def readyz(request: Request) -> Response:
        del request
        now = readiness()
        return JSONResponse(
            {"ready": now.is_ready, "reasons": list(now.reasons), "holds": dict(now.holds)},
            status_code=200 if now.is_ready else 503,
        )

    async def exposition(request: Request) -> Response:
        del request
        return Response(metrics(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposition)]
    )
