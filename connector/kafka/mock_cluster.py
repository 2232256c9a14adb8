"""The cluster built into the client library: a Kafka for the demo and for tests, inside this process.

librdkafka carries small brokers for its own tests. They speak the protocol over loopback, keep
everything in memory (5 MiB or 100,000 batches per partition, then the oldest goes) and cannot create topics
on request, describe settings, look up times or give topic ids: :data:`CAPABILITIES` says so. Reached by
ctypes in the library that confluent_kafka itself has loaded, through its public mock API.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import confluent_kafka

from connector.engine.ports import Capabilities
from connector.kafka.access import Access

CAPABILITIES: Final = Capabilities(
    can_create_topics=False, can_describe_topics=False, can_look_up_times=False, has_topic_ids=False
)

_PRODUCER: Final = 0  # RD_KAFKA_PRODUCER
_ERROR_CHARS: Final = 512
_HEARTBEAT_MS: Final = 200
"""So often does a member of the newer protocol hear of a rebalance; the brokers' own 3 s is long to watch."""

# Kinds of requests, by Kafka's numbers.
PRODUCE: Final = 0
FETCH: Final = 1
METADATA: Final = 3
OFFSET_COMMIT: Final = 8
OFFSET_FETCH: Final = 9
FIND_COORDINATOR: Final = 10
HEARTBEAT: Final = 12
INIT_PRODUCER_ID: Final = 22


class MockUnavailable(RuntimeError):
    """The client library of this installation does not offer its built-in cluster."""


class MockCluster:
    """Brokers of one built-in cluster, until :meth:`close`."""

    def __init__(self, *, brokers: int = 1) -> None:
        self._lib = _library()
        error = ctypes.create_string_buffer(_ERROR_CHARS)
        conf = self._lib.rd_kafka_conf_new()
        # The handle only lends its threads to the brokers; it is no client and should not complain.
        self._lib.rd_kafka_conf_set(conf, b"log_level", b"0", error, _ERROR_CHARS)
        self._handle = self._lib.rd_kafka_new(_PRODUCER, conf, error, _ERROR_CHARS)
        if not self._handle:
            raise MockUnavailable(f"the built-in cluster did not start: {error.value.decode()}")
        self._cluster = self._lib.rd_kafka_mock_cluster_new(self._handle, brokers)
        self.bootstrap_servers: str = self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        self._lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self._lib.rd_kafka_mock_set_group_consumer_heartbeat_interval_ms(self._cluster, _HEARTBEAT_MS)

    @property
    def access(self) -> Access:
        """These brokers wait out the fetch time even when there is data, so it is kept short."""
        return Access(bootstrap_servers=self.bootstrap_servers, properties={"fetch.wait.max.ms": 2})

    def create_topic(self, name: str, partitions: int = 1, replication: int = 1) -> None:
        self._check(
            self._lib.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, replication)
        )

    def close(self) -> None:
        if self._cluster:
            self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
            self._lib.rd_kafka_destroy(self._handle)
            self._cluster = None

    def __enter__(self) -> MockCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ── faults ──────────────────────────────────────────────────────────────────────────────────

    def fail_requests(self, api_key: int, errors: Sequence[int]) -> None:
        """Answer the next requests of this kind with these error codes, one each; 0 succeeds."""
        codes = (ctypes.c_int * len(errors))(*errors)
        self._lib.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(api_key), ctypes.c_size_t(len(errors)), codes
        )

    def end_failing(self, api_key: int) -> None:
        self._lib.rd_kafka_mock_clear_request_errors(self._cluster, ctypes.c_int16(api_key))

    def fail_topic(self, name: str, error: int) -> None:
        """Answer every request about this topic with the error code; 0 ends that."""
        self._lib.rd_kafka_mock_topic_set_error(self._cluster, name.encode(), error)

    def delete_records(self, topic: str, partition: int, before_offset: int) -> None:
        """Move the log's start, as retention would."""
        self._check(
            self._lib.rd_kafka_mock_partition_delete_records(
                self._cluster, topic.encode(), ctypes.c_int32(partition), ctypes.c_int64(before_offset)
            )
        )

    def delete_topic(self, name: str) -> None:
        self._check(self._lib.rd_kafka_mock_topic_delete(self._cluster, name.encode()))

    def set_leader(self, topic: str, partition: int, broker: int) -> None:
        self._check(
            self._lib.rd_kafka_mock_partition_set_leader(
                self._cluster, topic.encode(), ctypes.c_int32(partition), ctypes.c_int32(broker)
            )
        )

    def set_coordinator(self, group: str, broker: int) -> None:
        self._check(
            self._lib.rd_kafka_mock_coordinator_set(
                self._cluster, b"group", group.encode(), ctypes.c_int32(broker)
            )
        )

    def set_delay(self, broker: int, delay_ms: int) -> None:
        """Round-trip time of every request to this broker."""
        self._check(
            self._lib.rd_kafka_mock_broker_set_rtt(
                self._cluster, ctypes.c_int32(broker), ctypes.c_int(delay_ms)
            )
        )

    def take_down(self, brokers: Iterable[int]) -> None:
        for broker in brokers:
            self._check(self._lib.rd_kafka_mock_broker_set_down(self._cluster, ctypes.c_int32(broker)))

    def bring_up(self, brokers: Iterable[int]) -> None:
        for broker in brokers:
            self._check(self._lib.rd_kafka_mock_broker_set_up(self._cluster, ctypes.c_int32(broker)))

    def _check(self, code: int) -> None:
        if code:
            raise ValueError(confluent_kafka.KafkaError(code).str())


def _library() -> Any:  # ctypes resolves functions at run time
    """The loaded client library: bundled beside the package, or the system's."""
    for candidate in _candidates():
        try:
            lib = ctypes.CDLL(candidate)
            return _declared(lib)
        except (OSError, AttributeError):
            continue
    raise MockUnavailable(
        "no librdkafka with the built-in cluster was found: install confluent-kafka from its wheel, "
        "or use a real Kafka with --bootstrap-servers"
    )


def _candidates() -> list[str]:
    package = Path(confluent_kafka.__file__).parent
    folders = (package.parent / "confluent_kafka.libs", package / ".dylibs", package)  # Linux, macOS, other
    bundled = [str(path) for folder in folders for path in sorted(folder.glob("*rdkafka*")) if path.is_file()]
    system = {"darwin": "librdkafka.1.dylib", "win32": "librdkafka.dll"}.get(sys.platform, "librdkafka.so.1")
    return [*bundled, system]


def _declared(lib: ctypes.CDLL) -> ctypes.CDLL:
    """Pointers are 64 bits wide; ctypes takes them for ints unless it is told."""
    pointer = ctypes.c_void_p
    text = ctypes.c_char_p
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (ctypes.c_int, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [ctypes.c_int, pointer, text, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, ctypes.c_int]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_set_group_consumer_heartbeat_interval_ms": (None, [pointer, ctypes.c_int]),
        "rd_kafka_mock_topic_create": (ctypes.c_int, [pointer, text, ctypes.c_int, ctypes.c_int]),
        "rd_kafka_mock_topic_delete": (ctypes.c_int, [pointer, text]),
        "rd_kafka_mock_topic_set_error": (None, [pointer, text, ctypes.c_int]),
        "rd_kafka_mock_push_request_errors_array": (
            None,
            [pointer, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)],
        ),
        "rd_kafka_mock_clear_request_errors": (None, [pointer, ctypes.c_int16]),
        "rd_kafka_mock_partition_delete_records": (
            ctypes.c_int,
            [pointer, text, ctypes.c_int32, ctypes.c_int64],
        ),
        "rd_kafka_mock_partition_set_leader": (ctypes.c_int, [pointer, text, ctypes.c_int32, ctypes.c_int32]),
        "rd_kafka_mock_coordinator_set": (ctypes.c_int, [pointer, text, text, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_rtt": (ctypes.c_int, [pointer, ctypes.c_int32, ctypes.c_int]),
        "rd_kafka_mock_broker_set_down": (ctypes.c_int, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_up": (ctypes.c_int, [pointer, ctypes.c_int32]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype = result
        function.argtypes = arguments
    return lib
