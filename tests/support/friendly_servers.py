"""Receivers by other makers, each a process of its own: Node.js, uvicorn, hypercorn, Go's net/http, nginx.

All answer a POST with 201 and its protocol, method, path and length, read to its end. Given a PEM file with a
key and its certificates they speak HTTP/2, over TLS.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.support.node_receivers import node_program
from tests.support.waiting import wait_until

_NODE = """
const [certificate] = process.argv.slice(1);
const pem = certificate && require("node:fs").readFileSync(certificate);
const create = pem
  ? (answer) => require("node:http2").createSecureServer({ key: pem, cert: pem }, answer)
  : require("node:http").createServer;
const server = create((request, response) => {
  let length = 0;
  request.on("data", (piece) => { length += piece.length; });
  request.on("end", () => {
    response.statusCode = 201;
    response.end(`HTTP/${request.httpVersion} ${request.method} ${request.url} ${length}`);
  });
});
server.keepAliveTimeout = 200;
server.listen(0, "0.0.0.0", () => console.log(server.address().port));
"""

_APPLICATION = """
import asyncio, socket, sys
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    version = {"1.1": "1.1", "2": "2.0"}[scope["http_version"]]
    body = f"HTTP/{version} {scope['method']} {scope['path']} {length}".encode()
    await send({"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"b")]})
    await send({"type": "http.response.body", "body": body})
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
"""

_UVICORN = f"""{_APPLICATION}
import uvicorn
config = uvicorn.Config(app, log_level="error", lifespan="off")
asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))
"""

_HYPERCORN = f"""{_APPLICATION}
from hypercorn.asyncio import serve
from hypercorn.config import Config
config = Config()
config.bind, config.loglevel = [f"fd://{{listener.fileno()}}"], "CRITICAL"
if len(sys.argv) > 1:
    config.certfile = config.keyfile = sys.argv[1]
asyncio.run(serve(app, config))
"""

_GO = """
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

func main() {
	log.SetOutput(io.Discard)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		length, _ := io.Copy(io.Discard, r.Body)
		w.WriteHeader(201)
		fmt.Fprintf(w, "%s %s %s %d", r.Proto, r.Method, r.URL.Path, length)
	})
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	if len(os.Args) == 1 {
		http.Serve(listener, handler)
		return
	}
	if len(os.Args) == 2 {
		http.ServeTLS(listener, handler, os.Args[1], os.Args[1])
		return
	}
	pem, _ := os.ReadFile(os.Args[3])
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(pem)
	server := &http.Server{Handler: handler, TLSConfig: &tls.Config{
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authorities}}
	server.ServeTLS(listener, os.Args[1], os.Args[2])
}
"""

_NGINX = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
events {{}}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  client_max_body_size 10m;
  keepalive_requests {requests};
  server {{
    listen 127.0.0.1:{port} {tls};
    location / {{ return 201 "$server_protocol $request_method $uri $content_length"; }}
  }}
}}
"""

_NGINX_TLS = """ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_client_certificate {authorities};
    ssl_verify_client on"""

_NGINX_HTTP2 = """ssl http2;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """PEM files of a server that wants a client's certificate of these authorities."""

    certificate: Path
    key: Path
    authorities: Path


Serving = Callable[[], AbstractAsyncContextManager[int]]
"""Starts a server; yields its port."""


@asynccontextmanager
async def _running(*command: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@asynccontextmanager
async def _printing_its_port(*command: str | Path) -> AsyncIterator[int]:
    async with _running(*command) as process:
        assert process.stdout is not None
        yield int(await asyncio.wait_for(process.stdout.readline(), 30))


def node(certificate: Path | None = None) -> AbstractAsyncContextManager[int]:
    """Over http closes connections that were idle for 200 ms; listens on all of 127.0.0.0/8."""
    return _printing_its_port(node_program(), "-e", _NODE, *_given(certificate))


def uvicorn() -> AbstractAsyncContextManager[int]:
    return _printing_its_port(sys.executable, "-c", _UVICORN)


def hypercorn(certificate: Path | None = None) -> AbstractAsyncContextManager[int]:
    return _printing_its_port(sys.executable, "-c", _HYPERCORN, *_given(certificate))


@asynccontextmanager
async def go(
    folder: Path, asking: Asking | None = None, certificate: Path | None = None
) -> AsyncIterator[int]:
    """Built in ``folder``; the first time on a machine that takes a minute, for Go builds its library."""
    program = folder / "receiver"
    if not program.exists():
        (folder / "receiver.go").write_text(_GO)
        await _build_go(folder, program)
    files = _given(certificate)
    if asking is not None:
        files = [asking.certificate, asking.key, asking.authorities]
    async with _printing_its_port(program, *files) as port:
        yield port


async def _build_go(folder: Path, program: Path) -> None:
    package = find_spec("go")
    assert package is not None
    assert package.submodule_search_locations is not None
    compiler = Path(package.submodule_search_locations[0]) / "bin" / "go"
    settings = ["GO111MODULE=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0", f"GOROOT={compiler.parents[1]}"]
    async with _running(
        "env", *settings, compiler, "build", "-o", program, folder / "receiver.go"
    ) as process:
        assert await process.wait() == 0


@asynccontextmanager
async def nginx(
    folder: Path, asking: Asking | None = None, certificate: Path | None = None
) -> AsyncIterator[int]:
    """Closes each connection after 7 requests, one of HTTP/2 after 25. Its files are in ``folder``."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    assert program is not None, "nginx is missing: run 'apt-get install nginx' as root"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    tls, requests = "", 7
    if certificate is not None:
        tls, requests = _NGINX_HTTP2.format(certificate=certificate), 25
    elif asking is not None:
        tls = _NGINX_TLS.format(
            certificate=asking.certificate, key=asking.key, authorities=asking.authorities
        )
    (folder / "nginx.conf").write_text(_NGINX.format(port=port, tls=tls, requests=requests))
    async with _running(program, "-p", folder, "-c", "nginx.conf", "-e", "stderr") as process:

        def has_ended() -> bool:
            return process.returncode is not None

        await asyncio.to_thread(wait_until, lambda: has_ended() or _listens(port), "nginx listens")
        assert not has_ended(), "nginx has said why"
        yield port


def _given(certificate: Path | None) -> list[Path]:
    return [] if certificate is None else [certificate]


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
