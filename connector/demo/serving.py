"""An HTTP server on loopback, on the running loop: for the demo's receivers and its registry."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from connector.demo.failed import DemoFailed

STOP_S = 1
"""How long requests under way may take when the server stops: some of the demo's hang on purpose."""


class LoopbackServer:
    """:meth:`start`, then :meth:`stop`; both once, on one loop."""

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(
            app,
            access_log=False,
            lifespan="off",
            log_config=None,
            log_level="critical",
            timeout_graceful_shutdown=STOP_S,
            ws="none",
        )
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Listen on any free port; returns the URL. Raises :class:`~connector.demo.failed.DemoFailed`."""
        try:
            listening = socket.create_server(("127.0.0.1", 0), backlog=1_024)
        except OSError as error:
            raise DemoFailed(f"cannot listen on 127.0.0.1: {error.strerror}") from None
        self._serving = asyncio.create_task(self._server.serve([listening]), name="loopback server")
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    async def stop(self) -> None:
        """Close the port, and end what still hangs."""
        if self._serving is not None:
            self._server.should_exit = True
            await self._serving


class _Server(uvicorn.Server):
    """Uvicorn without its hold on signals: they are the demo's own business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
