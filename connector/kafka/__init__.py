"""Kafka: the only home of confluent_kafka.

:mod:`~connector.kafka.source` is a member of a consumer group, :mod:`~connector.kafka.peek` a reader
outside every group, :mod:`~connector.kafka.writer` writes to the connector's own topics,
:mod:`~connector.kafka.topics` asks about topics and creates them, :mod:`~connector.kafka.mock_cluster`
is the cluster built into the client. Each hides its threads behind the engine's ports.
"""
