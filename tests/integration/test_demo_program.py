"""The demo as people start it: in full length, on a pipe, on a terminal, and on a real Kafka."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from connector.avro.registry import SchemaRegistry
from connector.avro.registry_http import RegistrySettings
from connector.core.start import Start
from connector.demo.cluster import RealCluster
from connector.demo.scenario import Scenario
from connector.demo.seed import seed
from connector.engine.ports import TopicPartition
from connector.kafka.access import Access
from connector.kafka.cluster import APACHE_KAFKA, Cluster
from connector.kafka.errors import KafkaTrouble
from connector.settings.kafka import KafkaSettings
from deploy.testbed import KafkaCluster, Registry
from tests.support.fake_registry import FakeRegistry
from tests.support.names import Names

COMMAND = [sys.executable, "-m", "connector", "demo"]
SCRIPT = str(Path(__file__).parents[2] / "deploy" / "demo")
LEAVES_THE_SCREEN = "\x1b[?1049l"


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    output: str


@dataclass(frozen=True, slots=True)
class Shows:
    plain: Ended
    terminal: Ended
    real: Ended
    real_servers: str
    script: Ended
    interrupted: Ended
    terminated: Ended
    unanswered: Ended


@pytest.fixture(scope="module")
def shows(kafka: KafkaCluster, shared_registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Shows:
    """All demos at once: each takes half a minute at most, and most of that is waiting."""
    environment = {**os.environ, "TMPDIR": str(tmp_path_factory.mktemp("demo")), "TERM": "xterm-256color"}
    with (
        on_a_pipe([], environment) as plain,
        on_a_pipe(["--bootstrap-servers", kafka.bootstrap_servers], environment) as real,
        on_a_terminal(environment) as terminal,
        on_a_pipe(
            ["--kafka", "apache", "--registry-url", shared_registry.url], environment, command=[SCRIPT]
        ) as script,
        on_a_pipe([], environment) as interrupted,
        on_a_pipe([], environment) as terminated,
        on_a_pipe(["--bootstrap-servers", "127.0.0.1:1"], environment) as unanswered,
    ):
        return Shows(
            interrupted=cut_short(interrupted, signal.SIGINT),
            terminated=cut_short(terminated, signal.SIGTERM),
            unanswered=ended(unanswered),
            plain=ended(plain),
            terminal=terminal.ended(),
            real=ended(real),
            real_servers=kafka.bootstrap_servers,
            script=ended(script),
        )


@contextmanager
def on_a_pipe(
    arguments: list[str], environment: dict[str, str], *, command: list[str] = COMMAND
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*command, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell that runs the tests in the background ignores SIGINT on behalf of all below it.
        preexec_fn=_heed_interrupts,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def ended(process: subprocess.Popen[str]) -> Ended:
    output, _ = process.communicate()
    return Ended(process.returncode, output)


def cut_short(process: subprocess.Popen[str], number: signal.Signals) -> Ended:
    """Send a signal once events arrive."""
    assert process.stdout is not None
    for line in process.stdout:
        if "events arrive" in line:
            break
    process.send_signal(number)
    return ended(process)


class Terminal:
    """A program on a terminal of 120 by 40, and everything it writes there."""

    def __init__(self, process: subprocess.Popen[bytes], reader: int) -> None:
        self._process = process
        self._reader = reader
        self._output = bytearray()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def ended(self) -> Ended:
        code = self._process.wait(timeout=100)
        self._thread.join()
        return Ended(code, self._output.decode())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()
        os.close(self._reader)

    def _read(self) -> None:
        try:
            while chunk := os.read(self._reader, 65_536):
                self._output += chunk
        except OSError:  # how Linux says that the other side has gone
            return


@contextmanager
def on_a_terminal(environment: dict[str, str]) -> Iterator[Terminal]:
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(COMMAND, env=environment, stdin=writer, stdout=writer, stderr=writer)
    os.close(writer)
    terminal = Terminal(process, reader)
    try:
        yield terminal
    finally:
        terminal.close()


# ── in full length ──────────────────────────────────────────────────────────────────────────────


def test_on_a_pipe_it_prints_lines_and_a_verdict(shows: Shows) -> None:
    output = shows.plain.output

    assert shows.plain.code == 0, output
    assert "on the Kafka client's built-in cluster, inside this process: no real Kafka" in output
    assert "shortened to be watched: retries after 1s, 2s, 4s, timeouts of 1s" in output
    assert "events arrive" in output
    assert "the last retries" in output
    assert "dead letters: exhausted" in output
    assert "✓ every signature verified" in output
    assert "✓ nothing lost: 1,694 deliveries owed" in output
    assert "✓ records add up" in output
    assert "✓ deliveries add up" in output
    assert "OK: 920 records written, nothing lost, every signature verified" in output
    assert "\x1b" not in output


def test_on_a_terminal_it_draws_a_picture_and_leaves_the_verdict(shows: Shows) -> None:
    output = shows.terminal.output
    picture, _, rest = output.rpartition(LEAVES_THE_SCREEN)

    assert shows.terminal.code == 0, output
    for words in ("35 domain topics", "8 endpoints", "RETRY TIER", "DEAD LETTERS", "OFFSETS COMMITTED"):
        assert words in picture
    assert "OK: 920 records written" in rest


def test_on_a_real_kafka_it_does_the_same_and_leaves_nothing_behind(shows: Shows) -> None:
    kafka = Cluster(Access(bootstrap_servers=shows.real_servers), APACHE_KAFKA)

    assert shows.real.code == 0, shows.real.output
    assert f"on Kafka at {shows.real_servers}; all names begin with demo-" in shows.real.output
    assert "✓ nothing lost: 1,694 deliveries owed" in shows.real.output
    assert [name for name in kafka.names() if name.startswith("demo-")] == []


async def test_the_script_starts_an_apache_kafka_itself_and_may_be_given_a_registry(
    shows: Shows, shared_registry: Registry
) -> None:
    registry = SchemaRegistry(RegistrySettings(urls=(shared_registry.url,)))
    subjects = await registry.subjects()
    await registry.close()

    assert shows.script.code == 0, shows.script.output
    assert "starting Apache Kafka (1 node)" in shows.script.output
    assert "✓ nothing lost: 1,694 deliveries owed" in shows.script.output
    assert isinstance(subjects, tuple)
    assert sum(name.startswith("webhook-connector-demo.") for name in subjects) == 35


# ── cut short ───────────────────────────────────────────────────────────────────────────────────


def test_ctrl_c_and_sigterm_end_it_in_good_order(shows: Shows) -> None:
    for cut in (shows.interrupted, shows.terminated):
        assert cut.code == 130
        assert "Traceback" not in cut.output


def test_a_kafka_that_does_not_answer_is_named(shows: Shows) -> None:
    assert shows.unanswered.code == 3
    assert "Kafka at 127.0.0.1:1: the cluster does not answer" in shows.unanswered.output
    assert "Traceback" not in shows.unanswered.output


# ── only filled ─────────────────────────────────────────────────────────────────────────────────


async def test_topics_are_filled_once(
    kafka: KafkaCluster, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the brokers do not know yet who leads the new topics, as happens for a moment."""
    offsets, refusals = Cluster.offsets, ["Broker: Not leader for partition"] * 3

    def not_at_once(self: Cluster, tps: Iterable[TopicPartition], start: Start) -> dict[TopicPartition, int]:
        if refusals:
            raise KafkaTrouble(refusals.pop())
        return offsets(self, tps, start)

    monkeypatch.setattr(Cluster, "offsets", not_at_once)
    scenario = Scenario(partners=(), rates_per_s=(50,), oddities=("corrupt", "tombstone"))
    reach = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    cluster = RealCluster(reach, topic_prefix=f"{names.topic()}.", keep_topics=False)
    faults: list[str] = []

    async with FakeRegistry() as fake:
        registry = SchemaRegistry(RegistrySettings(urls=(fake.url,)))

        async def fill() -> int:
            return await seed(
                cluster,
                registry,
                scenario,
                name="seed-1",
                progress=lambda *_: None,
                faulted=faults.append,
            )

        counts = [await fill(), await fill()]
        await registry.close()
    cluster.close(groups=[])

    assert counts == [50, 0]
    assert faults == []
    assert refusals == []
