"""All lanes: which there are, and which of them want an event.

A change of the subscriptions replaces what a lane sends with (URL, secrets, limits) between two
deliveries and never touches what is in flight.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from connector.core.breaker import BreakerRules
from connector.core.composer import Composer
from connector.core.matching import Matcher
from connector.core.subscription import Subscription
from connector.engine.host import Host
from connector.engine.lane import Lane
from connector.engine.ports import Clock, Endpoint, Sender


class Lanes:
    """All lanes by subscription id, and which of them want an event of a given type."""

    def __init__(
        self,
        sender: Sender,
        compile_lane: Callable[[Subscription], Composer],
        *,
        breaker: BreakerRules,
        host_in_flight_max: int,
        clock: Clock,
    ) -> None:
        self._sender = sender
        self._host_in_flight_max = host_in_flight_max
        self._clock = clock
        self._compile = compile_lane
        self._breaker = breaker
        self._hosts: dict[tuple[str, str], Host] = {}  # by place and way
        self._by_id: dict[str, Lane] = {}
        self.matching: Callable[[str], Sequence[Lane]] = Matcher[Lane](()).match
        """The lanes whose subscription wants events of a type, in file order."""
        self._share = 0.0  # of every rate limit: nothing before this process is known to the others

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def hosts(self) -> Collection[Host]:
        """Where they lead to."""
        return self._hosts.values()

    def get(self, subscription_id: str) -> Lane | None:
        return self._by_id.get(subscription_id)

    def replace(self, subscriptions: Sequence[Subscription]) -> list[Lane]:
        """Take a new view. Returns the lanes that may not keep their queue: removed, or now paused.

        Raises :class:`~connector.engine.ports.ForbiddenTarget` before anything has changed.
        """
        lanes: dict[str, Lane] = {}
        changes: list[tuple[Lane, Subscription, Composer, Endpoint]] = []
        for one in subscriptions:
            lane = self._by_id.get(one.id)
            if lane is None:
                composer, endpoint = self._prepare(one)
                lane = Lane(one, composer, endpoint, self._host(endpoint), self._breaker)
                self._share_of(lane)
            elif lane.subscription != one:
                changes.append((lane, one, *self._prepare(one)))
            lanes[one.id] = lane
        for lane, subscription, composer, endpoint in changes:
            bucket = lane.bucket
            lane.change(subscription, composer, endpoint, self._host(endpoint), self._clock.now_ms())
            if lane.bucket is not bucket:
                self._share_of(lane)
        removed = [lane for id_, lane in self._by_id.items() if id_ not in lanes]
        for lane in removed:
            lane.is_live = False
        self._by_id = lanes
        self._hosts = {(lane.endpoint.place, lane.endpoint.way): lane.host for lane in lanes.values()}
        self.matching = Matcher((lane.subscription.events, lane) for lane in self._by_id.values()).match
        return removed + [lane for lane in self._by_id.values() if lane.subscription.paused and lane.waiting]

    def share(self, fraction: float) -> None:
        """Of every rate limit, this process may use this part (0 to 1) from now on."""
        self._share = fraction
        for lane in self._by_id.values():
            self._share_of(lane)

    def _share_of(self, lane: Lane) -> None:
        if lane.bucket is not None:
            lane.bucket.share(self._share, self._clock.monotonic_ms())

    def _prepare(self, subscription: Subscription) -> tuple[Composer, Endpoint]:
        composer = self._compile(subscription)
        endpoint = self._sender.endpoint(
            subscription.url,
            headers=subscription.headers,
            content_type=composer.content_type,
            tls=subscription.tls,
            egress=subscription.egress,
        )
        return composer, endpoint

    def _host(self, endpoint: Endpoint) -> Host:
        place, way = endpoint.place, endpoint.way
        host = self._hosts.get((place, way))
        if host is None:
            name = f"{place} through {way}" if way else place
            host = self._hosts[place, way] = Host(name, way, self._host_in_flight_max)
        return host
