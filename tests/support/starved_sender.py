"""Senders in a process that has few file descriptors left: what they then say of a delivery.

``python -m tests.support.starved_sender ORDERS`` takes a JSON list of orders and prints one of the same
length: for each order, by how many descriptors were left, the outcomes of a POST while there were no more and
of another once there were plenty. Every number is tried in a process of its own, forked before anything was
sent: what is loaded or opened at its first use must not be missing because there is no descriptor for it.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import uvloop

from connector.core.subscription import DIRECT, Egress
from connector.webhook.egress_sender import EgressSender
from connector.webhook.resolver import AresLookup
from connector.webhook.sender import WebhookSender
from tests.support.posting import LOOPBACK, kind, start

LEFT_MAX = 3
"""Enough for a POST of any sender."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A POST to ``url`` by the sender that ``http2`` or ``proxy`` take, else by the fast one."""

    url: str
    name_server: str
    ca_file: str
    http2: bool = False
    proxy: str = ""

    @property
    def egress(self) -> Egress:
        return Egress(http2=self.http2, proxy=self.proxy)


def orders_to_text(orders: list[Order]) -> str:
    return json.dumps([asdict(order) for order in orders])


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """Within the block ``count`` descriptors may be opened in this process. What earlier tests left behind is
    closed before, not within."""
    gc.collect()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [number for number in range(soft) if not _is_open(number)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[count], hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


async def _outcomes(order: Order, left: int) -> list[str]:
    make = WebhookSender if order.egress == DIRECT else EgressSender
    sender = make(
        guard=LOOPBACK,
        allow_http=True,
        extra_ca_file=order.ca_file,
        lookup=AresLookup([order.name_server]),
    )
    endpoint = sender.endpoint(order.url, headers=(), content_type="a/b", egress=order.egress)
    with descriptors_left(left):
        starved = await start(sender, endpoint)
    fed = await start(sender, endpoint)
    await sender.close()
    return [kind(starved), kind(fed)]


def _in_a_process_of_its_own(order: Order, left: int) -> list[str]:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, json.dumps(uvloop.run(_outcomes(order, left))).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return list(json.loads(text))


def main() -> None:
    orders = [Order(**order) for order in json.loads(sys.argv[1])]
    outcomes = [[_in_a_process_of_its_own(order, left) for left in range(LEFT_MAX + 1)] for order in orders]
    sys.stdout.write(json.dumps(outcomes))


if __name__ == "__main__":
    main()
