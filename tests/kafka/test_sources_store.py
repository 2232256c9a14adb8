"""The sources store when its client fails."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from connector.core.start import Entry
from connector.kafka.cluster import Cluster
from connector.kafka.errors import KafkaTrouble
from connector.kafka.mock_cluster import CAPABILITIES, FIND_COORDINATOR, PRODUCE, MockCluster
from connector.kafka.sources_store import SourcesStore

ENTRY = Entry(group="g", topic="t", topic_id="", partition=0, started=0, partitions=1)


def test_a_client_that_failed_for_good_is_fatal_since_it_is_not_replaced() -> None:
    with MockCluster() as mock:
        mock.create_topic("sources")
        store = SourcesStore(Cluster(mock.access, CAPABILITIES), "sources")
        idempotent = {"bootstrap.servers": mock.bootstrap_servers, "enable.idempotence": True}
        store._producer = Producer({**idempotent, "error_cb": lambda error: None})
        store.put([ENTRY])
        mock.fail_requests(PRODUCE, [KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER])
        store._producer.produce("sources", b"doomed")
        with pytest.raises(KafkaException):
            store._producer.flush(10)

        with pytest.raises(KafkaTrouble) as told:
            store.put([ENTRY])

    assert told.value.is_fatal


def test_a_group_that_this_user_may_not_be_in_is_no_matter_since_the_store_is_in_none() -> None:
    with MockCluster() as mock:
        mock.create_topic("sources")
        mock.fail_requests(FIND_COORDINATOR, [KafkaError.GROUP_AUTHORIZATION_FAILED] * 10)
        store = SourcesStore(Cluster(mock.access, CAPABILITIES), "sources")
        store.put([ENTRY])

        first = dict(store.read())
        store.put([ENTRY])
        second = dict(store.read())
        store.close()

    assert first == second == {ENTRY.key: ENTRY}
