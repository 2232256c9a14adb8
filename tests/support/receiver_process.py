"""The receiver's process: takes POSTs, answers as told, remembers every attempt.

Shares no code with the connector: it reads HTTP and checks signatures in its own way, so that what it
saw proves something. Orders come as lines of JSON on standard input and are answered on standard
output; when the input ends, so does the process. See :mod:`tests.support.receiver`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
import zlib
from dataclasses import dataclass, field
from typing import Any, cast

_HANGING = 0
_CLOSED = -1
_HEAD_BYTES_MAX = 65_536
_ORDER_BYTES_MAX = 1 << 20


@dataclass(slots=True)
class Seen:
    """What came for one id on one path. ``attempts`` are pairs of arrival (Unix ms) and the status
    answered: 0 for never, -1 for a closed connection."""

    body_crc: int
    attempts: list[tuple[int, int]] = field(default_factory=list)
    bodies_differ: int = 0


@dataclass(slots=True)
class Path:
    """How one path answers, how its signatures are checked, and what it has seen."""

    behaviour: dict[str, Any]
    signature: dict[str, Any] | None = None
    seen: dict[str, Seen] = field(default_factory=dict)
    accepted: int = 0
    requests: int = 0
    checked: int = 0
    bad_signatures: int = 0
    without_id: int = 0


class Memory:
    """Every path by name; one not told about is sound, and signatures are not checked there."""

    def __init__(self) -> None:
        self.paths: dict[str, Path] = {}

    def path(self, name: str) -> Path:
        found = self.paths.get(name)
        if found is None:
            found = self.paths[name] = Path({"status": 200})
        return found


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests are answered one after the other."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._buffer = bytearray()
        self._is_answering = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._take_requests()

    def _take_requests(self) -> None:
        while not self._is_answering:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > _HEAD_BYTES_MAX:
                    self._transport.abort()
                return
            head = bytes(self._buffer[:end])
            lowered = head.lower()
            body_start = end + 4
            body_end = body_start + int(_header(head, lowered, b"content-length") or 0)
            if len(self._buffer) < body_end:
                return
            body = bytes(self._buffer[body_start:body_end])
            del self._buffer[:body_end]
            self._take(head, lowered, body)

    def _take(self, head: bytes, lowered: bytes, body: bytes) -> None:
        path = self._memory.path(head.split(b" ", 2)[1].decode("latin-1"))
        path.requests += 1
        _check_signature(path, head, lowered, body)
        id_ = _header(head, lowered, b"webhook-id").decode("latin-1")
        if not id_:
            path.without_id += 1
        seen = path.seen.get(id_)
        crc = zlib.crc32(body)
        if seen is None:
            seen = path.seen[id_] = Seen(crc)
        elif seen.body_crc != crc:
            seen.bodies_differ += 1
        status = _status(path.behaviour, id_, len(seen.attempts))
        if _is_accepted(status) and not any(_is_accepted(before) for _, before in seen.attempts):
            path.accepted += 1
        seen.attempts.append((time.time_ns() // 1_000_000, status))
        self._answer(status, path.behaviour)

    def _answer(self, status: int, behaviour: dict[str, Any]) -> None:
        delay_ms = behaviour.get("delay_ms", 0)
        if status == _HANGING:
            self._is_answering = True
        elif delay_ms:
            self._is_answering = True
            asyncio.get_running_loop().call_later(delay_ms / 1_000, self._answer_late, status, behaviour)
        else:
            self._reply(status, behaviour)

    def _answer_late(self, status: int, behaviour: dict[str, Any]) -> None:
        self._is_answering = False
        self._reply(status, behaviour)
        self._take_requests()

    def _reply(self, status: int, behaviour: dict[str, Any]) -> None:
        if self._transport.is_closing():
            return
        if status == _CLOSED:
            self._transport.abort()
            return
        retry_after = behaviour.get("retry_after", "")
        extra = f"Retry-After: {retry_after}\r\n" if retry_after and status >= 300 else ""
        if not behaviour.get("keeps", True):
            extra += "Connection: close\r\n"
        self._transport.write(f"HTTP/1.1 {status} X\r\n{extra}Content-Length: 0\r\n\r\n".encode())
        if not behaviour.get("keeps", True):
            self._transport.close()


def _status(behaviour: dict[str, Any], id_: str, attempts_before: int) -> int:
    if behaviour.get("hangs"):
        return _HANGING
    if behaviour.get("closes"):
        return _CLOSED
    is_chosen = zlib.crc32(id_.encode()) % 100 < behaviour.get("fails_percent", 100)
    if is_chosen and attempts_before < behaviour.get("fails_first", 0):
        return int(behaviour["failure_status"])
    return int(behaviour["status"])


def _is_accepted(status: int) -> bool:
    return 200 <= status < 300


def _header(head: bytes, lowered: bytes, name: bytes) -> bytes:
    """The header's value as sent; empty when absent. ``lowered`` is ``head`` in lower case."""
    at = lowered.find(b"\r\n" + name + b":")
    if at < 0:
        return b""
    start = at + len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()


def _check_signature(path: Path, head: bytes, lowered: bytes, body: bytes) -> None:
    rule = path.signature
    if rule is None or path.requests % rule["every"]:
        return
    path.checked += 1
    given = _header(head, lowered, rule["header"].lower().encode())
    if rule["scheme"] == "standard-webhooks":
        id_ = _header(head, lowered, b"webhook-id")
        timestamp = _header(head, lowered, b"webhook-timestamp")
        key = base64.b64decode(rule["secret"].removeprefix("whsec_"))
        digest = hmac.digest(key, b".".join((id_, timestamp, body)), hashlib.sha256)
        is_right = b"v1," + base64.b64encode(digest) in given.split(b" ")
        is_right = is_right and abs(time.time() - int(timestamp)) < 300
    else:
        digest = hmac.digest(rule["secret"].encode(), body, hashlib.sha256)
        is_right = given == rule["prefix"].encode() + digest.hex().encode()
    if not is_right:
        path.bad_signatures += 1


def _obey(memory: Memory, order: dict[str, Any]) -> object:
    match order["do"]:
        case "behave":
            memory.path(order["path"]).behaviour = order["behaviour"]
        case "check":
            memory.path(order["path"]).signature = order["signature"]
        case "forget":
            for path in memory.paths.values():
                path.seen, path.accepted, path.requests, path.checked = {}, 0, 0, 0
                path.bad_signatures, path.without_id = 0, 0
        case "counts":
            return {name: _counts(path) for name, path in memory.paths.items()}
        case "seen":
            return {
                name: {id_: [one.attempts, one.bodies_differ] for id_, one in path.seen.items()}
                for name, path in memory.paths.items()
            }
        case unknown:
            raise ValueError(f"unknown order {unknown!r}")
    return None


def _counts(path: Path) -> dict[str, int]:
    return {
        "requests": path.requests,
        "ids": len(path.seen),
        "accepted": path.accepted,
        "checked": path.checked,
        "bad_signatures": path.bad_signatures,
        "without_id": path.without_id,
    }


async def _serve(host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    memory = Memory()
    server = await loop.create_server(lambda: Connection(memory), host, port, backlog=1_024)
    _say(server.sockets[0].getsockname()[1])
    orders = asyncio.StreamReader(limit=_ORDER_BYTES_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        _say(_obey(memory, json.loads(line)))


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(sys.argv[1], int(sys.argv[2])))
