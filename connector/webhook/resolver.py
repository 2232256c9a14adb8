"""Names into addresses, without ever blocking anyone else.

The event loop's own ``getaddrinfo`` has a few threads that cannot be cancelled: four names whose
servers hang would stop all look-ups. Here c-ares (aiodns) looks up thousands at once; each name has at
most one look-up under way, which all who ask share, and every look-up has a budget of its own, so a
hanging name costs only those who want it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from time import monotonic
from typing import Protocol

import aiodns
import aiodns.error

from connector.core.outcome import FailureKind
from connector.webhook.guard import Address
from connector.webhook.shortage import shortage

NAMES_MAX = 10_000
"""Names remembered; one entry is about 300 bytes."""

LOOKUPS_MAX = 4_096
"""Look-ups under way at once: more than one process sends, so only names that hang in masses get there."""

ADDRESSES_MAX = 64
"""Addresses of one name. All of them are judged for every connection, some 4 µs each, and a name server
outside may put thousands into an answer. Large services have a dozen."""

CACHE_S_MAX = 60.0
"""The longest an answer is kept, however long it may live: as long as a connection."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The addresses of a name, at least one, in the order to try them; valid for ``ttl_s`` seconds."""

    addresses: tuple[Address, ...]
    ttl_s: float


class LookupFailed(Exception):
    """The name has no addresses, or nobody could be asked. The message is for the operator; ``kind`` is that
    of the failed attempt."""

    def __init__(self, message: str, kind: FailureKind = "dns") -> None:
        super().__init__(message)
        self.kind = kind


class Lookup(Protocol):
    """Asks the outside world about one name."""

    async def look_up(self, name: str) -> Answer:
        """All addresses of ``name``, IPv4 and IPv6, at most :data:`ADDRESSES_MAX`. Raises
        :class:`LookupFailed`."""

    async def close(self) -> None:
        """Give up all look-ups. May be called again, by another who shared it."""


class Resolver:
    """Shares, bounds and briefly remembers look-ups. Failures are not remembered; of more names than
    ``names_max`` the oldest goes first; more than ``lookups_max`` at once are refused."""

    def __init__(
        self,
        lookup: Lookup,
        *,
        budget_ms: int,
        names_max: int = NAMES_MAX,
        lookups_max: int = LOOKUPS_MAX,
    ) -> None:
        self._lookup = lookup
        self._budget_ms = budget_ms
        self._names_max = names_max
        self._lookups_max = lookups_max
        self._under_way: dict[str, asyncio.Task[Answer]] = {}
        self._remembered: dict[str, tuple[float, tuple[Address, ...]]] = {}

    async def resolve(self, name: str) -> tuple[Address, ...]:
        """The addresses of ``name``. Raises :class:`LookupFailed`, after the budget at the latest."""
        remembered = self._remembered.get(name)
        if remembered is not None:
            expires_at_s, addresses = remembered
            if monotonic() < expires_at_s:
                return addresses
            del self._remembered[name]
        task = self._under_way.get(name)
        if task is None:
            if len(self._under_way) >= self._lookups_max:
                raise LookupFailed(
                    f"{name} is not looked up: {self._lookups_max} others wait for an answer", "resources"
                )
            task = self._under_way[name] = asyncio.create_task(self._ask(name), name=f"look up {name}")
            task.add_done_callback(self._finished)
        # One who gives up must not take the answer from the others.
        answer = await asyncio.shield(task)
        return answer.addresses

    async def close(self) -> None:
        """Give up all look-ups."""
        tasks = tuple(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._lookup.close()

    async def _ask(self, name: str) -> Answer:
        try:
            async with asyncio.timeout(self._budget_ms / 1000):
                answer = await self._lookup.look_up(name)
            self._remember(name, answer)
            return answer
        except TimeoutError:
            raise LookupFailed(f"no answer about {name} within {self._budget_ms} ms") from None
        finally:
            del self._under_way[name]

    @staticmethod
    def _finished(task: asyncio.Task[Answer]) -> None:
        # All who asked may have given up: the failure is then theirs no more, and not an alarm either.
        if not task.cancelled():
            task.exception()

    def _remember(self, name: str, answer: Answer) -> None:
        ttl_s = min(answer.ttl_s, CACHE_S_MAX)
        if ttl_s <= 0:
            return
        if len(self._remembered) >= self._names_max:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[name] = (monotonic() + ttl_s, answer.addresses)


class AresLookup:
    """c-ares: /etc/hosts, then ``name_servers`` ("address:port"), by default those of
    /etc/resolv.conf with its search domains. To be made on the running loop, and before it is needed: what
    c-ares opens for itself must not be missing when descriptors are used up."""

    def __init__(self, name_servers: Sequence[str] = ()) -> None:
        # A lost datagram costs a second, not the five of the usual configuration.
        self._resolver = aiodns.DNSResolver(name_servers, timeout=1.0, tries=3)

    async def look_up(self, name: str) -> Answer:
        # Of a socket that it could not open, c-ares says no more than that no name server was reached.
        _need_socket(name)
        try:
            result = await self._resolver.getaddrinfo(name)
        except aiodns.error.DNSError as error:
            _need_socket(name)
            raise LookupFailed(f"{name} does not resolve: {error.args[1]}") from None
        if not result.nodes:
            raise LookupFailed(f"{name} does not resolve: it has no addresses")
        if len(result.nodes) > ADDRESSES_MAX:
            # None is left out instead: whether one is forbidden is asked of all.
            raise LookupFailed(
                f"{name} has {len(result.nodes)} addresses: at most {ADDRESSES_MAX} are looked through"
            )
        addresses = dict.fromkeys(
            ip_address(node.addr[0].decode("ascii").partition("%")[0]) for node in result.nodes
        )
        return Answer(tuple(addresses), min(node.ttl for node in result.nodes))

    async def close(self) -> None:
        await self._resolver.close()
        # The cancelled look-ups were handed to the loop from another thread: let them land.
        await asyncio.sleep(0)


def _need_socket(name: str) -> None:
    if why := shortage():
        raise LookupFailed(f"{name} is not looked up: {why}", "resources")
