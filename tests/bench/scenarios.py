"""What is measured, a run each: a backlog delivered, a steady pace timed, and senders alone beside them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Any, Literal

from tests.bench.bed import Bed
from tests.bench.calibration import Slowness
from tests.bench.cpu import peak_memory_mb, thread_cpu_s, tree_cpu_s
from tests.bench.workload import Records, produce_steadily, subscriptions
from tests.support.connector_process import ConnectorProcess

_SENDER_HOSTS = 20
_WARM_SHARE = 0.1
_WARM_RECORDS = 2_000
_RUN_S_MAX = 120.0
_PHASE = "paced"
_AS_IT_COMES: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Delivered:
    """A backlog delivered. The first tenth is not counted: connections are opened in it. ``slowness`` is the
    machine's meanwhile."""

    per_cpu_s: float
    slowness: float
    per_s: float
    peak_memory_mb: float
    us_by_thread: dict[str, float]

    @property
    def per_usual_cpu_s(self) -> float:
        """Per CPU second of a machine that is as fast as it usually is."""
        return self.per_cpu_s * self.slowness


@dataclass(frozen=True, slots=True)
class Paced:
    """A steady pace: from the moment a record was stamped to its arrival at the receiver, in ms."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    us_per_delivery: float


class Bench:
    """Runs scenarios on one bed."""

    def __init__(self, bed: Bed, records: Records) -> None:
        self._bed = bed
        self._receiver = bed.receiver
        self._records = records

    def deliver(
        self,
        topic: str,
        *,
        records: int,
        hosts: int,
        is_awake: bool = True,
        rate_per_s: float | None = None,
        delivery: Mapping[str, Any] = _AS_IT_COMES,
    ) -> Delivered:
        """Deliver the backlog of ``topic`` with a new connector, to a receiver that is awake all the time or
        sleeps whenever it has nothing to do. ``rate_per_s`` is each subscription's, ``delivery`` what the
        connector's settings say of it."""
        declared = subscriptions(self._receiver.urls(hosts))
        if rate_per_s is not None:
            declared = [one | {"limits": {"rate_per_s": rate_per_s}} for one in declared]
        return self._deliver(topic, records, declared, is_awake, delivery)

    @contextmanager
    def paced(self, topic: str, *, hosts: int) -> Iterator[Callable[..., Paced]]:
        """A connector on a new ``topic``; what is yielded times it for ``seconds`` at ``per_second``."""
        self._receiver.reset()
        declared = subscriptions(self._receiver.urls(hosts))
        with self._bed.connector(topic, declared, start="latest") as connector:
            # Until the broker's compiler has seen this way of writing, it is the broker that is timed.
            self._produce(topic, count=_WARM_RECORDS, per_second=_WARM_RECORDS // 2)
            self._await_requests(_WARM_RECORDS)

            def pace(*, per_second: int, seconds: int) -> Paced:
                return self._pace(connector, topic, per_second, seconds)

            yield pace
            _stop(connector)

    def send(self, program: Literal["sender_loop", "minimal_sender"], *, requests: int) -> float:
        """POSTs per CPU second of a sender alone, to a receiver that is awake."""
        self._receiver.reset(is_awake=True)
        urls = json.dumps(self._receiver.urls(_SENDER_HOSTS))
        command = [sys.executable, "-m", f"tests.bench.{program}", urls, str(requests)]
        ended = subprocess.run(command, check=True, capture_output=True, timeout=_RUN_S_MAX)
        return requests / float(ended.stdout)

    def _deliver(
        self,
        topic: str,
        records: int,
        declared: Sequence[Mapping[str, Any]],
        is_awake: bool,
        delivery: Mapping[str, Any],
    ) -> Delivered:
        self._receiver.reset(is_awake=is_awake)
        with self._bed.connector(topic, declared, start="earliest", delivery=dict(delivery)) as connector:
            pid = connector.process.pid
            warm = self._await_requests(int(records * _WARM_SHARE))
            warm_cpu_s, warm_threads, warm_at_s = tree_cpu_s(pid), thread_cpu_s(pid), time.monotonic()
            with Slowness() as slowness:
                self._await_requests(records)
            cpu_s = tree_cpu_s(pid) - warm_cpu_s
            wall_s = time.monotonic() - warm_at_s
            deliveries = records - warm
            us_by_thread = {
                role: (spent_s - warm_threads[role]) / deliveries * 1e6
                for role, spent_s in thread_cpu_s(pid).items()
            }
            memory_mb = peak_memory_mb(pid)
            _stop(connector)
        counts = self._receiver.counts()
        if counts.requests != records or counts.bad_signatures or not counts.checked:
            raise RuntimeError(f"of {records} records, the receiver saw {counts}")
        return Delivered(
            per_cpu_s=deliveries / cpu_s,
            slowness=slowness.mean(),
            per_s=deliveries / wall_s,
            peak_memory_mb=memory_mb,
            us_by_thread=us_by_thread,
        )

    def _pace(self, connector: ConnectorProcess, topic: str, per_second: int, seconds: int) -> Paced:
        self._receiver.reset()
        self._receiver.time(_PHASE)
        count = per_second * seconds
        cpu_s = tree_cpu_s(connector.process.pid)
        self._produce(topic, count=count, per_second=per_second)
        self._await_requests(count)
        cpu_s = tree_cpu_s(connector.process.pid) - cpu_s
        latencies_ms = sorted(chain.from_iterable(self._receiver.latencies_ms(_PHASE).values()))
        return Paced(
            p50_ms=latencies_ms[count // 2],
            p99_ms=latencies_ms[count * 99 // 100],
            max_ms=latencies_ms[-1],
            us_per_delivery=cpu_s / count * 1e6,
        )

    def _produce(self, topic: str, *, count: int, per_second: int) -> None:
        produce_steadily(self._bed.cluster, topic, self._records, count=count, per_second=per_second)

    def _await_requests(self, count: int) -> int:
        """Wait until so many POSTs have come; how many have."""
        requests = self._receiver.await_requests(count, within_s=_RUN_S_MAX)
        if requests < count:
            raise RuntimeError(f"only {requests} of {count} POSTs came within {_RUN_S_MAX:.0f} s")
        return requests


def _stop(connector: ConnectorProcess) -> None:
    if code := connector.stop():
        raise RuntimeError(f"the connector ended with {code}")
