"""POSTs under way and connections have one bound: what cannot have a connection is not started."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from connector.app.adapters import limits_of
from connector.settings import Settings
from connector.settings.load import Flag, load_settings

FILES_MAX = 1_000


@pytest.fixture
def few_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def settings(in_flight_max: int) -> Settings:
    flags = {
        "kafka.bootstrap_servers": "127.0.0.1:1",
        "topics": '[{"name": "post.created", "format": "json"}]',
        "subscriptions_file": "subscriptions.yaml",
        "delivery.in_flight_max": in_flight_max,
    }
    return load_settings([Flag(name=path, path=path, value=value) for path, value in flags.items()])


@pytest.mark.usefixtures("few_files")
@pytest.mark.parametrize(("asked", "given"), [(2_048, 800), (801, 800), (799, 799)])
def test_no_more_posts_are_under_way_than_connections_may_be_open(asked: int, given: int) -> None:
    limits = limits_of(settings(asked))

    assert limits.dispatch.in_flight_max == given


def test_with_files_enough_as_many_are_under_way_as_the_settings_say() -> None:
    limits = limits_of(settings(300))

    assert limits.dispatch.in_flight_max == 300
