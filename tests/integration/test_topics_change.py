"""Topics that change under the connector: it follows, says what was lost, and begins nothing twice.

One story in three chapters, since each look at the topics takes the connector up to ten seconds and one
look can see many changes.
"""

from __future__ import annotations

import json
from pathlib import Path

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import NewPartitions

from deploy.testbed import KafkaCluster
from tests.support.checker import Rule
from tests.support.connector_process import (
    SIGNATURE,
    ConnectorProcess,
    settings_for,
    subscription,
    write_subscriptions,
)
from tests.support.judging import assert_nothing_lost
from tests.support.names import Names
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until


class Story:
    """What was done to the topics so far. ``produced`` counts all events; every one has an id of its own."""

    def __init__(self, kafka: KafkaCluster, names: Names) -> None:
        self.produced = 0
        self._kafka = kafka
        self._names = names
        self._admin = kafka.admin()
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})

    def topic(self, name: str) -> str:
        return self._names.topic(name)

    def create(self, name: str) -> None:
        self._kafka.create_topic(self.topic(name))

    def recreate(self, name: str) -> None:
        topic = self.topic(name)
        self._kafka.delete_topic(topic)
        wait_until(lambda: topic not in self._admin.list_topics(timeout=10).topics, f"{name} is gone")
        self.create(name)

    def grow(self, name: str, partitions: int) -> None:
        grown = NewPartitions(self.topic(name), partitions)
        self._admin.create_partitions([grown])[self.topic(name)].result()

        topics = self._producer.list_topics  # the producer learns of partitions by asking
        wait_until(
            lambda: len(topics(self.topic(name)).topics[self.topic(name)].partitions) == partitions,
            "the new partition can be written",
        )

    def overtake(self, name: str, *, before: int) -> None:
        """Delete the records below an offset, as retention does."""
        place = TopicPartition(self.topic(name), 0, before)
        self._admin.delete_records([place])[place].result()

    def forget_offsets(self) -> None:
        """As the cluster does with those of a group that had no member for a week."""
        self._admin.delete_consumer_groups([self._names.group])[self._names.group].result()

    def produce(self, name: str, records: int, *, partition: int = 0) -> None:
        for _ in range(records):
            value = json.dumps({"id": f"e{self.produced}"})
            self._producer.produce(self.topic(name), value, partition=partition)
            self.produced += 1
        assert self._producer.flush(30) == 0


def test_topics_come_change_and_vanish_and_the_connector_follows(
    kafka: KafkaCluster, names: Names, tmp_path: Path
) -> None:
    story = Story(kafka, names)
    for name in ("post.live", "post.later", "post.grows", "post.overtaken"):
        story.create(name)
        story.produce(name, 10)
    with Receiver() as receiver:
        receiver.check("/", SIGNATURE)
        write_subscriptions(tmp_path, [subscription("all", receiver.url("/"))])
        settings = settings_for(
            names,
            tmp_path,
            bootstrap_servers=kafka.bootstrap_servers,
            topics=[
                {"pattern": rf"{names.stem}\.post\..*", "format": "json", "id": {"field": "id"}},
                {"name": story.topic("named"), "format": "json", "id": {"field": "id"}},
            ],
            quick_to_notice=True,
        )
        connector = ConnectorProcess(settings, tmp_path)

        def all_arrives(lost: int = 0) -> None:
            """All that was produced and not lost, each once."""
            expected = story.produced - lost
            wait_until(lambda: receiver.counts("/").ids >= expected, "all arrives")
            assert receiver.counts("/").requests == receiver.counts("/").ids == expected

        def stops_with_all_committed() -> None:
            wait_until(lambda: connector.metric("records_in_hand") == 0, "nothing is in hand")
            assert connector.stop() == 0

        with connector:
            all_arrives()
            wait_until(lambda: "does not exist: create it" in connector.log(), "a missing topic is told")
            assert connector.metric("topics_absent", group="source") == 1

            story.recreate("post.live")
            story.grow("post.grows", 2)
            for name in ("post.new", "named"):
                story.create(name)
            story.produce("post.live", 5)
            story.produce("post.grows", 5, partition=1)
            story.produce("post.new", 5)
            story.produce("named", 5)
            all_arrives()
            wait_until(lambda: connector.metric("topics_absent") == 0, "no topic is absent any more")
            assert connector.metric("jumps_total", reason="recreated") == 1
            stops_with_all_committed()

            story.recreate("post.later")
            story.produce("post.later", 12)  # its end is beyond the old one's committed offset
            story.produce("post.overtaken", 10)
            story.overtake("post.overtaken", before=15)
            connector.start()
            all_arrives(lost=5)
            assert connector.metric("jumps_total", reason="recreated") == 1
            assert connector.metric("jumps_total", reason="retention") == 1
            assert connector.metric("offsets_lost_total") == 5
            told = [line for line in connector.said("position moved") if line["why"] == "retention"]
            assert [(line["level"], line["records_lost"]) for line in told] == [("error", 5)]
            wait_until(lambda: connector.metric("commits_total") >= 7, "each partition is committed once")
            for name in ("post.live", "post.later", "post.overtaken", "post.new", "named"):
                story.produce(name, 1)
            for partition in (0, 1):
                story.produce("post.grows", 1, partition=partition)
            all_arrives(lost=5)
            stops_with_all_committed()

            story.forget_offsets()
            for name in ("post.live", "post.later", "post.grows", "post.overtaken", "post.new", "named"):
                story.produce(name, 3)
            connector.start()
            all_arrives(lost=5)
            assert connector.metric("jumps_total", reason="expired") == 7
            assert connector.metric("offsets_lost_total") == 0
            assert connector.stop() == 0

        assert_nothing_lost(
            kafka.bootstrap_servers,
            names,
            receiver,
            topics=[story.topic(name) for name in ("post.live", "post.later", "post.overtaken", "named")],
            rules=[Rule(subscription="all", path="/")],
        )
