"""Apache Kafka nodes on this machine: one or three, each broker and controller at once.

Settings make failures quick to notice (a dead broker within 3 s) and everything small. A node
keeps its folder and its ports while it is down, so it comes back as the same node.

Clients come without a name and may do everything; those that log in at the listener for users (SASL) may
do what they were allowed, which is nothing at first.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from deploy.testbed.errors import TestbedError
from deploy.testbed.fetch import kafka_jars
from deploy.testbed.guard import Guard
from deploy.testbed.java import java_command, java_environment
from deploy.testbed.ports import accepts, free_port
from deploy.testbed.process import Process
from deploy.testbed.startup_cache import startup_options

_CLUSTER_ID = "d2ViaG9va3MtdGVzdGJlZA"  # any 16 bytes in base64url
_HEAP_MB_MAX = 384
_HEAP_MB_MAX_AT_FULL_SPEED = 1_024
_QUICK_START = "-XX:TieredStopAtLevel=1"
_LOG_SETTINGS = Path(__file__).parent / "log4j2.properties"
_FORMAT_TIMEOUT_S = 60
_ADMIN_TIMEOUT_S = 30.0
_POLL_S = 0.02

USER = "alice"
PASSWORD = "in-the-rabbit-hole"  # noqa: S105 - of a user that exists on this machine alone

_SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PEER",
    "listener.security.protocol.map": (
        "CLIENT:PLAINTEXT,USERS:SASL_PLAINTEXT,PEER:PLAINTEXT,CONTROLLER:PLAINTEXT"
    ),
    "sasl.enabled.mechanisms": "PLAIN",
    "listener.name.users.plain.sasl.jaas.config": (
        f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
    ),
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
    "auto.create.topics.enable": "false",
    # Failures are noticed within seconds.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    "replica.lag.time.max.ms": "5000",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.consumer.min.session.timeout.ms": "3000",
    "group.consumer.session.timeout.ms": "6000",
    # Retention and compaction act while a test can wait for them.
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "1000",
    "log.cleaner.backoff.ms": "1000",
    # Small: many of these share a machine with the tests.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "log.index.size.max.bytes": "1048576",
}


class KafkaNode:
    """One node. ``kill``, ``stop``, ``pause``, ``resume`` and ``start`` act on its process."""

    def __init__(
        self, *, number: int, folder: Path, guard: Guard, heap_mb_max: int, options: list[str]
    ) -> None:
        self.number = number
        self.client_port = free_port()
        self.user_port = free_port()
        self.peer_port = free_port()
        self.controller_port = free_port()
        self._folder = folder
        self._settings = folder / "server.properties"
        self._java = java_command(
            folder=folder,
            heap_mb_max=heap_mb_max,
            options=[
                f"-Dlog4j2.configurationFile={_LOG_SETTINGS}",
                *options,
                "-cp",
                f"{kafka_jars()}/*",
            ],
        )
        self._process = Process(
            name=f"Kafka node {number}",
            command=[*self._java, "kafka.Kafka", str(self._settings)],
            environment=java_environment(),
            log=folder / "node.log",
            guard=guard,
            is_ready=lambda logged: "Kafka Server started" in logged and accepts(self.client_port),
        )

    @property
    def is_running(self) -> bool:
        return self._process.is_running

    @property
    def data(self) -> Path:
        """Where it keeps what topics hold: a folder for each partition."""
        return self._folder / "data"

    @property
    def log(self) -> Path:
        """What the node wrote, over all its starts."""
        return self._process.log

    def prepare(self, peers: list[KafkaNode]) -> subprocess.Popen[bytes]:
        """Write its settings and begin to format its folder; the caller waits for the end."""
        copies = str(len(peers))
        in_sync_min = str(min(2, len(peers)))
        settings = _SETTINGS | {
            "node.id": str(self.number),
            "log.dirs": str(self.data),
            "controller.quorum.voters": ",".join(
                f"{peer.number}@127.0.0.1:{peer.controller_port}" for peer in peers
            ),
            "listeners": (
                f"CLIENT://127.0.0.1:{self.client_port},USERS://127.0.0.1:{self.user_port},"
                f"PEER://127.0.0.1:{self.peer_port},CONTROLLER://127.0.0.1:{self.controller_port}"
            ),
            "advertised.listeners": (
                f"CLIENT://127.0.0.1:{self.client_port},USERS://127.0.0.1:{self.user_port},"
                f"PEER://127.0.0.1:{self.peer_port}"
            ),
            "default.replication.factor": copies,
            "min.insync.replicas": in_sync_min,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync_min,
        }
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [
                    *self._java,
                    "kafka.tools.StorageTool",
                    "format",
                    f"--cluster-id={_CLUSTER_ID}",
                    "--config",
                    str(self._settings),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=java_environment(),
            )

    def launch(self) -> None:
        """Start without waiting; :meth:`await_ready` waits."""
        self._process.launch()

    def await_ready(self) -> None:
        self._process.await_ready()

    def start(self) -> None:
        """Start, with the data it had, and return when it serves clients."""
        self._process.start()

    def stop(self) -> None:
        """End in good order: leaders are moved to other nodes first."""
        self._process.stop()

    def kill(self) -> None:
        """End as by a power cut."""
        self._process.kill()

    def pause(self) -> None:
        """Freeze: its connections stay open and nothing answers."""
        self._process.pause()

    def resume(self) -> None:
        self._process.resume()

    def mend(self) -> None:
        """Running again, whatever was done to it."""
        self._process.mend()


class KafkaCluster:
    """One or three nodes. Use it as a context manager, or pair :meth:`start` with :meth:`stop`.

    ``is_at_full_speed`` is for benches: all of Java's compiler, a heap of 1 GiB and the collector of a
    server, where tests want nodes that start quickly and stay small.
    """

    def __init__(self, nodes: int = 1, *, is_at_full_speed: bool = False) -> None:
        assert nodes in (1, 3), "one node, or three: two have no more quorum than one"
        self._folder = Path(tempfile.mkdtemp(prefix="testbed-kafka-"))
        self._guard = Guard(self._folder)
        try:
            if is_at_full_speed:
                heap_mb_max, options = _HEAP_MB_MAX_AT_FULL_SPEED, ["-XX:-UseSerialGC", "-XX:+UseG1GC"]
            else:
                heap_mb_max = _HEAP_MB_MAX
                options = quick_kafka_options()
            self.nodes = [
                KafkaNode(
                    number=number,
                    folder=self._node_folder(number),
                    guard=self._guard,
                    heap_mb_max=heap_mb_max,
                    options=options,
                )
                for number in range(1, nodes + 1)
            ]
        except BaseException:
            self._guard.end()
            raise

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(f"127.0.0.1:{node.client_port}" for node in self.nodes)

    @property
    def user_bootstrap_servers(self) -> str:
        """For clients that log in as :data:`USER`."""
        return ",".join(f"127.0.0.1:{node.user_port}" for node in self.nodes)

    def start(self) -> None:
        """Return when every node serves clients. What was started is ended if one does not."""
        try:
            _format(self.nodes)
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.await_ready()
        except BaseException:
            self.stop()
            raise

    def mend(self) -> None:
        """Every node runs again and has every record, whatever was done to them."""
        for node in self.nodes:
            node.mend()
        admin = self.admin()
        _await(lambda: _is_whole(admin, len(self.nodes)), "nodes are missing or lag behind")

    def stop(self) -> None:
        """End every node at once and remove what they stored."""
        for node in self.nodes:
            node.kill()
        self._guard.end()

    def create_topic(self, name: str, *, partitions: int = 1, **settings: object) -> None:
        """Create a topic on all nodes and return when every partition has a leader.

        Settings bear Kafka's names with ``_`` for ``.``: ``create_topic("t", retention_ms=1000)``.
        Raises TestbedError when Kafka refuses.
        """
        config = {setting.replace("_", "."): str(value) for setting, value in settings.items()}
        topic = NewTopic(name, num_partitions=partitions, replication_factor=len(self.nodes), config=config)
        admin = self.admin()
        try:
            admin.create_topics([topic], request_timeout=_ADMIN_TIMEOUT_S)[name].result()
        except KafkaException as error:
            raise TestbedError(f"topic {name} was not created: {error}") from error
        _await(lambda: _has_leaders(admin, name, partitions), f"topic {name} has no leaders")

    def delete_topic(self, name: str) -> None:
        """Delete a topic. Raises TestbedError when Kafka refuses."""
        admin = self.admin()
        try:
            admin.delete_topics([name], request_timeout=_ADMIN_TIMEOUT_S)[name].result()
        except KafkaException as error:
            raise TestbedError(f"topic {name} was not deleted: {error}") from error

    def allow(self, *operations: AclOperation, on: ResourceType, prefix: str) -> None:
        """Let :data:`USER` do this to every resource of the kind whose name begins with ``prefix``."""
        pattern, may = ResourcePatternType.PREFIXED, AclPermissionType.ALLOW
        rules = [AclBinding(on, prefix, pattern, f"User:{USER}", "*", one, may) for one in operations]
        admin = self.admin()  # the answer comes only while the client lives
        for created in admin.create_acls(rules, request_timeout=_ADMIN_TIMEOUT_S).values():
            created.result()

    def topic_settings(self, name: str) -> dict[str, str]:
        """Every setting of a topic, defaults included, by Kafka's names."""
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        admin = self.admin()  # the answer comes only while the client lives
        found = admin.describe_configs([resource], request_timeout=_ADMIN_TIMEOUT_S)
        return {entry.name: entry.value for entry in found[resource].result().values()}

    def admin(self) -> AdminClient:
        """A new admin client, for what has no method here."""
        return AdminClient({"bootstrap.servers": self.bootstrap_servers})

    def __enter__(self) -> KafkaCluster:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _node_folder(self, number: int) -> Path:
        folder = self._folder / f"node-{number}"
        folder.mkdir()
        return folder


def _format(nodes: list[KafkaNode]) -> None:
    formatters = [node.prepare(nodes) for node in nodes]
    try:
        for formatter, node in zip(formatters, nodes, strict=True):
            if formatter.wait(_FORMAT_TIMEOUT_S) != 0:
                said = node.log.read_text()
                raise TestbedError(f"the folder of Kafka node {node.number} was not formatted:\n{said}")
    finally:
        for formatter in formatters:
            formatter.kill()
            formatter.wait()


def _await(is_so: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _ADMIN_TIMEOUT_S
    while not is_so():
        if time.monotonic() > deadline:
            raise TestbedError(f"{otherwise} after {_ADMIN_TIMEOUT_S:.0f} s")
        time.sleep(_POLL_S)


def _is_whole(admin: AdminClient, nodes: int) -> bool:
    cluster = admin.list_topics(timeout=_ADMIN_TIMEOUT_S)
    return len(cluster.brokers) == nodes and all(
        len(partition.isrs) == len(partition.replicas)
        for topic in cluster.topics.values()
        for partition in topic.partitions.values()
    )


def _has_leaders(admin: AdminClient, topic: str, partitions: int) -> bool:
    found = admin.list_topics(topic, timeout=_ADMIN_TIMEOUT_S).topics[topic].partitions
    return len(found) == partitions and all(partition.leader >= 0 for partition in found.values())


def quick_kafka_options() -> list[str]:
    """Java options that make a node start quicker; found by a start of its own the first time."""
    return [_QUICK_START, *startup_options(kafka_jars(), _rehearse)]


def _rehearse(options: list[str]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="testbed-kafka-"))
    guard = Guard(folder)
    try:
        options = [_QUICK_START, *options]
        node = KafkaNode(number=1, folder=folder, guard=guard, heap_mb_max=_HEAP_MB_MAX, options=options)
        _format([node])
        try:
            node.start()
            node.stop()
        finally:
            node.kill()
    finally:
        guard.end()
