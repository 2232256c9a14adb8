"""The receiver's process: answers 200 as cheaply as Python can, and looks at a sample of what it got.

One socket listens at all of 127.0.0.0/8, and nowhere else, so that a sender sees as many hosts as it likes.
Shares no code with the connector; every 64th signature is checked with the standard library alone, and what
carries a stamp is timed, endpoint by endpoint. Answers may come late, and from some addresses never. Orders
come as lines of JSON on standard input; it ends with that input.

On order it stays awake: it looks for requests without ever sleeping. The kernel bills whoever sends over the
loopback for waking a receiver that slept, which a receiver on another machine never costs.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import socket
import sys
import time
from collections import defaultdict
from email.utils import formatdate
from typing import Any, cast

import uvloop

_CHECKED_EVERY = 64
_BACKLOG = 4_096  # connections that wait to be accepted: thousands are opened at once
_DOZE_S = 0.05
_LENGTH = b"Content-Length: "
_STAMP = re.compile(rb'"sentNs":([1-9][0-9]*)')


class Tally:
    """What came since the last reset. ``timed`` is where the latencies of stamped records go now, by host;
    each of ``phases`` kept its own."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.delay_s = 0.0
        self.hanging: frozenset[str] = frozenset()
        self.apart: frozenset[str] = frozenset()
        self.reset()
        self.renew_answer()
        self.stay_awake()

    def renew_answer(self) -> None:
        """The date changes every second, as in the answers of any real server."""
        head = f"HTTP/1.1 200 OK\r\nServer: bench\r\nDate: {formatdate(usegmt=True)}\r\n"
        self.answer = head.encode() + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
        asyncio.get_running_loop().call_later(1, self.renew_answer)

    def stay_awake(self) -> None:
        """While that is the order, keep the loop from ever waiting."""
        loop = asyncio.get_running_loop()
        if self.is_awake:
            loop.call_soon(self.stay_awake)
        else:
            loop.call_later(_DOZE_S, self.stay_awake)

    def reset(self) -> None:
        self.requests = 0
        self.requests_apart = 0
        self.checked = 0
        self.bad_signatures = 0
        self.is_awake = False
        self.phases: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.timed: defaultdict[str, list[int]] | None = None


class Connection(asyncio.Protocol):
    """Requests one after the other; nearly always one whole request comes in one piece."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._rest = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._address = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        while True:
            head_end = data.find(b"\r\n\r\n")
            if head_end < 0:
                break
            at = data.find(_LENGTH, 0, head_end) + len(_LENGTH)
            end = head_end + 4 + int(data[at : data.find(b"\r\n", at)])
            if len(data) < end:
                break
            self._take(data[:end], head_end)
            data = data[end:]
        self._rest = data

    def _take(self, request: bytes, head_end: int) -> None:
        tally = self._tally
        if self._address in tally.hanging:
            return
        is_apart = self._address in tally.apart
        tally.requests += not is_apart
        tally.requests_apart += is_apart
        if tally.timed is not None and (stamp := _STAMP.search(request)) is not None:
            tally.timed[self._address].append(time.monotonic_ns() - int(stamp[1]))
        if tally.requests % _CHECKED_EVERY == 0:
            tally.checked += 1
            tally.bad_signatures += not _is_signed(request, head_end, tally.key)
        if tally.delay_s:
            asyncio.get_running_loop().call_later(tally.delay_s, self._reply)
        else:
            self._transport.write(tally.answer)

    def _reply(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._tally.answer)


def _is_signed(request: bytes, head_end: int, key: bytes) -> bool:
    lines = request[:head_end].split(b"\r\n")[1:]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    timestamp = headers.get(b"webhook-timestamp", b"0")
    content = b".".join((headers.get(b"webhook-id", b""), timestamp, request[head_end + 4 :]))
    expected = b"v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256))
    is_fresh = abs(time.time() - int(timestamp)) < 300
    return is_fresh and headers.get(b"webhook-signature") == expected


def _obey(tally: Tally, order: dict[str, Any]) -> object:
    match order["do"]:
        case "reset":
            tally.reset()
            tally.is_awake = bool(order["is_awake"])
            return None
        case "time":
            tally.timed = tally.phases[order["phase"]] if order["phase"] else None
            return None
        case "behave":
            tally.delay_s = float(order["delay_s"])
            tally.hanging = frozenset(order["hanging"])
            tally.apart = frozenset(order["apart"])
            return None
        case "counts":
            return [tally.requests, tally.checked, tally.bad_signatures, tally.requests_apart]
        case "latencies":
            return tally.phases[order["phase"]]
        case unknown:
            raise ValueError(f"unknown order {unknown!r}")


async def _main(key: bytes) -> None:
    loop = asyncio.get_running_loop()
    tally = Tally(key)
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # All addresses of this machine, but through the loopback alone: nobody else can reach it.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    listening.bind(("0.0.0.0", 0))
    await loop.create_server(lambda: Connection(tally), sock=listening, backlog=_BACKLOG)
    _say(listening.getsockname()[1])
    orders = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        _say(_obey(tally, json.loads(line)))


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(_main(base64.b64decode(sys.argv[1].removeprefix("whsec_"))))
