"""Lets connections in, also when file descriptors are used up: that is when somebody looks.

The event loop's own server would ask for the same connection again and again, as fast as it can, as long as
there is no descriptor for it. Here a few are kept aside for that moment; once those are gone too, it waits.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Final

SPARES: Final = 4
"""Descriptors kept aside: a kubelet, two scrapers and an engineer."""

AGAIN_S: Final = 0.25
"""How long it waits for descriptors to come free: probes commonly give up after a second."""


class Door:
    """Accepts on ``listening``, from now until :meth:`close`; the socket stays its owner's."""

    def __init__(self, listening: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._spares = [_spare() for _ in range(SPARES)]
        self._timer: asyncio.TimerHandle | None = None
        self._entering: set[asyncio.Task[None]] = set()
        self._loop.add_reader(listening, self._accept)

    def close(self) -> None:
        """Let nobody else in."""
        self._loop.remove_reader(self._listening)
        if self._timer is not None:
            self._timer.cancel()
        for spare in self._spares:
            os.close(spare)

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # it has gone again
        except OSError:
            self._make_room()
            return
        task = self._loop.create_task(self._let_in(connection))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)

    async def _let_in(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError:
            connection.close()

    def _make_room(self) -> None:
        """It is asked for again in the loop's next turn."""
        if self._spares:
            os.close(self._spares.pop())
        else:
            self._loop.remove_reader(self._listening)
        if self._timer is None:
            self._timer = self._loop.call_later(AGAIN_S, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        try:
            while len(self._spares) < SPARES:
                self._spares.append(_spare())
        except OSError:
            self._timer = self._loop.call_later(AGAIN_S, self._look_again)
        if self._spares:
            self._loop.add_reader(self._listening, self._accept)


def _spare() -> int:
    return os.open(os.devnull, os.O_RDONLY)
