"""Faults of our own come and go: nothing is lost, nobody is billed, and it goes on by itself.

Everything runs in a network of its own, where the real resolver and the real senders can be starved without
harm to anybody else.
"""

from __future__ import annotations

import http.client
import json
import resource
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from connector.core.headers import Decoded, decode
from deploy.testbed import KafkaCluster
from deploy.testbed.fetch import kafka_jars
from tests.support.checker import Rule, read_all, topics_under
from tests.support.connector_process import (
    SIGNATURE,
    ConnectorProcess,
    settings_for,
    subscription,
    write_subscriptions,
)
from tests.support.judging import assert_nothing_lost
from tests.support.metrics import Scrape
from tests.support.name_server import NameServer
from tests.support.names import Names
from tests.support.own_network import (
    NAME_SERVER,
    OUTSIDE,
    OwnNetwork,
    connect_outside,
    cut_off_outside,
    no_port_left,
)
from tests.support.receiver import Behaviour, Receiver
from tests.support.waiting import wait_until

pytestmark = pytest.mark.kafka

HOSTS = {f"p{n}.example": OUTSIDE for n in range(12)}
"""More than enough to tell by that the fault is ours."""

HOLDS = "nothing can be sent: intake holds, probing"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnNetwork]:
    kafka_jars()  # in there nothing can be fetched
    with OwnNetwork(tmp_path_factory.mktemp("network")) as network:
        network.run(connect_outside)
        yield network


@pytest.fixture(scope="module")
def kafka_in_there(network: OwnNetwork) -> Iterator[KafkaCluster]:
    cluster = network.run(KafkaCluster)
    network.run(cluster.start)
    yield cluster
    network.run(cluster.stop)


class Scene:
    """A connector between one topic and one receiver outside."""

    def __init__(self, kafka: KafkaCluster, names: Names, folder: Path) -> None:
        self._servers = kafka.bootstrap_servers
        self._names = names
        self._folder = folder
        kafka.create_topic(names.topic())
        self._producer = Producer({"bootstrap.servers": self._servers, "linger.ms": 0})
        self._produced = 0

    @contextmanager
    def delivering(
        self,
        receiver: Receiver,
        subscriptions: Sequence[dict[str, Any]],
        *,
        keeps: bool = True,
        has_breakers: bool = True,
    ) -> Iterator[ConnectorProcess]:
        """Running, with one event delivered to all; stopped in good order. Unless it ``keeps`` them, the
        receiver ends each connection after one answer."""
        self._receiver = receiver
        # A proxy is asked for the whole URL.
        self._paths = {one["id"]: one["url"] if "proxy" in one else f"/{one['id']}" for one in subscriptions}
        for path in self._paths.values():
            receiver.check(path, SIGNATURE)
            receiver.behave(path, Behaviour(keeps=keeps))
        write_subscriptions(self._folder, subscriptions)
        settings = settings_for(
            self._names,
            self._folder,
            bootstrap_servers=self._servers,
            topics=[{"name": self._names.topic(), "format": "json", "id": {"field": "id"}}],
            guard={"allow_http": True, "allow_networks": [f"{OUTSIDE}/32"]},
            delivery={} if has_breakers else {"breaker": {"failures_to_open": 0}},
        )
        with ConnectorProcess(settings, self._folder) as connector:
            connector.await_ready()
            self.produce(1)
            self.await_last()
            yield connector
            assert connector.stop() == 0

    def produce(self, count: int) -> None:
        for number in range(self._produced, self._produced + count):
            self._producer.produce(self._names.topic(), json.dumps({"id": f"e{number}"}).encode())
        self._produced += count
        assert self._producer.flush(30) == 0

    def await_last(self) -> None:
        """The event that was produced last has arrived everywhere."""
        last = f"e{self._produced - 1}"
        for path in self._paths.values():
            wait_until(lambda at=path: last in self._receiver.seen(at), f"it arrives at {path}", timeout_s=45)

    def await_all(self) -> None:
        for path in self._paths.values():
            wait_until(
                lambda at=path: self._receiver.counts(at).accepted == self._produced,
                f"all arrives at {path}",
                timeout_s=45,
            )

    def assert_nothing_lost(self) -> None:
        """It has arrived, or waits for a later try."""
        rules = [Rule(subscription=id_, path=path) for id_, path in self._paths.items()]
        topics = [self._names.topic()]
        verdict = assert_nothing_lost(self._servers, self._names, self._receiver, topics=topics, rules=rules)
        assert (verdict.dead, verdict.parked) == (0, 0)

    def attempts_used(self) -> int:
        """As the letters say that were written."""
        tiers = [name for name in topics_under(self._servers, self._names.prefix) if ".retry." in name]
        letters = [decode(letter.headers() or []) for letter in read_all(self._servers, tiers)]
        return sum(letter.trail.attempt for letter in letters if isinstance(letter, Decoded))


# ── nobody can be reached ───────────────────────────────────────────────────────────────────────


def to_all_hosts(receiver: Receiver, **more: Any) -> list[dict[str, Any]]:
    return [
        subscription(f"s{n}", f"http://{host}:{receiver.port}/s{n}", **more) for n, host in enumerate(HOSTS)
    ]


def holds(connector: ConnectorProcess) -> bool:
    return connector.metric("sending_held", reason="unreachable") == 1


def a_hold_begins_lasts_and_ends(
    scene: Scene, connector: ConnectorProcess, mend: Callable[[], None], *, met_with: str
) -> None:
    scene.produce(20)
    wait_until(lambda: holds(connector), "it holds", timeout_s=30)
    assert len(connector.said(HOLDS)) == 1
    wait_until(lambda: connector.metric("probes_total", result=met_with) >= 3, "it probes in vain")
    assert holds(connector)
    assert connector.is_ready  # a roll-out with the cure must not be stopped

    mend()

    wait_until(lambda: not holds(connector), "the hold ends", timeout_s=30)
    scene.produce(1)
    scene.await_all()
    assert connector.metric("deliveries_dead_total") == 0
    assert connector.metric("subscriptions_disabled") == 0
    assert connector.metric("lanes", breaker="closed") == len(HOSTS)


def test_name_servers_are_gone_and_come_back(
    network: OwnNetwork, kafka_in_there: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    def scenario() -> None:
        scene = Scene(kafka_in_there, names, tmp_path)
        with NameServer(NAME_SERVER, HOSTS) as server, Receiver(host=OUTSIDE) as receiver:
            with scene.delivering(receiver, to_all_hosts(receiver), keeps=False) as connector:
                server.stop()
                a_hold_begins_lasts_and_ends(scene, connector, server.start, met_with="dns")
            scene.assert_nothing_lost()

    network.run(scenario)


def test_the_way_out_is_cut_and_mended(
    network: OwnNetwork, kafka_in_there: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    def scenario() -> None:
        scene = Scene(kafka_in_there, names, tmp_path)
        with NameServer(NAME_SERVER, HOSTS), Receiver(host=OUTSIDE) as receiver:
            # What is sent over kept connections vanishes: each host is found unreachable after a timeout.
            subscriptions = to_all_hosts(receiver, limits={"timeout": "1s"})
            with scene.delivering(receiver, subscriptions) as connector:
                cut_off_outside()
                a_hold_begins_lasts_and_ends(scene, connector, connect_outside, met_with="connect")
            scene.assert_nothing_lost()

    network.run(scenario)


@pytest.mark.parametrize("count", [1, 3])
def test_a_few_partners_that_are_gone_for_good_are_no_fault_of_ours(
    network: OwnNetwork, kafka_in_there: KafkaCluster, names: Names, tmp_path: Path, count: int
) -> None:
    def scenario() -> None:
        scene = Scene(kafka_in_there, names, tmp_path)
        with NameServer(NAME_SERVER, HOSTS), Receiver(host=OUTSIDE) as receiver:
            gone = to_all_hosts(receiver, ladder=["1s"])[:count]
            with scene.delivering(receiver, gone, has_breakers=False) as connector:
                receiver.end()
                scene.produce(20)
                wait_until(
                    lambda: connector.metric("deliveries_dead_total", reason="exhausted") == 20 * count,
                    "each walks its ladder to the end",
                )
                assert connector.said(HOLDS) == []

    network.run(scenario)


# ── something of our own is used up ─────────────────────────────────────────────────────────────


class Monitoring:
    """Looks at the pages over a connection that it keeps: there may be none to be had later."""

    def __init__(self, connector: ConnectorProcess) -> None:
        port = connector.said("listening")[-1]["port"]
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._connection.connect()

    def get(self, path: str) -> tuple[int, str]:
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        return answer.status, answer.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        status, text = self.get("/metrics")
        assert status == 200
        return Scrape.of(text).sum(name, **labels)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def starving(connector: ConnectorProcess, what: str) -> Iterator[None]:
    """Within the block the connector gets no new descriptors, or nobody here any new port."""
    if what == "ports":
        with no_port_left(socket.SOCK_STREAM, socket.SOCK_DGRAM):
            yield
        return
    pid = connector.process.pid
    taken = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    lowest_free = min(set(range(len(taken) + 1)) - taken)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("what", ["descriptors", "ports"])
def test_descriptors_or_ports_are_used_up_and_come_back(
    network: OwnNetwork, kafka_in_there: KafkaCluster, names: Names, tmp_path: Path, what: str
) -> None:
    def scenario() -> None:
        scene = Scene(kafka_in_there, names, tmp_path)
        with NameServer(NAME_SERVER, HOSTS), Receiver(host=OUTSIDE) as receiver:
            proxy = f"http://p2.example:{receiver.port}"  # the receiver answers what a proxy is asked, too
            subscriptions = [
                subscription("address", receiver.url("/address")),
                subscription("name", f"http://p0.example:{receiver.port}/name"),
                subscription("proxy", f"http://p1.example:{receiver.port}/proxy", proxy=proxy),
            ]
            with scene.delivering(receiver, subscriptions, keeps=False) as connector:
                with closing(Monitoring(connector)) as monitoring, starving(connector, what):
                    scene.produce(20)
                    wait_until(
                        lambda at=monitoring: at.metric("sending_held", reason="resources") == 1, "it holds"
                    )
                    assert monitoring.get("/readyz")[0] == 200
                    if what == "descriptors":
                        assert connector.get("/healthz")[0] == 200  # over a new connection, too
                scene.produce(1)
                scene.await_last()
                wait_until(lambda: connector.metric("sending_held") == 0, "the hold ends")
                assert connector.metric("attempts_total", result="resources") > 0
                assert connector.metric("deliveries_dead_total") == 0
                assert connector.metric("lanes", breaker="closed") == 3
            scene.assert_nothing_lost()
            assert scene.attempts_used() == 0

    network.run(scenario)
