"""What every test may ask for: a real Kafka, a real registry, names of its own.

Servers start once per run, when the first test asks, and end with the run. Tests share them, so a
test that breaks a server mends it; names (:class:`Names`) keep tests apart.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.support")  # before it is imported: contract suites assert there

from deploy.testbed import KafkaCluster, Registry  # noqa: E402  see above
from tests.support.names import Names  # noqa: E402  see above

_SERVERS = {"kafka": "kafka", "kafka3": "kafka", "registry": "registry"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for a server is marked with it, so that ``tests/run --fast`` leaves it out.

    A test that asks by ``request.getfixturevalue`` marks itself.
    """
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in _SERVERS:
                item.add_marker(_SERVERS[fixture])


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaCluster]:
    """One Apache Kafka node. Do not stop it: others are using it."""
    with KafkaCluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kafka_three() -> Iterator[KafkaCluster]:
    """Three nodes, shared. Ask for ``kafka3``, which mends what a test broke."""
    with KafkaCluster(3) as cluster:
        yield cluster


@pytest.fixture
def kafka3(kafka_three: KafkaCluster) -> Iterator[KafkaCluster]:
    """Three Apache Kafka nodes, all running; a test may kill, stop and pause them."""
    yield kafka_three
    kafka_three.mend()


@pytest.fixture(scope="session")
def shared_registry() -> Iterator[Registry]:
    """The schema registry, shared. Ask for ``registry``, which mends what a test broke."""
    with Registry() as registry:
        yield registry


@pytest.fixture
def registry(shared_registry: Registry) -> Iterator[Registry]:
    """A schema registry that runs; a test may kill, stop and pause it."""
    yield shared_registry
    shared_registry.mend()


@pytest.fixture
def names(request: pytest.FixtureRequest) -> Names:
    """Names that no other test of this run or an earlier one uses."""
    return Names.of(request.node.name)
