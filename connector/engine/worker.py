"""The worker: one process's share of the work, put together from the ports and run until it is stopped.

It owns the order of things. At the start: the subscriptions are known before a group is joined, for an
event matched against too few of them is lost; and the share of the rate limits, or the first seconds' events
would all have to wait in tiers. At the stop: reading ends, what is in hand is settled or
given back, the last offsets are committed, the groups are left, then the writer and the sender close.
A kill at any point is safe by construction; the order only keeps duplicates few.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from connector.core.accounts import Accounts, InHand
from connector.core.breaker import BreakerRules
from connector.core.composer import Composer
from connector.core.disabling import DisableRules
from connector.core.outage import Outage
from connector.core.subscription import Subscription
from connector.core.topic_names import operator_events_topic
from connector.engine.backlog import BacklogReplay
from connector.engine.departures import Departures
from connector.engine.dispatcher import Dispatcher, DispatchLimits
from connector.engine.events import EventIntake
from connector.engine.flow import FlowLimits
from connector.engine.hearing import Hearing
from connector.engine.intake import Intake
from connector.engine.knowledge import Knowledge
from connector.engine.lanes import Lanes
from connector.engine.letter_log import LetterLog
from connector.engine.operator_events import OperatorEvents
from connector.engine.outbox import Outbox
from connector.engine.parked import Parked
from connector.engine.ports import Clock, Decoder, Log, Sender, Source, Writer
from connector.engine.presence import Presence
from connector.engine.pump import Pump
from connector.engine.schemas import SchemaWait
from connector.engine.settlement import Settlement
from connector.engine.shared import Board
from connector.engine.tasks import Tasks
from connector.engine.tiers import TierIntake

LOOK_MS = 250
"""How often lanes and windows are looked over: for so long at most a full one holds up the others."""
SHARE_WAIT_MAX_MS = 5_000
"""What has no rate limit waits no longer than this for what has one. Usually two seconds are enough; where
the other workers cannot be heard, no time is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLimits:
    """Every bound of one worker; where each number comes from: :mod:`connector.settings`."""

    flow: FlowLimits
    tier_flow: FlowLimits
    dispatch: DispatchLimits
    breaker: BreakerRules
    disable: DisableRules
    commit_interval_ms: int
    settled_per_commit: int
    poison_run_max: int
    stop_budget_ms: int


class Worker:
    """Reads, delivers, retries and commits. ``tier_source`` and ``letters`` are ``None`` in a dry run, which
    retries and replays nothing. ``on_fatal`` is called when the worker cannot go on and must be stopped."""

    def __init__(
        self,
        *,
        prefix: str,
        source: Source,
        tier_source: Source | None,
        letters: LetterLog | None,
        writer: Writer,
        sender: Sender,
        board: Board,
        worker_id: str,
        decoder: Decoder,
        compile_composer: Callable[[Subscription], Composer],
        limits: WorkerLimits,
        clock: Clock,
        log: Log,
        on_fatal: Callable[[str], None],
    ) -> None:
        self.accounts = Accounts()
        self._source = source
        self._tier_source = tier_source
        self._writer = writer
        self._sender = sender
        self._limits = limits
        self._log = log
        self._tasks = Tasks(log, on_fatal)
        self._has_started = False
        self._is_stopping = False
        settlement = Settlement(self.accounts)
        self.lanes = Lanes(
            sender,
            compile_composer,
            breaker=limits.breaker,
            host_in_flight_max=limits.dispatch.host_in_flight_max,
            clock=clock,
        )
        self._board = board
        self.presence = Presence(board, clock, worker_id)
        self.share = 0.0
        """The part of every rate limit that this worker may use, from 0 to 1."""
        self._clock = clock
        self.parked = Parked(board, worker_id, clock, log)
        self.knowledge = Knowledge(
            board=board,
            presence=self.presence,
            worker_id=worker_id,
            lanes=self.lanes,
            clock=clock,
            on_change=lambda lane: self.dispatcher.heard(lane),
        )
        self.hearing = Hearing(board, (self.presence.heard, self.knowledge.heard, self.parked.heard), log)
        self.outbox = Outbox(writer, prefix=prefix, accounts=self.accounts, clock=clock, log=log)
        self._operator_events = OperatorEvents(writer, prefix=prefix, clock=clock, log=log)
        self.schemas = SchemaWait(decoder, clock, self._tasks.spawn, log)
        departures = Departures(
            outbox=self.outbox, settlement=settlement, accounts=self.accounts, clock=clock, log=log
        )
        self.dispatcher = Dispatcher(
            sender=sender,
            lanes=self.lanes,
            outbox=self.outbox,
            departures=departures,
            settlement=settlement,
            accounts=self.accounts,
            limits=limits.dispatch,
            disabling=limits.disable,
            outage=Outage(),
            news=self.knowledge,
            parked=self.parked,
            operator=self._operator_events,
            spawn=self._tasks.spawn,
            clock=clock,
            log=log,
        )

        def pump(name: str, source: Source, intake: Intake, flow_limits: FlowLimits) -> Pump:
            return Pump(
                name=name,
                source=source,
                intake=intake,
                downstream=self.dispatcher,
                handing_over=self.dispatcher.handing_over,
                settlement=settlement,
                accounts=self.accounts,
                limits=flow_limits,
                clock=clock,
                spawn=self._tasks.spawn,
                log=log,
                on_fatal=on_fatal,
                commit_interval_ms=limits.commit_interval_ms,
                settled_per_commit=limits.settled_per_commit,
            )

        events = EventIntake(
            decoder=decoder,
            schemas=self.schemas,
            lanes=self.lanes,
            dispatcher=self.dispatcher,
            departures=departures,
            settlement=settlement,
            accounts=self.accounts,
            clock=clock,
            poison_run_max=limits.poison_run_max,
            operator_topic=operator_events_topic(prefix),
        )
        self.pumps = [pump("source", source, events, limits.flow)]
        self._tiers: TierIntake | None = None
        if tier_source is not None:
            self._tiers = TierIntake(
                prefix=prefix,
                decoder=decoder,
                schemas=self.schemas,
                lanes=self.lanes,
                dispatcher=self.dispatcher,
                departures=departures,
                outbox=self.outbox,
                settlement=settlement,
                accounts=self.accounts,
                clock=clock,
            )
            self.pumps.append(pump("tiers", tier_source, self._tiers, limits.tier_flow))
        self._replay: BacklogReplay | None = None
        if letters is not None:
            self._replay = BacklogReplay(
                prefix=prefix,
                letters=letters,
                parked=self.parked,
                presence=self.presence,
                lanes=self.lanes,
                departures=departures,
                outbox=self.outbox,
                accounts=self.accounts,
                has_room=self.dispatcher.has_room,
                clock=clock,
                log=log,
            )

    # ── life ────────────────────────────────────────────────────────────────────────────────────

    def view(self, subscriptions: Sequence[Subscription], tiers: Sequence[int]) -> None:
        """Take a complete view of the subscriptions, and the tiers whose topics exist (shortest first,
        at least one). Raises :class:`~connector.engine.ports.ForbiddenTarget` and changes nothing when
        a URL may never be sent to."""
        assert tiers, "a delivery that cannot be tried needs a place to wait"
        before = {lane: lane.endpoint.url for lane in self.lanes}
        evicted = self.lanes.replace(subscriptions)
        self.knowledge.viewed(lane for lane in self.lanes if lane not in before)
        dropped = [lane for lane in before if not lane.is_live]
        self.knowledge.dropped(dropped)
        self.parked.dropped(dropped)
        if self._tiers is not None:
            self._tiers.viewed()
        self.knowledge.moved(lane for lane, url in before.items() if lane.endpoint.url != url)
        self.outbox.tiers = tuple(tiers)
        self.dispatcher.changed(evicted)
        if self._has_started:
            self.presence.park(self._parking())

    async def learn(self) -> None:
        """Learn what the other workers know, as long as it takes. :meth:`view` comes first: of what is not in
        the view no more is kept than there is room for."""
        self.hearing.start()
        await self.hearing.caught_up()

    def start(self) -> None:
        """Work on what the sources bring. :meth:`view` and :meth:`learn` come first, the topics are
        subscribed to after :meth:`get_share`."""
        assert self.outbox.tiers, "the view is complete before a group is joined"
        self._has_started = True
        self.presence.park(self._parking())
        self._tasks.spawn(self.presence.run(), "presence")
        for pump in self.pumps:
            pump.start()
        self._tasks.spawn(self._look_for_ever(), "look")
        if self._replay is not None:
            self._tasks.spawn(self._replay.run(), "backlog")

    async def get_share(self) -> None:
        """Get a share of the rate limits, if there are any; :data:`SHARE_WAIT_MAX_MS` at most."""
        until_ms = self._clock.monotonic_ms() + SHARE_WAIT_MAX_MS
        while any(lane.bucket is not None for lane in self.lanes) and self._clock.monotonic_ms() < until_ms:
            self._take_share()
            if self.share:
                return
            await asyncio.sleep(LOOK_MS / 1_000)

    def hold(self, why: str) -> None:
        """Read no new events: who should get them is in doubt. Retries and what is in hand go on."""
        self.pumps[0].hold(why)

    def release(self) -> None:
        """Read on."""
        self.pumps[0].release()

    async def stop(self) -> None:
        """Stop reading, drain within the stop budget, commit, leave the groups, close. Never raises
        for a broker that is away: what could not be committed is read again."""
        self._is_stopping = True
        if self._has_started:
            await asyncio.gather(
                *(pump.drain(self._limits.stop_budget_ms) for pump in self.pumps),
                *([self._replay.stop(self._limits.stop_budget_ms)] if self._replay else []),
            )
            await asyncio.gather(
                self._source.close(), *([self._tier_source.close()] if self._tier_source else [])
            )
            self.knowledge.tell_runs()
            self.presence.leave()
        self._operator_events.close()
        await self._board.close()
        await self._writer.close()
        await self._tasks.close()  # probes among them, which use the sender
        await self._sender.close()

    def hurry(self) -> None:
        """End the drain now, and wait no longer for the broker than a healthy one needs."""
        for pump in self.pumps:
            pump.hurry()
        if self._replay is not None:
            self._replay.hurry()
        self._writer.hurry()

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_MS / 1_000)
            self.dispatcher.look()
            self.knowledge.look()
            self.presence.park(self._parking())
            self._take_share()
            if not self.dispatcher.outage:  # else it is nobody in particular who holds up a window
                for pump in self.pumps:
                    pump.unblock()

    def _parking(self) -> set[str]:
        """The subscriptions for which letters are parked here, or may be on their way to it."""
        return {lane.subscription.id for lane in self.lanes if lane.is_parking} | self.outbox.parking

    def _take_share(self) -> None:
        share = self.presence.share(self._clock.monotonic_ms())
        if share != self.share:
            self.share = share
            self.lanes.share(share)

    # ── what it has to say ──────────────────────────────────────────────────────────────────────

    def in_hand(self) -> InHand:
        """What is held now, counted where it is held."""
        return InHand(
            records=sum(pump.records_in_hand() for pump in self.pumps)
            + (self._replay.records_in_hand() if self._replay else 0),
            deliveries=self.dispatcher.deliveries_in_hand(),
        )

    def unready(self) -> list[str]:
        """Why this worker should get no traffic of its own and a roll-out should wait; empty when it is
        ready. Holding a partition is a gauge and an alert, not un-readiness: the cure is a roll-out."""
        reasons = [f"has not joined its group: {pump.name}" for pump in self.pumps if not pump.has_joined]
        if self.outbox.blocked:
            reasons.append(f"cannot write its own topics: {self.outbox.blocked}")
        if self._is_stopping:
            reasons.append("is stopping")
        return reasons

    def held(self) -> dict[str, str]:
        """Partitions that wait for an operator, and why; the registry while it cannot be reached; sending
        while nothing can be, else each way by which nothing can."""
        held = {str(flow.tp): flow.held for pump in self.pumps for flow in pump.flows if flow.held}
        if self.schemas.unreachable:
            held["registry"] = self.schemas.unreachable
        return held | self.dispatcher.holds
