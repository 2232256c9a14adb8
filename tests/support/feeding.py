"""A steady stream of JSON events into a topic, from a thread, each acknowledged by all replicas."""

from __future__ import annotations

import json
import threading
import time
from types import TracebackType

from confluent_kafka import KafkaError, Message, Producer


def event_id(record: Message) -> str:
    """The id that a :class:`Feeder` gave this record's event."""
    value = record.value()
    assert isinstance(value, bytes)
    return str(json.loads(value)["id"])


class Feeder:
    """Produces ``records`` events ``{"id": "e<n>", …}`` at ``rate_per_s``. A context manager that starts it
    and ends it. :meth:`join` or :meth:`stop` it, to be sure that the broker took every record."""

    def __init__(self, bootstrap_servers: str, topic: str, *, rate_per_s: float, records: int) -> None:
        self._topic = topic
        self._rate_per_s = rate_per_s
        self._records = records
        self._failed: list[KafkaError] = []
        self._unanswered = 0
        self._is_over = threading.Event()
        self._producer = Producer(
            {"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 5}
        )
        self._thread = threading.Thread(target=self._run, name="feeder")
        self.fed = 0
        """Records handed to the client so far."""

    def join(self) -> None:
        """Wait until all records are acknowledged."""
        self._thread.join()
        assert not self._failed, f"the broker refused records: {self._failed[0]}"
        assert not self._unanswered, f"the broker never answered about {self._unanswered} records"

    def stop(self) -> int:
        """Produce no more, and wait until what was produced is acknowledged; how many records that is."""
        self._is_over.set()
        self.join()
        return self.fed

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        started = time.monotonic()
        while self.fed < self._records and not self._is_over.is_set():
            due = min(self._records, int((time.monotonic() - started) * self._rate_per_s))
            for number in range(self.fed, due):
                value = json.dumps({"id": f"e{number}", "text": "x" * 200}).encode()
                self._producer.produce(self._topic, value, key=str(number % 97), on_delivery=self._report)
            self.fed = max(self.fed, due)
            self._producer.poll(0.01)
        self._unanswered = self._producer.flush(60)

    def _report(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed.append(error)
