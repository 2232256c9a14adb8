"""The connector's own sender alone: prepared bytes to the receiver, nothing read, decoded or signed.

The bare loop that a whole delivery is held against. A process of its own, which prints the CPU seconds that
it took, connections opened beforehand not counted.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from itertools import islice
from time import process_time

import uvloop

from connector.core.outcome import Failure, Reply
from connector.engine.ports import Endpoint
from connector.webhook.sender import WebhookSender
from tests.support.posting import LOOPBACK

IN_FLIGHT = 80
_WARM = 5_000
_HEADERS = (
    b"webhook-id: evt_0123456789abcdef0123456789abcdef\r\nwebhook-timestamp: 1750000000\r\n"
    b"webhook-signature: v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"
)
_BODY = b"x" * 1_200


async def send_prepared(urls: Sequence[str], count: int) -> float:
    """CPU seconds of this process for ``count`` POSTs, :data:`IN_FLIGHT` at a time."""
    sender = WebhookSender(guard=LOOPBACK, allow_http=True)
    endpoints = [sender.endpoint(url, headers=(), content_type="application/json") for url in urls]
    try:
        await _send(sender, endpoints, _WARM)
        begun_s = process_time()
        await _send(sender, endpoints, count)
        return process_time() - begun_s
    finally:
        await sender.close()


async def _send(sender: WebhookSender, endpoints: Sequence[Endpoint], count: int) -> None:
    over = asyncio.get_running_loop().create_future()
    numbers = iter(range(count))
    unanswered = count

    def send_next() -> None:
        for number in islice(numbers, 1):
            endpoint = endpoints[number % len(endpoints)]
            sender.post(endpoint, _HEADERS, _BODY, 20_000, None, answered)

    def answered(_: None, answer: Reply | Failure) -> None:
        nonlocal unanswered
        assert isinstance(answer, Reply)
        unanswered -= 1
        if not unanswered:
            over.set_result(None)
        send_next()

    for _ in range(IN_FLIGHT):
        send_next()
    await over


if __name__ == "__main__":
    cpu_s = uvloop.run(send_prepared(json.loads(sys.argv[1]), int(sys.argv[2])))
    sys.stdout.write(f"{cpu_s}\n")
