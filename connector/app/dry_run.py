"""The dry run: everything but sending, writing and committing.

It reads beside live workers, by hand and outside every group, decodes, matches, renders and signs, and
prints each delivery it would have made. What would have been written (a poison record's letter, a paused
subscription's) is printed as well. Nobody notices.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from connector.app.adapters import (
    access_of,
    composer_of,
    decoder_of,
    limits_of,
    peek_source_of,
    registry_of,
    sender_of,
)
from connector.app.refusal import Failed, Refusal, refusing
from connector.core.headers import ORIGINAL_PREFIX, OWN_PREFIX
from connector.core.ladder import tiers_of
from connector.core.outcome import Failure, Reply
from connector.core.record import Headers
from connector.core.subscription import DIRECT, Egress, TlsIdentity
from connector.core.topic_names import matched
from connector.engine.clock import SystemClock
from connector.engine.delivery import Delivery
from connector.engine.ports import Endpoint, NotWritten
from connector.engine.shared import Alone
from connector.engine.worker import Worker
from connector.kafka.cluster import APACHE_KAFKA
from connector.kafka.topics import Topics
from connector.settings import Settings
from connector.settings.subscription_rules import subscription_rules
from connector.subscriptions.file import Unusable, load_subscriptions
from connector.telemetry.logs import make_log
from connector.webhook.router import SenderRouter


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinates:
    """Where a record was read."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WouldSend:
    """A POST that a worker would make: one delivery of ``record`` to ``subscription``."""

    would: Literal["send"] = "send"
    record: Coordinates
    subscription: str
    url: str
    headers: dict[str, str]
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WouldWrite:
    """A letter that a worker would write to ``topic``. ``subscription`` is empty for a poison record, which
    is nobody's delivery yet; ``headers`` are the connector's own."""

    would: Literal["write"] = "write"
    record: Coordinates
    subscription: str
    topic: str
    headers: dict[str, str]


Show = Callable[[WouldSend | WouldWrite], None]


class DrySender:
    """Prepares endpoints like the real sender, and shows each POST instead of making it."""

    def __init__(self, real: SenderRouter, show: Show) -> None:
        self._real = real
        self._show = show

    def endpoint(
        self,
        url: str,
        *,
        headers: Sequence[tuple[str, str]],
        content_type: str,
        tls: TlsIdentity | None = None,
        egress: Egress = DIRECT,
    ) -> Endpoint:
        return self._real.endpoint(url, headers=headers, content_type=content_type, tls=tls, egress=egress)

    def post(
        self, endpoint: Endpoint, headers: bytes, body: bytes, timeout_ms: int, context: Delivery,
        done: Callable[[Delivery, Reply | Failure], None],
    ) -> None:  # fmt: skip
        """``context`` is what the dispatcher wants back: the delivery."""
        del endpoint, timeout_ms
        record, subscription = context.record, context.lane.subscription
        self._show(
            WouldSend(
                record=Coordinates(topic=record.topic, partition=record.partition, offset=record.offset),
                subscription=subscription.id,
                url=subscription.shown_url,
                headers=dict(line.split(": ", 1) for line in headers.decode("latin-1").splitlines()),
                body=body.decode("utf-8", "replace"),
            )
        )
        asyncio.get_running_loop().call_soon(done, context, Reply(200))

    async def reach(self, endpoint: Endpoint, timeout_ms: int) -> Failure | None:
        """Everybody is there, since nobody is sent to."""
        del endpoint, timeout_ms
        return None

    def cancel_all(self) -> None:
        """Nothing is ever under way."""

    async def close(self) -> None:
        await self._real.close()


class DryWriter:
    """Shows each letter instead of writing it."""

    def __init__(self, show: Show) -> None:
        self._show = show

    def write(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers,
        done: Callable[[NotWritten | None], None],
    ) -> None:  # fmt: skip
        del key, value
        ours = {
            name: (text or b"").decode("utf-8", "replace")
            for name, text in headers
            if name.startswith(OWN_PREFIX) and not name.startswith(ORIGINAL_PREFIX)
        }
        record = Coordinates(
            topic=ours[f"{OWN_PREFIX}topic"],
            partition=int(ours[f"{OWN_PREFIX}partition"]),
            offset=int(ours[f"{OWN_PREFIX}offset"]),
        )
        subscription = ours.get(f"{OWN_PREFIX}subscription-id", "")
        self._show(WouldWrite(record=record, subscription=subscription, topic=topic, headers=ours))
        asyncio.get_running_loop().call_soon(done, None)

    async def close(self) -> None:
        """Nothing is outstanding."""

    def hurry(self) -> None:
        """Nothing is waited for."""


def run_dry(settings: Settings, *, show: Show) -> None:
    """Run dry until a signal stops it, telling ``show`` what would be done. Raises :class:`Refusal`
    when it cannot start, :class:`Failed` when it cannot go on."""
    asyncio.run(_run(settings, show))


async def _run(settings: Settings, show: Show) -> None:
    stopped = asyncio.Event()
    failures: list[str] = []

    def fail(why: str) -> None:
        failures.append(why)
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    sender = DrySender(sender_of(settings), show)
    loaded = load_subscriptions(settings.subscriptions_file, subscription_rules(settings))
    if isinstance(loaded, Unusable):
        raise Refusal(str(loaded.mistakes))
    with refusing():
        names = await Topics(access_of(settings.kafka), APACHE_KAFKA).names()
    with refusing():
        registry = registry_of(settings)
        source = peek_source_of(settings, APACHE_KAFKA)
        decoder = decoder_of(settings, registry)
    worker = Worker(
        prefix=settings.prefix,
        source=source,
        tier_source=None,
        letters=None,
        writer=DryWriter(show),
        sender=sender,
        board=Alone(),
        worker_id="dry-run",
        decoder=decoder,
        compile_composer=composer_of,
        limits=limits_of(settings),
        clock=SystemClock(),
        # Standard output is for what would be done.
        log=make_log(format=settings.log.format, level=settings.log.level, stream=sys.stderr.buffer),
        on_fatal=fail,
    )
    worker.view(loaded.subscriptions, tiers_of(loaded.subscriptions))
    await worker.learn()
    worker.start()
    await worker.get_share()
    source.subscribe(matched(settings.source_topics(), names))
    await stopped.wait()
    await worker.stop()
    if registry is not None:
        await registry.close()
    if failures:
        raise Failed(failures[0])
