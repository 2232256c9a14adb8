"""A visit to the board by somebody who is no worker: what lies there now, and news left there.

Reading goes to the end the board had when it began, and stops; or listens on for a while, for who is alive
says so again and again. Writing waits for the acknowledgement,
since whoever visits wants to be told what came of it and will not be there to try again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass

from connector.engine.ports import NotWritten
from connector.kafka.access import Access
from connector.kafka.bridge import Bridge
from connector.kafka.cluster import Cluster
from connector.kafka.errors import KafkaTrouble
from connector.kafka.follower import Follower, News
from connector.kafka.writer import KafkaWriter, WriterSettings

READ_WITHIN_S = 20.0
"""A board of 20,000 subscriptions is some megabytes: seconds over a slow line."""
WRITE_WITHIN_MS = 10_000


@dataclass(frozen=True, slots=True)
class Visit:
    """``newest`` is the newest value of every key. ``fresh`` are the keys of which news came in after the end
    that the board had at first: by our own clock, whatever those of their writers say."""

    newest: Mapping[bytes, bytes]
    fresh: Set[bytes]


def _nobody(_: Mapping[bytes, bytes]) -> Set[bytes]:
    return frozenset()


async def read_board(
    topic: str,
    cluster: Cluster,
    *,
    awaited: Callable[[Mapping[bytes, bytes]], Set[bytes]] = _nobody,
    listen_ms: int = 0,
    within_s: float = READ_WITHIN_S,
) -> Visit:
    """All there is, and what comes within ``listen_ms`` after that, or until there is fresh news of the keys
    that are ``awaited``, which is asked once with all there was. Raises :class:`KafkaTrouble` for whatever
    keeps it from being read, after ``within_s`` at the latest."""
    loop = asyncio.get_running_loop()
    is_read: asyncio.Future[None] = loop.create_future()
    is_heard: asyncio.Future[None] = loop.create_future()
    newest: dict[bytes, bytes] = {}
    fresh: set[bytes] = set()
    missing: set[bytes] = set()

    def told(news: News) -> None:
        for key, value in news.items():
            if value is None:
                newest.pop(key, None)
            else:
                newest[key] = value
        if is_read.done():
            fresh.update(news)
            listen()
        bridge.ask(follower.go_on)

    def listen() -> None:
        if missing <= fresh and not is_heard.done():
            is_heard.set_result(None)

    def caught_up() -> None:
        if not is_read.done():
            is_read.set_result(None)
            missing.update(awaited(newest))
            listen()

    def complain(what: str, *, is_fatal: bool = False) -> None:
        if not is_read.done():
            is_read.set_exception(KafkaTrouble(what, is_fatal=is_fatal))

    bridge = Bridge("kafka board visit", lambda: follower.run())
    follower = Follower(
        topic, cluster=cluster, bridge=bridge, told=told, caught_up=caught_up, complain=complain
    )
    bridge.start()
    try:
        async with asyncio.timeout(within_s):
            await is_read
        await asyncio.wait([is_heard], timeout=listen_ms / 1_000)
    except TimeoutError:
        raise KafkaTrouble(f"topic {topic} could not be read to its end within {within_s:g} s") from None
    finally:
        bridge.ask(follower.close)
        await bridge.ended()
    return Visit(newest, fresh)


async def write_board(
    topic: str,
    access: Access,
    news: Iterable[tuple[bytes, bytes]],
    *,
    within_ms: int = WRITE_WITHIN_MS,
) -> None:
    """Write ``news``, keys and values, and wait until the broker has all of it. Raises :class:`KafkaTrouble`
    for the first that it has not; others may be written then."""
    writer = KafkaWriter(
        access, WriterSettings(delivery_timeout_ms=within_ms), faulted=lambda what: faults.append(what)
    )
    faults: list[str] = []
    try:
        for failure in await asyncio.gather(*(_written(writer, topic, *one) for one in news)):
            if failure is not None:
                what = f"topic {topic} cannot be written: {'; '.join((failure.detail, *faults))}"
                raise KafkaTrouble(what, is_fatal=failure.fault != "passing")
    finally:
        await writer.close()


def _written(writer: KafkaWriter, topic: str, key: bytes, value: bytes) -> asyncio.Future[NotWritten | None]:
    over: asyncio.Future[NotWritten | None] = asyncio.get_running_loop().create_future()
    writer.write(topic, key=key, value=value, headers=(), done=over.set_result)
    return over
