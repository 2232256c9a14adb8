from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from connector.core.composer import compile_composer
from connector.core.dialect import BELLAMY, STANDARD_WEBHOOKS, Dialect
from connector.core.event import Event
from connector.core.subscription import Secrets
from tests.support.waiting import wait_until

TEXT = "whsec_abc123"
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True, slots=True)
class Program:
    """The receivers as a program of their own, as in a container; bellamy's never answers."""

    process: subprocess.Popen[bytes]
    port: int

    def is_up(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz").is_success
        except httpx.TransportError:
            return False

    def counters(self, path: str) -> dict[str, Any]:
        counters: dict[str, Any] = httpx.get(f"http://127.0.0.1:{self.port}/").json()[path]
        return counters

    def send(self, path: str, dialect: Dialect, secret: str) -> socket.socket:
        composer = compile_composer(dialect, Secrets(current=secret))
        headers, body = composer.compose(Event("post.created", "evt_1", 0, 0, b"{}"), int(time.time()))
        head = b"POST %b HTTP/1.1\r\nHost: partner\r\nContent-Length: %d\r\n" % (path.encode(), len(body))
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.sendall(head + headers + b"\r\n" + body)
        return connection


@pytest.fixture
def program() -> Iterator[Program]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            sys.executable, "-m", "connector.demo.receivers",
            "--port", str(port), "--behave", "bellamy=hanging",
        ],
        env={**os.environ, "RECEIVER_SECRET_STANDARD_WEBHOOKS": STANDARD, "RECEIVER_SECRET_BELLAMY": TEXT},
        stderr=subprocess.DEVNULL,
    )
    running = Program(process, port)
    try:
        wait_until(running.is_up, "the receivers answer")
        yield running
    finally:
        process.kill()
        process.wait()


def test_the_program_verifies_and_counts(program: Program) -> None:
    with program.send("/standard-webhooks", STANDARD_WEBHOOKS, STANDARD) as connection:
        reply = connection.recv(1024)

    assert reply.startswith(b"HTTP/1.1 200 ")
    assert program.counters("/standard-webhooks")["accepted"] == 1


def test_the_program_ends_on_sigterm_although_a_request_hangs(program: Program) -> None:
    with program.send("/bellamy", BELLAMY, TEXT):
        wait_until(lambda: program.counters("/bellamy")["hung"] == 1, "the request hangs")

        program.process.terminate()

        assert program.process.wait(timeout=10) is not None
