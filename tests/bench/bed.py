"""What the benches run on: one cluster, one registry, one receiver, and connectors on them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.testbed import KafkaCluster, Registry
from tests.bench.progress import say
from tests.bench.receiver import Receiver
from tests.bench.workload import SECRET, TYPE_FIELD
from tests.support.connector_process import ConnectorProcess, settings_for, write_subscriptions
from tests.support.names import Names


@dataclass(frozen=True, slots=True)
class Bed:
    """Started parts; whoever started them ends them."""

    cluster: KafkaCluster
    registry_url: str
    receiver: Receiver

    @contextmanager
    def connector(
        self,
        topic: str,
        declared: Sequence[Mapping[str, Any]],
        *,
        start: str,
        names: Names | None = None,
        **settings: Any,
    ) -> Iterator[ConnectorProcess]:
        """A new worker with a group and topics of its own, or those of ``names``, ready. It is as the product
        comes, its breaker included, but for ``settings``. It ends with the context, by SIGKILL unless it was
        stopped: nobody uses its group again."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_subscriptions(folder, declared)
            content = settings_for(
                names or Names.of("bench"),
                folder,
                bootstrap_servers=self.cluster.bootstrap_servers,
                topics=[{"name": topic, "type": {"field": TYPE_FIELD}}],
                registry={"urls": [self.registry_url]},
                start=start,
                **settings,
            )
            with ConnectorProcess(content, folder) as connector:
                connector.await_ready()
                yield connector


@contextmanager
def started_bed(*, hosts: int) -> Iterator[Bed]:
    """Start all parts, a receiver with so many addresses among them; they end with the context."""
    with ExitStack() as stack:
        say("starting Apache Kafka, the schema registry and the receiver")
        cluster = stack.enter_context(KafkaCluster(is_at_full_speed=True))
        registry = stack.enter_context(Registry())
        yield Bed(cluster, registry.url, stack.enter_context(Receiver(hosts=hosts, secret=SECRET)))
