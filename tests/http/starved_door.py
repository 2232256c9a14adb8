"""Connections are let in while descriptors are used up, as many as are kept aside for it.

Run by ``test_door.py``, in a process where nobody else takes a descriptor that is given back.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import cast

import pytest

from connector.http.door import AGAIN_S, SPARES, Door
from tests.support.starved_sender import descriptors_left


class Echo(asyncio.Protocol):
    def __init__(self) -> None:
        self.has_ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.has_ended.set()

    async def end(self) -> None:
        self._transport.abort()
        await self.has_ended.wait()


class Listening(socket.socket):
    """Counts how often it was asked for a connection."""

    asked = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.asked += 1
        return super().accept()


@pytest.fixture
def listening() -> Iterator[Listening]:
    with Listening() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


@pytest.fixture
async def door(listening: Listening) -> AsyncIterator[Door]:
    inside: list[Echo] = []

    def let_in() -> Echo:
        inside.append(Echo())
        return inside[-1]

    door = Door(listening, let_in)
    yield door
    door.close()
    for each in inside:
        await each.end()


@pytest.fixture
def clients() -> Iterator[list[socket.socket]]:
    """Sockets that need no descriptor any more. Two more than are kept aside."""
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.socket()) for _ in range(SPARES + 2)]
        for client in clients:
            client.setblocking(False)
        yield clients


@contextmanager
def all_taken() -> Iterator[None]:
    """Whatever other threads of this process have given back is taken meanwhile."""
    with ExitStack() as stack:
        with suppress(OSError):
            while True:
                stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        yield


async def echoed(client: socket.socket, listening: Listening) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, listening.getsockname())
    await loop.sock_sendall(client, b"hello")
    return await loop.sock_recv(client, 100)


@pytest.mark.usefixtures("door")
async def test_with_no_descriptor_left_a_few_are_let_in_and_others_when_those_have_gone(
    listening: Listening, clients: list[socket.socket]
) -> None:
    with descriptors_left(0):
        first = [await echoed(client, listening) for client in clients[:SPARES]]
        with all_taken():
            waiting = asyncio.create_task(echoed(clients[SPARES], listening))
            done, _ = await asyncio.wait([waiting], timeout=3 * AGAIN_S)
        clients[0].close()
        late = await waiting

    assert first == [b"hello"] * SPARES
    assert not done
    assert late == b"hello"


@pytest.mark.usefixtures("door")
async def test_who_cannot_be_let_in_is_not_asked_for_again_and_again(
    listening: Listening, clients: list[socket.socket]
) -> None:
    with descriptors_left(0):
        for client in clients[:SPARES]:
            await echoed(client, listening)
        waiting = asyncio.create_task(echoed(clients[SPARES], listening))
        await asyncio.wait([waiting], timeout=3 * AGAIN_S)
        asked = listening.asked
    late = await waiting

    assert asked < 50  # 9, and 2 for each descriptor that other threads give back; else tens of thousands
    assert late == b"hello"


@pytest.mark.usefixtures("door")
async def test_what_was_kept_aside_is_kept_aside_again(
    listening: Listening, clients: list[socket.socket]
) -> None:
    with descriptors_left(0):
        before = [await echoed(client, listening) for client in clients[:SPARES]]
        for client in clients[:SPARES]:
            client.close()
        after = [await echoed(client, listening) for client in clients[SPARES:]]

    assert before + after == [b"hello"] * (SPARES + 2)
