"""The handle of the fast receiver; the process itself is :mod:`tests.bench.receiver_program`."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_PROGRAM = Path(__file__).with_name("receiver_program.py")
_POLL_S = 0.02


class Counts(NamedTuple):
    """Since the last reset: POSTs, signatures checked and found wrong, and POSTs to endpoints set apart."""

    requests: int
    checked: int
    bad_signatures: int
    requests_apart: int


class Receiver:
    """A running receiver with ``hosts`` addresses. Use it as a context manager."""

    def __init__(self, *, hosts: int, secret: str) -> None:
        self._addresses = [f"127.0.{1 + place // 250}.{1 + place % 250}" for place in range(hosts)]
        self._process = subprocess.Popen(
            [sys.executable, str(_PROGRAM), secret],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._port = int(self._answer())
        self._refusing = socket.socket()
        self._refusing.bind(("127.0.0.1", 0))  # and never listened on, so that nobody else does

    def urls(self, count: int) -> list[str]:
        """The endpoints of the first ``count`` hosts."""
        return [f"http://{address}:{self._port}/hooks" for address in self._addresses[:count]]

    def refused(self, url: str) -> str:
        """The same endpoint at a port that refuses connections."""
        return url.replace(f":{self._port}/", f":{self._refusing.getsockname()[1]}/")

    def behave(self, *, delay_s: float, hanging: Sequence[str] = (), apart: Sequence[str] = ()) -> None:
        """Answer after so long; those of the ``hanging`` URLs never, and they are not counted. Those set
        ``apart`` are counted apart."""
        self._ask(do="behave", delay_s=delay_s, hanging=_hosts(hanging), apart=_hosts(apart))

    def reset(self, *, is_awake: bool = False) -> None:
        """Forget what came, and time nothing. From now on wait for requests asleep, as a server does, or
        awake, so that whoever sends is not billed for waking it."""
        self._ask(do="reset", is_awake=is_awake)

    def time(self, phase: str) -> None:
        """From now on time stamped records, and keep that under ``phase``; none when it is empty."""
        self._ask(do="time", phase=phase)

    def counts(self) -> Counts:
        return Counts(*self._ask(do="counts"))

    def await_requests(self, count: int, *, within_s: float) -> int:
        """Wait until so many POSTs have come, those set apart not counted; how many have. Fewer when the
        time is over."""
        deadline_s = time.monotonic() + within_s
        while (requests := self.counts().requests) < count and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
        return requests

    def latencies_ms(self, phase: str) -> dict[str, list[float]]:
        """Of every stamped record of that phase, from its stamp to its arrival here, by the host of its
        endpoint."""
        found: dict[str, list[int]] = self._ask(do="latencies", phase=phase)
        return {host: [latency_ns / 1e6 for latency_ns in latencies] for host, latencies in found.items()}

    def __enter__(self) -> Receiver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._refusing.close()

    def _ask(self, **order: object) -> Any:  # whatever the order's answer is
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the receiver ended with {self._process.wait()}")
        return line


def _hosts(urls: Sequence[str]) -> list[str | None]:
    return [urlsplit(url).hostname for url in urls]
