"""Posting by any sender, and what came of it; and look-ups that answer as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from ipaddress import IPv4Network, ip_address
from typing import Any

from connector.core.outcome import Failure, Reply
from connector.engine.ports import Endpoint, Sender
from connector.webhook.guard import Address, Guard
from connector.webhook.resolver import Answer, LookupFailed
from tests.support.raw_receiver import Receiver

MakeSender = Callable[..., Sender]

LOOPBACK = Guard(allowed=(IPv4Network("127.0.0.0/8"),))
"""Lets receivers of this machine be sent to, besides those outside."""

# How much later than its deadline a request may end: 50 ms are promised, the rest is a busy machine.
LATE_MS = 1_000


class Outcomes:
    """Collects what ``done`` was called with; a second call for one request fails the test."""

    def __init__(self) -> None:
        self.futures: dict[int, asyncio.Future[Reply | Failure]] = {}

    def done(self, context: int, outcome: Reply | Failure) -> None:
        self.futures[context].set_result(outcome)


def start(
    sender: Sender, endpoint: Endpoint, body: bytes = b"{}", timeout_ms: int = 5_000
) -> asyncio.Future[Reply | Failure]:
    """Post, and return what ``done`` will get."""
    outcomes = Outcomes()
    future = outcomes.futures[7] = asyncio.get_running_loop().create_future()
    sender.post(endpoint, b"webhook-id: evt_1\r\n", body, timeout_ms, 7, outcomes.done)
    assert not future.done(), "done must not be called before post returns"
    return future


async def post(
    sender: Sender, url: str, body: bytes = b"{}", timeout_ms: int = 5_000, **endpoint: Any
) -> Reply | Failure:
    prepared = sender.endpoint(url, **{"headers": (), "content_type": "application/json", **endpoint})
    return await start(sender, prepared, body, timeout_ms)


async def post_large_then_small(
    sender: Sender, receiver: AbstractAsyncContextManager[Receiver], body_bytes: int
) -> list[str]:
    """The kinds of what came of a POST of ``body_bytes``, and of one of two bytes after it."""
    async with receiver as at:
        return [kind(await post(sender, at.url(), body)) for body in (b"x" * body_bytes, b"{}")]


def kind(outcome: Reply | Failure) -> str:
    """The kind of a failure, or the status of a reply."""
    return outcome.kind if isinstance(outcome, Failure) else f"http-{outcome.status}"


class FixedLookup:
    """Answers from a table; a name that is not in it does not exist; ``hang`` never answers."""

    def __init__(self, table: dict[str, list[str]]) -> None:
        self.table = table
        self.asked: list[str] = []

    async def look_up(self, name: str) -> Answer:
        self.asked.append(name)
        if name == "hang.example":
            await asyncio.get_running_loop().create_future()
        if name not in self.table:
            raise LookupFailed(f"{name} does not resolve: no such name")
        addresses: list[Address] = [ip_address(text) for text in self.table[name]]
        return Answer(tuple(addresses), 60.0)

    async def close(self) -> None: ...


class RebindingLookup:
    """Answers one address after the other, and says that none of the answers lives."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def look_up(self, name: str) -> Answer:
        return Answer((ip_address(self.answers.pop(0)),), 0.0)

    async def close(self) -> None: ...


class BrokenLookup(FixedLookup):
    """Fails as nobody foresaw, until it is mended."""

    is_mended = False

    async def look_up(self, name: str) -> Answer:
        if not self.is_mended:
            raise RuntimeError("the library has a fault")
        return await super().look_up(name)
