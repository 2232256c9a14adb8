"""The least a sender can do in Python: prepared bytes over kept connections, replies through llhttp.

No pool, no deadline, no caps, no headers of replies: the floor of what a POST costs on this machine, shown
beside the connector's own sender. Prints the CPU seconds it took. Shares no code with the connector.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from time import process_time
from typing import cast
from urllib.parse import urlsplit

import uvloop
from httptools import HttpResponseParser

CONNECTIONS_PER_HOST = 4

_REQUEST = (
    b"POST /hooks HTTP/1.1\r\nHost: %b\r\nUser-Agent: bare\r\nContent-Type: application/json\r\n"
    b"webhook-id: evt_0123456789abcdef0123456789abcdef\r\nwebhook-timestamp: 1750000000\r\n"
    b"webhook-signature: v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"
    b"Content-Length: 1200\r\n\r\n" + b"x" * 1_200
)


class Turns:
    """How many requests are still to be sent, and how many still unanswered."""

    def __init__(self, count: int) -> None:
        self.unsent = self.unanswered = count
        self.over = asyncio.get_running_loop().create_future()


class Sender(asyncio.Protocol):
    """One connection: the next request goes out when the reply to the last is whole."""

    def __init__(self, turns: Turns, request: bytes) -> None:
        self._turns = turns
        self._request = request
        self._feed = HttpResponseParser(self).feed_data
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._feed(data)

    def on_message_complete(self) -> None:
        self._turns.unanswered -= 1
        if self._turns.unanswered == 0:
            self._turns.over.set_result(None)
        self.send()

    def send(self) -> None:
        if self._turns.unsent:
            self._turns.unsent -= 1
            self._transport.write(self._request)


async def _main(urls: list[str], count: int) -> None:
    loop = asyncio.get_running_loop()
    turns = Turns(count)
    senders = []
    for url in urls:
        target = urlsplit(url)
        assert target.hostname is not None
        assert target.port is not None
        make = partial(Sender, turns, _REQUEST % target.netloc.encode())
        for _ in range(CONNECTIONS_PER_HOST):
            _, sender = await loop.create_connection(make, target.hostname, target.port)
            senders.append(sender)
    begun_s = process_time()
    for sender in senders:
        sender.send()
    await turns.over
    sys.stdout.write(f"{process_time() - begun_s}\n")


if __name__ == "__main__":
    uvloop.run(_main(json.loads(sys.argv[1]), int(sys.argv[2])))
