"""A visit to the board by somebody who is no worker: what lies there now, and news left there.

Reading goes to the end the board had when it began, and stops. Writing waits for the acknowledgement,
since whoever visits wants to be told what came of it and will not be there to try again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

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


async def read_board(topic: str, cluster: Cluster, *, within_s: float = READ_WITHIN_S) -> dict[bytes, bytes]:
    """The newest value of every key. Raises :class:`KafkaTrouble` for whatever keeps it from being read,
    after ``within_s`` at the latest."""
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    newest: dict[bytes, bytes] = {}

    def told(news: News) -> None:
        for key, value in news.items():
            if value is None:
                newest.pop(key, None)
            else:
                newest[key] = value
        bridge.ask(follower.go_on)

    def caught_up() -> None:
        if not over.done():
            over.set_result(None)

    def complain(what: str, *, is_fatal: bool = False) -> None:
        if not over.done():
            over.set_exception(KafkaTrouble(what, is_fatal=is_fatal))

    bridge = Bridge("kafka board visit", lambda: follower.run())
    follower = Follower(
        topic, cluster=cluster, bridge=bridge, told=told, caught_up=caught_up, complain=complain
    )
    bridge.start()
    try:
        async with asyncio.timeout(within_s):
            await over
    except TimeoutError:
        raise KafkaTrouble(f"topic {topic} could not be read to its end within {within_s:g} s") from None
    finally:
        bridge.ask(follower.close)
        await bridge.ended()
    return newest


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
