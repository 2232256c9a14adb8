"""Both senders against servers of other makers: Node.js 22, uvicorn and hypercorn. More are in
tests/integration/test_sender_friendly_servers.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from unittest.mock import ANY

import pytest
import trustme

from connector.core.outcome import Failure, Reply
from connector.core.subscription import Egress
from connector.engine.ports import Sender
from tests.contracts.sender_tls_contract import authority, ca_file
from tests.support.egress_senders import egress_senders
from tests.support.friendly_servers import Serving, hypercorn, node, uvicorn
from tests.support.posting import post, start
from tests.support.senders import BOTH, senders_of

__all__ = ["authority", "ca_file"]


@pytest.fixture(params=BOTH)
async def sender(request: pytest.FixtureRequest) -> AsyncIterator[Sender]:
    async with senders_of(request.param) as make:
        yield make()


async def test_node_that_closes_idle_connections_never_costs_an_attempt(sender: Sender) -> None:
    async def post_twice(host: str, port: int, pause_ms: int) -> list[Reply | Failure]:
        url = f"http://{host}:{port}/hook"
        first = await post(sender, url, b"x" * 1000)
        await asyncio.sleep(pause_ms / 1000)
        return [first, await post(sender, url, b"x" * 1000)]

    # Around the 200 ms after which Node closes, and around the second of grace that newer ones add.
    pauses_ms = [0, *range(190, 210), *range(1190, 1210)]
    async with node() as port:
        pairs = await asyncio.gather(
            *(post_twice(f"127.0.0.{host}", port, pause_ms) for host, pause_ms in enumerate(pauses_ms, 1))
        )

    assert pairs == [[Reply(201, None, ANY, b"HTTP/1.1 POST /hook 1000")] * 2] * 41


@pytest.mark.parametrize("serving", [node, uvicorn, hypercorn])
async def test_many_large_ones_at_once_all_arrive_whole(sender: Sender, serving: Serving) -> None:
    async with serving() as port:
        endpoint = sender.endpoint(f"http://127.0.0.1:{port}/hook", headers=(), content_type="a/b")
        rounds = [
            await asyncio.gather(*(start(sender, endpoint, b"x" * 70_000) for _ in range(20)))
            for _ in range(3)
        ]

    outcomes = [outcome for outcomes in rounds for outcome in outcomes]
    assert outcomes == [Reply(201, None, ANY, b"HTTP/1.1 POST /hook 70000", ANY)] * 60


@pytest.mark.parametrize("serving", [node, hypercorn])
async def test_many_large_ones_at_once_all_arrive_whole_over_http2(
    serving: Callable[[Path], AbstractAsyncContextManager[int]],
    authority: trustme.CA,
    ca_file: str,
    tmp_path: Path,
) -> None:
    certificate = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    async with serving(certificate) as port, egress_senders(Egress(http2=True)) as make:
        sender = make(extra_ca_file=ca_file)
        endpoint = sender.endpoint(f"https://127.0.0.1:{port}/hook", headers=(), content_type="a/b")
        rounds = [
            await asyncio.gather(*(start(sender, endpoint, b"x" * 70_000) for _ in range(20)))
            for _ in range(3)
        ]

    outcomes = [outcome for outcomes in rounds for outcome in outcomes]
    assert outcomes == [Reply(201, None, ANY, b"HTTP/2.0 POST /hook 70000", ANY)] * 60
