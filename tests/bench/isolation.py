"""What bad endpoints cost the good ones: the same work with all endpoints well, some hanging, many dead.

Each mix is measured twice: a backlog, whose good share is delivered as fast as it goes (throughput), and a
steady pace, from the moment a record was made to its arrival (latency). A good endpoint's throughput is that
of all good ones by their number, so that runs with fewer of them compare.
"""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.testbed import KafkaCluster
from tests.bench.cpu import peak_memory_mb, tree_cpu_s
from tests.bench.receiver import Receiver
from tests.bench.workload import TYPE_FIELD, Records, produce_steadily, subscriptions
from tests.support.connector_process import ConnectorProcess, settings_for, write_subscriptions
from tests.support.names import Names

DELAY_S = 0.05
_LADDER = ["5s", "30s", "2m", "5m"]  # so that the end of a backlog can be waited for
_COUNTED = (0.2, 0.8)  # of a backlog's good deliveries: connections are opened before, the last ones are few
_RUN_S_MAX = 180.0
_DRAIN_S_MAX = 900.0  # a cool-down, and the tier it was diverted to
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Mix:
    """``bad`` of ``hosts`` endpoints either hang, or are dead: their port refuses connections."""

    name: str
    hosts: int
    bad: int
    is_dead: bool = False

    @property
    def good(self) -> int:
        return self.hosts - self.bad


@dataclass(frozen=True, slots=True)
class Isolated:
    """Of one backlog. ``per_good_s`` is deliveries per second and good endpoint. ``fetched_bytes`` came from
    the brokers in all, ``letters`` were read from the tiers."""

    per_good_s: float
    per_cpu_s: float
    fetched_bytes: int
    letters: int
    peak_memory_mb: float


@dataclass(frozen=True, slots=True)
class Steady:
    """Of the good endpoints' deliveries at a steady pace."""

    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Recovery:
    """One endpoint stops and comes back. The others' latencies before it did, while it was away and while its
    backlog drained; how long that took, and how many deliveries it was."""

    before: Steady
    away: Steady
    draining: Steady
    drained_s: float
    backlog: int
    peak_memory_mb: float


class IsolationBench:
    """Runs mixes on one cluster, one registry and one receiver."""

    def __init__(self, cluster: KafkaCluster, registry_url: str, receiver: Receiver) -> None:
        self._cluster = cluster
        self._registry_url = registry_url
        self._receiver = receiver
        with socket.socket() as reserved:
            # Bound once and never listened on: connections to this port are refused.
            reserved.bind(("127.0.0.1", 0))
            self._dead_port = reserved.getsockname()[1]

    def backlog(self, mix: Mix, topic: str, *, records: int) -> Isolated:
        """Deliver what lies in ``topic``."""
        expected = records * mix.good // mix.hosts
        with self._connector(mix, topic, start="earliest") as connector:
            pid = connector.process.pid
            begun = self._await_requests(int(expected * _COUNTED[0]))
            begun_s, begun_cpu_s = time.monotonic(), tree_cpu_s(pid)
            ended = self._await_requests(int(expected * _COUNTED[1]))
            wall_s, cpu_s = time.monotonic() - begun_s, tree_cpu_s(pid) - begun_cpu_s
            self._await_requests(expected)
            fetched_bytes = _received_bytes(pid, self._cluster.bootstrap_servers)
            letters = int(connector.metric("tier_records_read_total"))
            memory_mb = peak_memory_mb(pid)
        delivered = ended - begun
        return Isolated(
            per_good_s=delivered / wall_s / mix.good,
            per_cpu_s=delivered / cpu_s,
            fetched_bytes=fetched_bytes,
            letters=letters,
            peak_memory_mb=memory_mb,
        )

    def steady(self, mix: Mix, topic: str, records: Records, *, per_second: int, seconds: int) -> Steady:
        """Deliver ``per_second`` for ``seconds``, after as long again to settle in."""
        with self._connector(mix, topic, start="latest"):
            produce_steadily(
                self._cluster, topic, records, count=per_second * seconds, per_second=per_second
            )
            time.sleep(1)
            return self._timed(topic, records, per_second, seconds, good=mix.good, hosts=mix.hosts)

    def recovery(
        self, topic: str, records: Records, *, hosts: int, per_second: int, away_s: int, seconds: int
    ) -> Recovery:
        """One of ``hosts`` endpoints hangs for ``away_s``; the rest is timed for ``seconds`` at a time."""
        mix = Mix("one of many", hosts, 0)
        one = self._receiver.urls(1)

        def timed() -> Steady:
            return self._timed(topic, records, per_second, seconds, good=hosts - 1, hosts=hosts)

        with self._connector(mix, topic, start="latest") as connector:
            self._receiver.behave(delay_s=DELAY_S, apart=one)
            timed()
            before = timed()
            self._receiver.behave(delay_s=DELAY_S, hanging=one, apart=one)
            back_at_s = time.monotonic() + away_s
            away, backlog = [], 0
            while time.monotonic() < back_at_s:
                away.append(timed())
                backlog += per_second * seconds // hosts
            self._receiver.behave(delay_s=DELAY_S, apart=one)
            back_s = time.monotonic()
            draining = timed()
            while (drained := self._receiver.counts().requests_apart) < backlog:
                if time.monotonic() - back_s > _DRAIN_S_MAX:
                    raise RuntimeError(f"of a backlog of {backlog}, {drained} came")
                time.sleep(_POLL_S)
            return Recovery(
                before=before,
                away=max(away, key=lambda one: one.p99_ms),
                draining=draining,
                drained_s=time.monotonic() - back_s,
                backlog=backlog,
                peak_memory_mb=peak_memory_mb(connector.process.pid),
            )

    def _timed(
        self, topic: str, records: Records, per_second: int, seconds: int, *, good: int, hosts: int
    ) -> Steady:
        self._receiver.reset(is_timing=True)
        count = per_second * seconds
        produce_steadily(self._cluster, topic, records, count=count, per_second=per_second)
        self._await_requests(int(count * good / hosts * 0.99))
        latencies_ms = sorted(self._receiver.latencies_ms())
        return Steady(latencies_ms[len(latencies_ms) // 2], latencies_ms[len(latencies_ms) * 99 // 100])

    @contextmanager
    def _connector(self, mix: Mix, topic: str, *, start: str) -> Iterator[ConnectorProcess]:
        urls = self._receiver.urls(mix.hosts)
        bad = range(0, mix.hosts, mix.hosts // mix.bad) if mix.bad else range(0)
        self._receiver.reset()
        self._receiver.behave(delay_s=DELAY_S, hanging=() if mix.is_dead else [urls[place] for place in bad])
        if mix.is_dead:
            for place in bad:
                urls[place] = urls[place].replace(f":{self._receiver.port}/", f":{self._dead_port}/")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            declared = subscriptions(urls, mix.hosts)
            for one in declared:
                one["ladder"] = _LADDER
            write_subscriptions(folder, declared)
            settings = settings_for(
                Names.of("bench"),
                folder,
                bootstrap_servers=self._cluster.bootstrap_servers,
                topics=[{"name": topic, "type": {"field": TYPE_FIELD}}],
                registry={"urls": [self._registry_url]},
                delivery={},  # as the product comes, its breaker included
                start=start,
            )
            with ConnectorProcess(settings, folder) as connector:
                connector.await_ready()
                yield connector
                connector.ask_to_stop()
                connector.ask_to_stop()  # what hangs need not be waited for
                connector.wait()

    def _await_requests(self, count: int) -> int:
        deadline_s = time.monotonic() + _RUN_S_MAX
        while (requests := self._receiver.counts().requests) < count:
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"only {requests} of {count} POSTs came within {_RUN_S_MAX:.0f} s")
            time.sleep(_POLL_S)
        return requests


def _received_bytes(pid: int, bootstrap_servers: str) -> int:
    """What this process's connections to the brokers have received so far, as the kernel counts it."""
    ports = {server.rpartition(":")[2] for server in bootstrap_servers.split(",")}
    shown = subprocess.run(["ss", "-tnpiOH"], check=True, capture_output=True, text=True).stdout
    return sum(_received(line) for line in shown.splitlines() if _is_of(line, pid, ports))


def _is_of(line: str, pid: int, ports: Sequence[str] | set[str]) -> bool:
    fields = line.split()
    return len(fields) > 4 and fields[4].rpartition(":")[2] in ports and f"pid={pid}," in line


def _received(line: str) -> int:
    found = re.search(r"bytes_received:(\d+)", line)
    return int(found[1]) if found else 0
