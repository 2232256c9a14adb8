"""The client's error codes in our words, translated once, here."""

from __future__ import annotations

from typing import Protocol

from confluent_kafka import KafkaError, KafkaException

from connector.engine.ports import WriteFault


class KafkaTrouble(Exception):
    """The cluster did not answer, or not with what was asked. ``is_fatal``: trying again will not
    help, an operator must act."""

    def __init__(self, what: str, *, is_fatal: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.is_fatal = is_fatal


class Complain(Protocol):
    """Tells what an operator must know; after a fatal one whoever complained ends."""

    def __call__(self, what: str, *, is_fatal: bool = False) -> None: ...


class NeverStarted(KafkaTrouble):
    """A topic this group has never read, and no setting that says where to begin."""


def error_of(exception: KafkaException) -> KafkaError:
    """The error an exception carries."""
    error = exception.args[0] if exception.args else None
    return error if isinstance(error, KafkaError) else KafkaError(KafkaError._FAIL, str(exception))


def words(error: KafkaError) -> str:
    return f"{error.str()} ({error.name()})"


_WRITE_FAULTS: dict[int, WriteFault] = {
    KafkaError.MSG_SIZE_TOO_LARGE: "too-large",
    KafkaError.RECORD_LIST_TOO_LARGE: "too-large",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "missing-topic",
    KafkaError._UNKNOWN_TOPIC: "missing-topic",
    KafkaError._UNKNOWN_PARTITION: "missing-topic",
    KafkaError.TOPIC_EXCEPTION: "missing-topic",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "forbidden",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "forbidden",
}


def write_fault(error: KafkaError) -> WriteFault:
    """Everything not known to be lasting is passing: the client is rebuilt after a fatal error, so
    even that passes."""
    return _WRITE_FAULTS.get(error.code(), "passing")


_COORDINATOR_STARTS = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}


def is_coordinator_starting(answer: object) -> bool:
    """Whether a group's coordinator says that it is not ready, or that it is another broker."""
    return isinstance(answer, KafkaError) and answer.code() in _COORDINATOR_STARTS


_OUT_OF_REACH = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
}


def is_out_of_reach(error: KafkaError) -> bool:
    """A connection came and went: the client mends that itself and the look-ups notice if not."""
    return error.code() in _OUT_OF_REACH
