"""What a connector read from the brokers, and what there was to read.

The kernel counts what each connection received. A connector of these benches reaches its sources through one
listener of the broker and its own topics through another, so the two can be told apart. What came through the
second is billed to the tiers whole, though acknowledgements and what workers tell one another are among it.
The frame around each fetch is counted too: where a fetch brings one small record, it is a third of all.
"""

from __future__ import annotations

import re
import subprocess

from deploy.testbed import KafkaCluster
from tests.support.connector_process import ConnectorProcess

LETTERS_MIN = 1_000
"""With fewer letters read, what else came over the same connections would be judged instead."""


class Traffic:
    """Of one running connector whose own topics have ``prefix``; it was given :func:`own_kafka`."""

    def __init__(self, connector: ConnectorProcess, cluster: KafkaCluster, *, prefix: str) -> None:
        self._connector = connector
        self._node = cluster.nodes[0]
        self._prefix = prefix

    def source_bytes(self) -> int:
        """What came from the sources' listener since the connector was started."""
        return _received_bytes(self._connector.process.pid, self._node.client_port)

    def of_tiers(self) -> float | None:
        """What came from the own topics' listener over what the letters read take up in the tiers, where they
        are compressed. ``None`` when hardly any was read."""
        scrape = self._connector.scrape()
        read, written = scrape.sum("tier_records_read_total"), scrape.sum("deliveries_to_tier_total")
        if read < LETTERS_MIN:
            return None
        logs = self._node.data.glob(f"{self._prefix}.retry.*/*.log")
        letter_bytes = sum(log.stat().st_size for log in logs) / written
        return _received_bytes(self._connector.process.pid, self._node.peer_port) / (read * letter_bytes)


def own_kafka(cluster: KafkaCluster) -> dict[str, str]:
    """The setting by which own topics are reached through the listener for peers."""
    return {"bootstrap_servers": f"127.0.0.1:{cluster.nodes[0].peer_port}"}


def _received_bytes(pid: int, port: int) -> int:
    """By the connections of this process to that port, since they were opened."""
    command = ["ss", "-tnpiOH", "dport", "=", f":{port}"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    own = (line for line in shown.splitlines() if f"pid={pid}," in line)
    return sum(int(found[1]) for line in own if (found := re.search(r"bytes_received:(\d+)", line)))
