"""The port for probes and scrapers, asked with a client that shares nothing with it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator

import pytest

from connector.http.server import CONNECTIONS_MAX, CannotListen, HttpServer, Readiness


class Process:
    """What the server asks about, as a test wants it."""

    def __init__(self) -> None:
        self.is_alive = True
        self.readiness = Readiness(True)
        self.metrics = b"done_total 1.0\n"

    def server(self, port: int = 0) -> HttpServer:
        return HttpServer(
            "127.0.0.1",
            port,
            is_alive=lambda: self.is_alive,
            readiness=lambda: self.readiness,
            metrics=lambda: self.metrics,
        )


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
async def port(process: Process) -> AsyncIterator[int]:
    server = process.server()
    yield await server.start()
    await server.stop()


async def _get(port: int, path: str) -> tuple[int, str, str]:
    """Status, head and body of a GET."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    reply = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = reply.partition("\r\n\r\n")
    return int(head.split()[1]), head.lower(), body


async def test_health_follows_the_process(process: Process, port: int) -> None:
    well = await _get(port, "/healthz")
    process.is_alive = False
    ill = await _get(port, "/healthz")

    assert (well[0], json.loads(well[2])) == (200, {"alive": True})
    assert (ill[0], json.loads(ill[2])) == (503, {"alive": False})


async def test_readiness_gives_its_reasons(process: Process, port: int) -> None:
    ready = await _get(port, "/readyz")
    process.readiness = Readiness(False, ["not a member of the group yet", "cannot write webhooks.parked"])
    unready = await _get(port, "/readyz")

    assert (ready[0], json.loads(ready[2])) == (200, {"ready": True, "reasons": [], "holds": {}})
    assert unready[0] == 503
    assert json.loads(unready[2])["reasons"] == [
        "not a member of the group yet",
        "cannot write webhooks.parked",
    ]


async def test_metrics_are_plain_text(port: int) -> None:
    status, head, body = await _get(port, "/metrics")

    assert status == 200
    assert "content-type: text/plain; version=0.0.4; charset=utf-8" in head
    assert body == "done_total 1.0\n"


@pytest.mark.parametrize(("path", "status"), [("/", 404), ("/metrics/x", 404), ("/healthz?x=1", 200)])
async def test_nothing_else_is_served(port: int, path: str, status: int) -> None:
    assert (await _get(port, path))[0] == status


async def test_a_port_in_use_is_refused_with_the_cure(process: Process, port: int) -> None:
    with pytest.raises(
        CannotListen,
        match=rf"cannot listen on 127\.0\.0\.1:{port}: .*in use; free the port or choose another",
    ):
        await process.server(port).start()


async def test_an_address_that_is_not_ours_is_refused() -> None:
    server = HttpServer(
        "192.0.2.1", 0, is_alive=lambda: True, readiness=lambda: Readiness(True), metrics=lambda: b""
    )

    with pytest.raises(CannotListen, match=r"cannot listen on 192\.0\.2\.1:0"):
        await server.start()


async def test_a_stop_frees_the_port_and_may_come_twice_or_unstarted(process: Process) -> None:
    server = process.server()
    await server.stop()
    port = await server.start()

    await server.stop()
    await server.stop()

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)):
        pass


async def test_signals_stay_the_processs_own(process: Process) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    server = process.server()

    await server.start()
    during = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    await server.stop()

    assert during == before


async def test_a_client_that_says_nothing_does_not_hold_up_a_stop(process: Process) -> None:
    server = process.server()
    port = await server.start()
    _, silent = await asyncio.open_connection("127.0.0.1", port)
    _, slow = await asyncio.open_connection("127.0.0.1", port)
    slow.write(b"GET /healthz HTTP/1.1\r\nHost:")

    await asyncio.wait_for(server.stop(), 10)

    for writer in (silent, slow):
        writer.close()


async def test_more_connections_than_anyone_needs_are_turned_away(port: int) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_MAX)]

    refused = await _get(port, "/healthz")
    for _, writer in idle:
        writer.close()
        await writer.wait_closed()

    assert refused[0] == 503


async def test_an_answer_that_fails_is_a_500_and_the_server_goes_on(process: Process) -> None:
    def broken() -> bytes:
        raise RuntimeError("no books")

    server = HttpServer(
        "127.0.0.1", 0, is_alive=lambda: True, readiness=lambda: Readiness(True), metrics=broken
    )
    port = await server.start()

    failed = await _get(port, "/metrics")
    fine = await _get(port, "/healthz")
    await server.stop()

    assert (failed[0], fine[0]) == (500, 200)
    assert "no books" not in failed[2]
