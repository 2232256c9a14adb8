"""Writes a record byte by byte, as no client library would: for what a broken producer may have written.

Speaks just enough of Kafka's protocol: one Produce request (version 3) with one batch of one record. The
broker checks the batch's checksum and lengths and takes the rest as it is.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence

_PRODUCE = 0
_VERSION = 3
_TIMEOUT_S = 10
_CASTAGNOLI = 0x82F63B78


def produce_raw(
    bootstrap_server: str,
    topic: str,
    *,
    partition: int = 0,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[bytes, bytes | None]] = (),
) -> int:
    """Write one record to the leader of ``partition``, which must be ``bootstrap_server`` (host:port).
    Header names are bytes. Returns its offset; fails when the broker refuses."""
    batch = _batch(_record(key, value, headers), timestamp_ms=time.time_ns() // 1_000_000)
    name = topic.encode()
    body = struct.pack(">hhiih", _PRODUCE, _VERSION, 1, -1, -1)[:8]  # api, version, correlation
    body += struct.pack(">h", -1)  # client id: null
    body += struct.pack(">hhi", -1, -1, _TIMEOUT_S * 1_000)  # no transaction, all in-sync replicas
    body += struct.pack(">ih", 1, len(name)) + name + struct.pack(">iii", 1, partition, len(batch)) + batch
    host, _, port = bootstrap_server.rpartition(":")
    with socket.create_connection((host, int(port)), _TIMEOUT_S) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        reply = _read(connection, struct.unpack(">i", _read(connection, 4))[0])
    # Behind the correlation: one topic, its name, one partition.
    error, offset = struct.unpack_from(">hq", reply, 4 + 4 + 2 + len(name) + 4 + 4)
    assert error == 0, f"the broker refused the record with error {error}"
    return int(offset)


def _batch(record: bytes, *, timestamp_ms: int) -> bytes:
    checked = struct.pack(">hiqqqhii", 0, 0, timestamp_ms, timestamp_ms, -1, -1, -1, 1) + record
    tail = struct.pack(">ibI", -1, 2, _crc32c(checked)) + checked
    return struct.pack(">qi", 0, len(tail)) + tail


def _record(
    key: bytes | None, value: bytes | None, headers: Sequence[tuple[bytes, bytes | None]]
) -> bytes:
    body = b"\x00" + _varint(0) + _varint(0) + _sized(key) + _sized(value) + _varint(len(headers))
    body += b"".join(_sized(name) + _sized(content) for name, content in headers)
    return _varint(len(body)) + body


def _sized(content: bytes | None) -> bytes:
    return _varint(-1) if content is None else _varint(len(content)) + content


def _varint(number: int) -> bytes:
    zigzag = (number << 1) ^ (number >> 63)
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _read(connection: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        chunk = connection.recv(size - len(read))
        assert chunk, "the broker closed the connection"
        read += chunk
    return read
