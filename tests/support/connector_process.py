"""``webhook-connector run`` as a process of its own, for tests that stop, kill and restart it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.metrics import Scrape
from tests.support.names import Names
from tests.support.receiver import Signature
from tests.support.waiting import wait_until

_ROOT = Path(__file__).parents[2]
_LISTENING = '"event":"listening"'

SECRET = "a-secret-of-sixteen-bytes"
SIGNATURE = Signature(secret=SECRET, scheme="body-hex", header="x-webhook-signature")
"""How a receiver checks what a :func:`subscription` gets."""


def settings_for(
    names: Names, folder: Path, *, bootstrap_servers: str, topics: Sequence[Mapping[str, Any]],
    quick_to_notice: bool = False, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """Settings of a connector on a test's own names, reading ``folder/subscriptions.yaml``. A group that is
    ``quick_to_notice`` gives a killed member up after 3 s instead of 45. Deliveries are as the product makes
    them: a breaker opens after five failures in a row, and closes half a minute later."""
    quick = {"session.timeout.ms": 3_000, "heartbeat.interval.ms": 500}
    return {
        "kafka": {"bootstrap_servers": bootstrap_servers, "properties": quick if quick_to_notice else {}},
        "group": names.group,
        "prefix": names.prefix,
        "start": "earliest",
        "topics": list(topics),
        "subscriptions_file": str(folder / "subscriptions.yaml"),
        "own_topics": {"partitions": 2, "allow_single_replica": True},
        "guard": {"allow_http": True, "allow_networks": ["127.0.0.0/8"]},
        "http": {"host": "127.0.0.1", "port": 0},
        **more,
    }


def subscription(id_: str, url: str, **more: Any) -> dict[str, Any]:
    """Every event, signed with :data:`SECRET`, tried again after 1 s and 2 s; ``more`` replaces or adds."""
    return {
        "id": id_,
        "url": url,
        "events": ["*"],
        "dialect": "webhooks-v1",
        "secrets": {"current": SECRET},
        "ladder": ["1s", "2s"],
        **more,
    }


def write_subscriptions(folder: Path, subscriptions: Sequence[Mapping[str, Any]]) -> None:
    """JSON is YAML too. Written beside and moved into place, as a careful editor does."""
    fresh = folder / "subscriptions.yaml.new"
    fresh.write_text(json.dumps({"subscriptions": list(subscriptions)}, indent=1))
    fresh.replace(folder / "subscriptions.yaml")


class ConnectorProcess:
    """A running connector. It ends with the context, by SIGKILL if it must. Several in one folder need
    a ``name`` each."""

    def __init__(
        self, settings: Mapping[str, Any], folder: Path, *arguments: str, name: str = "connector"
    ) -> None:
        self._config = folder / f"{name}.yaml"
        self._config.write_text(json.dumps(settings))
        self._log_file = folder / f"{name}.log"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._begun_at = 0

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start, and return when it listens."""
        self._begun_at = self._log_file.stat().st_size if self._log_file.exists() else 0
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "connector", "run", "--config", str(self._config), *self._arguments],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in os.environ.items() if not name.startswith("WEBHOOK_")},
            )
        try:
            wait_until(lambda: _LISTENING in self.log() or not self.is_running, "the connector listens")
        except BaseException:
            self.kill()  # whoever starts it by a ``with`` is not in there yet
            raise

    def kill(self) -> None:
        """As kill -9."""
        self.process.kill()
        self.process.wait(10)

    def ask_to_stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ask_to_reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def wait(self, timeout_s: float = 60) -> int:
        """The exit code."""
        return self.process.wait(timeout_s)

    def stop(self) -> int:
        """Ask, wait, and return the exit code."""
        self.ask_to_stop()
        return self.wait()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "start it first"
        return self._process

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> ConnectorProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_running:
            self.kill()
        if error is not None:
            sys.stdout.write(self.log()[-20_000:])  # pytest shows it with the failure

    # ── what it says ────────────────────────────────────────────────────────────────────────────

    def log(self) -> str:
        """What it has written since it was last started."""
        if not self._log_file.exists():
            return ""
        with self._log_file.open("rb") as log:
            log.seek(self._begun_at)
            return log.read().decode()

    def said(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of this event."""
        lines = (json.loads(line) for line in self.log().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == event]

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages; status 0 while it does not answer."""
        port = self.said("listening")[-1]["port"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as reply:
            return reply.code, reply.read().decode()
        except OSError:
            return 0, ""

    def text(self, path: str) -> str:
        """The text of one of its pages, as soon as it answers with it."""
        texts: list[str] = []

        def is_answered() -> bool:
            status, text = self.get(path)
            texts.append(text)
            return status == 200

        wait_until(is_answered, f"{path} is answered")
        return texts[-1]

    @property
    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def await_ready(self, timeout_s: float = 30) -> None:
        wait_until(lambda: self.is_ready, "the connector is ready", timeout_s=timeout_s)

    def scrape(self) -> Scrape:
        """All its metrics now. Fails when the sums that must come out do not."""
        scrape = Scrape.of(self.text("/metrics"))
        assert scrape.problems() == []
        return scrape

    def metric(self, name: str, **labels: str) -> float:
        """The sum of one metric over its labels, or those given; ``name`` without the connector's prefix."""
        return self.scrape().sum(name, **labels)
