"""A real Apache Kafka and a real schema registry on this machine, without containers.

Promises: what it fetched is what ``jars.sha256`` lists; what it started ends with it, even when
the process that asked for it is killed; nothing is left behind but the cache. Leaves to others:
what to do with the cluster. Linux and macOS; needs Maven for the first fetch, never afterwards.
"""

from deploy.testbed.errors import TestbedError
from deploy.testbed.kafka import KafkaCluster, KafkaNode
from deploy.testbed.registry import Registry

__all__ = ["KafkaCluster", "KafkaNode", "Registry", "TestbedError"]
