"""A schema registry of our own on loopback: real HTTP, told how to misbehave.

It passes the same suite as the real one (tests/support/registry_contract.py) while it behaves.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import unquote

import fastavro

Behaviour = Literal[
    "ok",
    "plain-404",     # a 404 that is not the registry's: a proxy's page
    "other-404",     # the registry's own 404 of another kind
    "500",
    "401",
    "hang",          # takes the request and never answers
    "trickle",       # begins an answer and never ends it
    "not-http",      # answers with bytes that are not HTTP
    "html",          # 200, with a page instead of JSON
    "wrong-shape",   # 200, JSON, but no schema in it
    "huge",          # 200, an answer without end
    "compressed",    # 200, gzip that nobody asked for
    "redirect",      # 302 to itself
    "cut",           # closes in the middle of an answer
]


@dataclass
class FakeRegistry:
    """Use it as an asynchronous context manager. ``requests`` are "METHOD path" in order of arrival;
    ``credentials`` what came as ``authorization`` with the last one."""

    tls: ssl.SSLContext | None = None
    behaviour: Behaviour = "ok"
    requests: list[str] = field(default_factory=list)
    credentials: str = ""
    schemas: list[dict[str, Any]] = field(default_factory=list)
    subjects: dict[str, list[int]] = field(default_factory=dict)
    date: str = ""
    """The ``Date`` of its answers; none when empty."""
    held: asyncio.Event | None = None
    """While set to an event, answers wait for it."""

    async def __aenter__(self) -> Self:
        self._closing = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", 0, ssl=self.tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"

    async def stop(self) -> None:
        """From now on connections are refused."""
        self._closing.set()
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    def add(self, subject: str, schema: str, **members: Any) -> int:
        """Register without HTTP; ``members`` are further ones of the answer (references, schemaType)."""
        document = {"schema": schema, **members}
        if document not in self.schemas:
            self.schemas.append(document)
        schema_id = self.schemas.index(document) + 1
        versions = self.subjects.setdefault(subject, [])
        if schema_id not in versions:
            versions.append(schema_id)
        return schema_id

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while head := await self._head(reader):
                request_line, *lines = head.decode().split("\r\n")
                method, path, _ = request_line.split(" ")
                self.credentials = _header(lines, "authorization")
                body = await reader.readexactly(int(_header(lines, "content-length") or "0"))
                self.requests.append(f"{method} {path}")
                if self.held is not None:
                    await self.held.wait()
                if not await self._answer(writer, method, path, body):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return (await reader.readuntil(b"\r\n\r\n"))[:-4]
        except asyncio.IncompleteReadError:
            return b""

    async def _answer(self, writer: asyncio.StreamWriter, method: str, path: str, body: bytes) -> bool:
        """Whether the connection may carry a further request."""
        match self.behaviour:
            case "ok":
                status, document = self._route(method, path, body)
                extra = f"date: {self.date}\r\n" if self.date else ""
                writer.write(_http(status, json.dumps(document).encode(), extra=extra))
                return True
            case "plain-404":
                writer.write(_http(404, b"404 page not found", content_type="text/plain"))
                return True
            case "other-404":
                writer.write(_http(404, b'{"error_code": 404, "message": "HTTP 404 Not Found"}'))
                return True
            case "500":
                writer.write(_http(500, b'{"error_code": 50001, "message": "Error in the backend"}'))
                return True
            case "401":
                writer.write(_http(401, b'{"error_code": 401, "message": "Unauthorized"}'))
                return True
            case "html":
                writer.write(_http(200, b"<html>Welcome to the hotel</html>", content_type="text/html"))
                return True
            case "wrong-shape":
                writer.write(_http(200, b'{"schema": ["int"], "id": "seven", "references": 3}'))
                return True
            case "compressed":
                writer.write(_http(200, b"\x1f\x8b", extra="content-encoding: gzip\r\n"))
                return True
            case "redirect":
                writer.write(_http(302, b"", extra=f"location: {self.url}{path}\r\n"))
                return True
            case "not-http":
                writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
                return False
            case "cut":
                writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"schema"')
                return False
            case "trickle":
                writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"schema"')
                await self._closing.wait()
                return False
            case "huge":
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                while not self._closing.is_set():
                    writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
                    await writer.drain()
                return False
            case "hang":
                await self._closing.wait()
                return False

    def _route(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        match [method, *(unquote(part) for part in path.strip("/").split("/"))]:
            case ["GET", "schemas", "ids", text]:
                number = int(text)
                if not 1 <= number <= len(self.schemas):
                    return 404, {"error_code": 40403, "message": f"Schema {number} not found"}
                return 200, self.schemas[number - 1]
            case ["GET", "subjects"]:
                return 200, list(self.subjects)
            case ["GET", "subjects", subject, "versions", version]:
                schema_id = self.subjects[subject][int(version) - 1]
                return 200, {"subject": subject, "version": int(version), **self.schemas[schema_id - 1]}
            case ["POST", "subjects", subject, "versions"]:
                document = json.loads(body)
                try:
                    if not document.get("references"):
                        fastavro.parse_schema(json.loads(document["schema"]))
                except (ValueError, fastavro.schema.SchemaParseException, fastavro.schema.UnknownType):
                    return 422, {"error_code": 42201, "message": "Invalid Avro schema"}
                return 200, {"id": self.add(subject, **document)}
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}


def _header(lines: list[str], name: str) -> str:
    return next((line.partition(": ")[2] for line in lines if line.lower().startswith(f"{name}:")), "")


def _http(status: int, body: bytes, *, content_type: str = "application/json", extra: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\n{extra}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
