"""A deterministic simulation of the engine: one seed draws the topology, the traffic and the faults.

Phase one breaks things and asks for safety at every step; phase two mends everything and asks that all
of it drains. What is asked of the engine is computed from the topics and from what the endpoints saw,
never from the engine's own books; those are asked to add up by themselves.

Always:

* what is committed is safe: each delivery owed by a record below a committed offset was accepted, or
  lies among the dead letters, on a tier at or above that tier's committed offset, or in the parked topic at
  or above the cursor of a backlog that is open;
* no commit goes backwards, and none is asked for what is not ours;
* no attempt is made before the ladder's step or ``Retry-After`` is over, by the broker's clock, but for
  the skew of our own;
* the books add up, and every bound holds.

In the end: every delivery that was owed is accepted, or dead for a reason that happened, or parked for a
subscription that was removed; nothing lags, no backlog of a subscription in force is open; and where nothing
was killed, taken away or given up, nothing was accepted twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from dataclasses import replace
from random import Random
from typing import Any

from connector.core.backlog import merged
from connector.core.breaker import BreakerRules
from connector.core.disabling import DisableRules
from connector.core.event import Decoded, Event, NeedsSchema, Poison, Skipped
from connector.core.headers import Decoded as ReadTrail
from connector.core.headers import DecodedPoison, decode_dead
from connector.core.outcome import Failure, Reply
from connector.core.record import Record
from connector.core.sharing import BacklogNews
from connector.core.sharing import decode as decode_news
from connector.core.subscription import Subscription
from connector.core.topic_names import operator_events_topic, parked_topic, tier_delay_ms, tier_topic
from connector.engine.dispatcher import DispatchLimits
from connector.engine.flow import FlowLimits
from connector.engine.letter_log import BITE_RECORDS_MAX
from connector.engine.ports import (
    Commit,
    CommitResult,
    NotWritten,
    SchemaAnswer,
    SchemaReady,
    SchemaUnknown,
    SchemaUnreachable,
    TopicPartition,
    WriteFault,
)
from connector.engine.worker import WorkerLimits
from tests.support.fake_board import FakeBoard, FakeTopic
from tests.support.fake_kafka import PREFIX, Cluster
from tests.support.simulated_group import Group
from tests.support.virtual_time import VirtualClock, run_virtual
from tests.support.world import FakeSender, Post, World, hangs, subscription

LADDERS = ((1_000,), (1_000, 4_000), (1_000, 4_000, 20_000), (4_000, 20_000))
TIERS = (1_000, 4_000, 20_000)
SOURCES = ("post.created", "friend.request.sent")
VALUES = (b"1", b"big " + b"x" * 500, b"big " + b"x" * 3_000, b"poison", b"skip", b"schema a", b"schema b")
DRAINED_WITHIN_S = 2_400
HOPS_MAX = 1_000
NOT_SEEN_BY_ALL_MS = 1 << 62

Owed = tuple[str, int, int, str]
"""A delivery: topic, partition, offset, subscription id."""


class Registry:
    """What the schema registry knows, for all workers."""

    def __init__(self) -> None:
        self.known: set[Hashable] = set()
        self.is_reachable = True


class SimulatedDecoder:
    """Values begin with what they are: ``poison``, ``skip``, ``schema <ref>`` or an event's data."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.cached: set[Hashable] = set()

    def decode(self, record: Record) -> Decoded:
        kind, _, rest = (record.value or b"poison").partition(b" ")
        if kind == b"poison":
            return Poison("corrupt", "simulated")
        if kind == b"skip":
            return Skipped("simulated")
        if kind == b"schema" and rest not in self.cached:
            return NeedsSchema(rest)
        name = f"{record.topic}-{record.partition}-{record.offset}".replace(".", "_")
        return Event(record.topic, name, record.timestamp_ms * 1_000, 3, b"1")

    async def fetch(self, ref: Hashable) -> SchemaAnswer:
        await asyncio.sleep(0.02)
        if not self.registry.is_reachable:
            return SchemaUnreachable("simulated")
        if ref not in self.registry.known:
            return SchemaUnknown("simulated")
        self.cached.add(ref)
        return SchemaReady()


class Simulation:
    def __init__(self, seed: int) -> None:
        self.chance = chance = Random(seed)
        self.broker_clock = VirtualClock()
        self.cluster = Cluster(self.broker_clock)
        self.cluster.on_commit = self._committed
        self.endpoints = FakeSender(self.broker_clock)
        self.registry = Registry()
        slow_s = chance.choice((0.01, 0.5))
        self.board = FakeTopic(lambda: slow_s * chance.random())
        self.backlogs: dict[str, BacklogNews] = {}
        self.workers = 0
        self.worlds: list[World] = []
        self.clocks: dict[int, VirtualClock] = {}
        self.skew_ms_max = 0
        self.disturbances = 0
        self.stopping: set[asyncio.Task[None]] = set()
        partitions = {topic: chance.randint(1, 3) for topic in SOURCES[: chance.randint(1, 2)]}
        self.sources = [TopicPartition(topic, n) for topic, count in partitions.items() for n in range(count)]
        tier_partitions = chance.randint(1, 2)
        for tier_ms in TIERS:
            self.cluster.partitions[tier_topic(PREFIX, tier_ms)] = tier_partitions
        tiers = [
            TopicPartition(tier_topic(PREFIX, one_ms), n) for one_ms in TIERS for n in range(tier_partitions)
        ]
        self.cluster.partitions[parked_topic(PREFIX)] = chance.randint(1, 3)
        self.source_group = Group(self.sources, chance)
        self.tier_group = Group(tiers, chance)
        self.limits = WorkerLimits(
            flow=FlowLimits(window_records_max=chance.choice((4, 30, 200)), window_bytes_max=2_000),
            tier_flow=FlowLimits(window_records_max=chance.choice((4, 50, 200)), window_bytes_max=2_000),
            dispatch=DispatchLimits(
                in_flight_max=chance.choice((2, 10, 100)),
                host_in_flight_max=chance.choice((1, 50)),
                in_hand_max=chance.choice((5, 40, 400)),
                wait_max_ms=5_000,
            ),
            breaker=BreakerRules(
                failures_to_open=chance.choice((0, 1, 5)), cool_down_ms=chance.choice((500, 30_000))
            ),
            disable=DisableRules(
                after_ms=chance.choice((1_000, 60_000)),
                attempts=chance.choice((0, 3, 20)),
                probe_first_ms=chance.choice((1_000, 60_000)),
            ),
            commit_interval_ms=1_000,
            settled_per_commit=chance.choice((1, 20, 5_000)),
            poison_run_max=1_000,
            stop_budget_ms=chance.choice((500, 35_000)),
        )
        self.subscriptions = {
            one.id: one for one in (self._subscription(f"s{n}") for n in range(chance.randint(1, 4)))
        }
        self.removed: dict[str, Subscription] = {}
        self.ever_removed: set[str] = set()
        self.constant_since_ms = dict.fromkeys(self.subscriptions, 0)
        self.ladders = {id_: [one.ladder_ms] for id_, one in self.subscriptions.items()}
        self.promised: set[Owed] = set()
        self.schema_records = 0
        self.accepted: Counter[Owed] = Counter()
        self.ends: dict[Owed, str] = {}
        self.poisoned: set[tuple[str, int, int]] = set()
        self.on_tiers: defaultdict[Owed, list[tuple[TopicPartition, int]]] = defaultdict(list)
        self.parked: defaultdict[Owed, list[tuple[int, int]]] = defaultdict(list)
        self._read: Counter[Any] = Counter()  # how far each log was looked through
        self.failed: defaultdict[tuple[Owed, int], list[tuple[int, int]]] = defaultdict(list)
        self.failures: Counter[Owed] = Counter()
        self.gone: set[Owed] = set()

    def _subscription(self, id_: str) -> Subscription:
        chance = self.chance
        return subscription(
            id_,
            events=chance.choice((("*",), ("post.created",), ("post.*", "friend.**"))),
            ladder_ms=chance.choice(LADDERS),
            in_flight_max=chance.choice((1, 3, 8)),
            queue_max=chance.choice((1, 5, 100)),
            timeout_ms=chance.choice((3_000, 15_000)),
        )

    # ── the run ─────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        await self._start_worker()
        # Each seed knows some kinds of trouble only: what never happens can hide what does.
        actions = [one for one in self._actions() if self.chance.random() < 0.5]
        for _ in range(self.chance.randint(15, 50)):
            self._produce(self.chance.choice((0, 1, 5, 40)))
            if actions and self.chance.random() < 0.7:
                await self.chance.choice(actions)()
            await self._advance(self.chance.choice((0.01, 0.1, 1.0, 5.0, 12.0)))
        await self._mend()
        await self._drain()
        self._check_end()
        for world in list(self.worlds):
            await self._stop(world)

    async def _advance(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self.chance.uniform(0.2, 1.0))
        self.check()

    # ── what happens ────────────────────────────────────────────────────────────────────────────

    def _actions(self) -> list[Callable[[], Any]]:
        return [
            self._change_endpoint, self._change_endpoint, self._change_endpoint,
            self._fail_writes, self._fail_writes, self._fail_topic, self._mend_topics, self._fail_commits,
            self._start_worker, self._stop_worker, self._kill_worker, self._rebalance, self._lose,
            self._change_registry, self._change_view, self._step_clock,
            self._toggle_pause, self._toggle_pause, self._hide_letters,
        ]  # fmt: skip

    def _produce(self, count: int) -> None:
        for _ in range(count):
            tp = self.chance.choice(self.sources)
            value = self.chance.choices(VALUES, (80, 3, 3, 3, 3, 4, 4))[0]
            self.schema_records += value.startswith(b"schema")
            key = b"%d" % self.chance.randrange(10)
            self.cluster.append(tp.topic, value, partition=tp.partition, key=key)

    async def _change_endpoint(self) -> None:
        id_ = self.chance.choice(sorted(self.subscriptions | self.removed))
        after_s = self.chance.choice((0.001, 0.05, 1.0))
        statuses = self.chance.choice(
            ((200,), (200,), (500,), (200, 500), (429,), (410, 200), (302, 200), ())
        )
        retry_after = self.chance.choice((None, b"3", b"45"))
        self._set_endpoint(id_, after_s, statuses, retry_after)

    def _set_endpoint(
        self, id_: str, after_s: float, statuses: tuple[int, ...], retry_after: bytes | None
    ) -> None:
        def behave(post: Post) -> tuple[float, Reply | Failure]:
            if not statuses:
                return self.chance.choice((hangs(post), (after_s, Failure("reset", "simulated"))))
            return after_s, Reply(self.chance.choice(statuses), retry_after=retry_after)

        self.endpoints.behaviour[f"https://{id_}.example/hooks"] = behave

    async def _fail_writes(self) -> None:
        kinds: tuple[WriteFault, ...] = ("passing", "too-large", "missing-topic", "forbidden", "fatal")
        if self.chance.random() < 0.2:
            self.cluster.lost_acks += self.chance.randint(1, 3)
            self.disturbances += 1
        else:
            fault = NotWritten(self.chance.choice(kinds), "simulated")
            self.cluster.write_faults += [fault] * self.chance.randint(1, 12)

    async def _fail_topic(self) -> None:
        topic = self.chance.choice((*(tier_topic(PREFIX, one) for one in TIERS), parked_topic(PREFIX)))
        kinds: tuple[WriteFault, ...] = ("passing", "missing-topic", "forbidden")
        self.cluster.write_faults_by_topic[topic] = NotWritten(self.chance.choice(kinds), "simulated")

    async def _mend_topics(self) -> None:
        self.cluster.write_faults_by_topic.clear()

    async def _fail_commits(self) -> None:
        for world in self.worlds:
            source = self.chance.choice((world.source, world.tier_source))
            if self.chance.random() < 0.2:
                source.lost_answers += 1
            else:
                is_refused = self.chance.random() < 0.3
                commit = Commit(tp=self.sources[0], epoch=0, offset=0, metadata="")
                error = CommitResult(commit=commit, error="simulated", is_metadata_refused=is_refused)
                source.commit_errors += [error] * self.chance.randint(1, 3)

    async def _start_worker(self) -> None:
        if len(self.worlds) == 3:
            return
        sender = FakeSender(self.broker_clock)
        sender.posts, sender.accepted = self.endpoints.posts, self.endpoints.accepted
        sender.behaviour, sender.watch = self.endpoints.behaviour, self._posted
        clock = VirtualClock()
        self.workers += 1
        world = World(
            self.cluster, sender, limits=self.limits, clock=clock, decoder=SimulatedDecoder(self.registry),
            board=FakeBoard(self.board), worker_id=f"{self.chance.randrange(100):02}-{self.workers}",
        )  # fmt: skip
        await world.worker.knowledge.caught_up()
        self.clocks[id(world)] = clock
        world.worker.view(list(self.subscriptions.values()), TIERS)
        world.worker.start()
        self.worlds.append(world)
        self.disturbances += len(self.worlds) > 1
        await self.source_group.join(world.source)
        await self.tier_group.join(world.tier_source)

    async def _stop_worker(self) -> None:
        if len(self.worlds) > 1:
            self.disturbances += 1
            world = self.worlds.pop(self.chance.randrange(len(self.worlds)))
            task = asyncio.create_task(self._stop(world))
            self.stopping.add(task)
            if self.chance.random() < 0.3:
                await asyncio.sleep(0.1)
                world.worker.hurry()

    async def _stop(self, world: World) -> None:
        started_s = asyncio.get_running_loop().time()
        await world.worker.stop()
        took_s = asyncio.get_running_loop().time() - started_s
        # Its own budget, and at most one rebalance under way whose turn comes first.
        others_s = 3 * 10
        assert took_s <= self.limits.stop_budget_ms / 1_000 + others_s + 1, f"a stop took {took_s} s"
        assert world.fatal == [], world.fatal
        assert world.problems() == [], world.problems()
        if world in self.worlds:
            self.worlds.remove(world)
        await self.source_group.leave(world.source)
        await self.tier_group.leave(world.tier_source)

    async def _kill_worker(self) -> None:
        self.disturbances += 1
        world = self.worlds.pop(self.chance.randrange(len(self.worlds)))
        await world.kill()
        await self.source_group.leave(world.source)
        await self.tier_group.leave(world.tier_source)
        if not self.worlds:
            await asyncio.sleep(self.chance.choice((0.0, 10.0)))
            await self._start_worker()

    async def _rebalance(self) -> None:
        self.disturbances += 1
        group = self.chance.choice((self.source_group, self.tier_group))
        await group.rebalance(budget_ms=self.chance.choice((0, 100, 10_000)))

    async def _lose(self) -> None:
        self.disturbances += 1
        group = self.chance.choice((self.source_group, self.tier_group))
        await group.lose(self.chance.choice(group.members))

    async def _change_registry(self) -> None:
        self.registry.is_reachable = self.chance.random() < 0.5
        if self.chance.random() < 0.5:
            self.registry.known.add(self.chance.choice((b"a", b"b")))

    async def _change_view(self) -> None:
        id_ = self.chance.choice(sorted(self.subscriptions | self.removed))
        one = self.subscriptions.get(id_)
        if one is None:
            self._restore(id_)
        elif self.chance.random() < 0.3:
            self.removed[id_] = self.subscriptions.pop(id_)
            self.ever_removed.add(id_)
        elif self.chance.random() < 0.5:
            self.subscriptions[id_] = replace(one, paused=not one.paused)
        else:
            self.subscriptions[id_] = replace(self._subscription(id_), events=one.events)
            self.ladders[id_].append(self.subscriptions[id_].ladder_ms)
        await self._show_view()

    async def _toggle_pause(self) -> None:
        id_ = self.chance.choice(sorted(self.subscriptions)) if self.subscriptions else ""
        if id_:
            one = self.subscriptions[id_]
            self.subscriptions[id_] = replace(one, paused=not one.paused)
            await self._show_view()

    async def _hide_letters(self) -> None:
        self.cluster.is_unreadable = self.chance.random() < 0.5

    def _restore(self, id_: str) -> None:
        self.subscriptions[id_] = self.removed.pop(id_)
        self.constant_since_ms[id_] = NOT_SEEN_BY_ALL_MS

    async def _show_view(self) -> None:
        """The workers see a new file at different times."""
        for world in list(self.worlds):
            if world in self.worlds:
                world.worker.view(list(self.subscriptions.values()), TIERS)
                await asyncio.sleep(self.chance.choice((0.0, 0.5, 4.0)))
        for id_, since_ms in self.constant_since_ms.items():
            if since_ms == NOT_SEEN_BY_ALL_MS:
                self.constant_since_ms[id_] = self.broker_clock.now_ms()

    async def _step_clock(self) -> None:
        if self.worlds:
            clock = self.clocks[id(self.chance.choice(self.worlds))]
            clock.skew_ms = self.chance.choice((-300_000, -3_000, 0, 3_000, 300_000))
            self.skew_ms_max = max(self.skew_ms_max, abs(clock.skew_ms))

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    async def _mend(self) -> None:
        self.cluster.write_faults.clear()
        self.cluster.write_faults_by_topic.clear()
        self.cluster.lost_acks = 0
        self.cluster.is_unreadable = False
        self.registry.is_reachable = True
        self.registry.known |= {b"a", b"b"}
        for clock in self.clocks.values():
            clock.skew_ms = 0
        if self.chance.random() < 0.8:
            for id_ in list(self.removed):
                self._restore(id_)
        for id_ in self.subscriptions | self.removed:
            self._set_endpoint(id_, 0.001, (200,), None)
        self.subscriptions = {id_: replace(one, paused=False) for id_, one in self.subscriptions.items()}
        for world in self.worlds:
            for source in (world.source, world.tier_source):
                source.commit_errors.clear()
                source.lost_answers = 0
        await asyncio.gather(*self.stopping)
        await self._show_view()

    async def _drain(self) -> None:
        deadline_s = asyncio.get_running_loop().time() + DRAINED_WITHIN_S
        while self._lags():
            assert asyncio.get_running_loop().time() < deadline_s, f"never drained: {self._lags()}"
            if any(lane.disabled for world in self.worlds for lane in world.worker.lanes):
                for tp in self.sources:  # a probe needs an event
                    self.cluster.append(tp.topic, b"1", partition=tp.partition)
            await self._advance(10)

    def _lags(self) -> list[str]:
        found = []
        for name, group in (("g", self.source_group), ("g.retry", self.tier_group)):
            for tp in group.partitions:
                committed = self.cluster.committed.get((name, tp), (0, ""))[0]
                end = len(self.cluster.topics[tp.topic][tp.partition])
                if committed != end:
                    found.append(f"{tp} is at {committed} of {end}")
        self._look()
        return found + [
            f"the backlog of {id_} is at {self.backlogs[id_].cursor}"
            for id_ in self.subscriptions
            if id_ in self.backlogs and not self.backlogs[id_].is_done
        ]

    def _check_end(self) -> None:
        self._look()
        for owed in self.promised:
            is_kept = owed[3] in self.removed and self._is_parked(owed)
            assert owed in self.ends or is_kept, f"{owed} was lost"
        if not self.disturbances and not any(world.worker.accounts.late_answers for world in self.worlds):
            twice = [owed for owed, count in self.accepted.items() if count > 1]
            assert not twice, f"accepted twice, though nothing was disturbed: {twice}"
        for owed, reason in self.ends.items():
            self._check_reason(owed, reason)

    def _check_reason(self, owed: Owed, reason: str) -> None:
        match reason:
            case "accepted" | "oversize" | "poison":
                pass
            case "deleted":
                assert owed[3] in self.ever_removed, owed
            case "gone":
                assert owed in self.gone, owed
            case "exhausted":
                assert self.failures[owed] >= 2, owed
            case _:
                raise AssertionError(f"{owed} is dead for the reason {reason!r}, which never happened")

    # ── safety ──────────────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        fan_out = len(self.constant_since_ms)
        for world in self.worlds:
            assert world.fatal == [], world.fatal
            assert world.problems() == [], world.problems()
            assert world.source.commits_behind == world.tier_source.commits_behind == 0
            limits = self.limits
            assert world.sender.in_flight <= limits.dispatch.in_flight_max
            in_hand = world.worker.in_hand().deliveries
            # What waited for a schema comes at once, and of a backlog a bite.
            over = fan_out * (1 + self.schema_records) + BITE_RECORDS_MAX
            assert in_hand < limits.dispatch.in_hand_max + over, in_hand
            for pump, flow_limits in zip(world.worker.pumps, (limits.flow, limits.tier_flow), strict=True):
                for flow in pump.flows:
                    assert flow.ledger.window <= flow_limits.window_records_max
                    is_alone = flow.ledger.open_count <= 1
                    assert is_alone or flow.ledger.open_bytes <= flow_limits.window_bytes_max

    def _committed(self, group: str, commit: Commit) -> None:
        """Everything below the offset must be safe."""
        self._look()
        log = self.cluster.topics[commit.tp.topic][commit.tp.partition]
        assert commit.offset <= len(log), "what does not exist is not committed"
        cursor = (group, commit.tp)
        for record in log[self._read[cursor] : commit.offset]:
            owed = [_owed_by_letter(record)] if group == "g.retry" else self._owed_by(record)
            for one in owed:
                assert self._is_safe(one), f"{group} committed {record}, but {one} is not safe"
            if group == "g":
                self.promised.update(owed)
        self._read[cursor] = commit.offset

    def _is_safe(self, owed: Owed) -> bool:
        return owed in self.ends or self._is_parked(owed) or any(
            offset >= self.cluster.committed.get(("g.retry", tp), (0, ""))[0]
            for tp, offset in self.on_tiers[owed]
        )

    def _is_parked(self, owed: Owed) -> bool:
        backlog = self.backlogs.get(owed[3])
        return (
            backlog is not None
            and not backlog.is_done
            and any(offset >= backlog.cursor.get(partition, 0) for partition, offset in self.parked[owed])
        )

    def _owed_by(self, record: Record) -> list[Owed]:
        named = (record.topic, record.partition, record.offset)
        if record.value == b"skip" or named in self.poisoned:
            return []
        assert record.value != b"poison", f"{record} is poison and in no dead letter"
        return [
            (*named, one.id)
            for one in self.subscriptions.values()
            if self.constant_since_ms[one.id] <= record.timestamp_ms
            and any(pattern in ("*", record.topic) or _fits(pattern, record.topic) for pattern in one.events)
        ]

    def _look(self) -> None:
        """Take in what was accepted and written since the last look."""
        for post in self._fresh("accepted", self.endpoints.accepted):
            self.accepted[_owed_by_post(post)] += 1
            self.ends[_owed_by_post(post)] = "accepted"
        for key, value in self._fresh("board", self.board.appended):
            news = decode_news(key, value)
            if isinstance(news, BacklogNews):
                self.backlogs[news.subscription_id] = merged(self.backlogs.get(news.subscription_id), news)
        for topic, logs in list(self.cluster.topics.items()):
            if topic.startswith(PREFIX) and topic != operator_events_topic(PREFIX):
                for partition, log in list(logs.items()):
                    for letter in self._fresh((topic, partition), log):
                        self._look_at(letter)

    def _fresh(self, cursor: Any, log: list[Any]) -> list[Any]:
        fresh = log[self._read[cursor] :]
        self._read[cursor] = len(log)
        return fresh

    def _look_at(self, letter: Record) -> None:
        read = decode_dead(letter.headers)
        if isinstance(read, DecodedPoison):
            origin = read.trail.origin
            self.poisoned.add((origin.topic, origin.partition, origin.offset))
            return
        assert isinstance(read, ReadTrail), read
        owed = _owed_by_letter(letter)
        assert read.trail.hop < HOPS_MAX, f"{owed} hops without end"
        if tier_delay_ms(PREFIX, letter.topic):
            self.on_tiers[owed].append((TopicPartition(letter.topic, letter.partition), letter.offset))
        elif letter.topic == parked_topic(PREFIX):
            self.parked[owed].append((letter.partition, letter.offset))
        else:
            assert read.trail.reason is not None
            self.ends.setdefault(owed, read.trail.reason)

    def _posted(self, post: Post, delivery: Any, after_s: float, answer: Reply | Failure) -> None:
        """An attempt begins: not before its time; how it will fail says when the next one may."""
        owed = _owed_by_post(post)
        made = delivery.trail.attempt if delivery.trail else 0
        now_ms = self.broker_clock.now_ms()
        if made:
            early_ms = self._may_go_at_ms(owed, made) - now_ms
            assert early_ms <= 2 * self.skew_ms_max, f"attempt {made + 1} of {owed} is {early_ms} ms early"
        if isinstance(answer, Reply) and 200 <= answer.status < 300:
            return
        self.failures[owed] += 1
        retry_after_ms = 0
        if isinstance(answer, Reply):
            retry_after_ms = int(answer.retry_after or b"0") * 1_000
            if answer.status == 410:
                self.gone.add(owed)
        self.failed[owed, made + 1].append((now_ms + round(after_s * 1_000), retry_after_ms))

    def _may_go_at_ms(self, owed: Owed, made: int) -> int:
        """When the next attempt may begin at the earliest, after as many as were made. Each of them may
        have been made more than once, and under any ladder that its subscription ever had."""
        steps_ms = [ladder[made - 1] for ladder in self.ladders[owed[3]] if made <= len(ladder)]
        step_ms = min(steps_ms)
        return min(ended_ms + max(step_ms, asked_ms) for ended_ms, asked_ms in self.failed[owed, made])


def _owed_by_post(post: Post) -> Owed:
    topic, partition, offset = post.webhook_id.rsplit("-", 2)
    return topic.replace("_", "."), int(partition), int(offset), post.url.split("//")[1].split(".")[0]


def _owed_by_letter(letter: Record) -> Owed:
    read = decode_dead(letter.headers)
    assert isinstance(read, ReadTrail), read
    origin = read.trail.origin
    return origin.topic, origin.partition, origin.offset, read.trail.subscription_id


def _fits(pattern: str, event_type: str) -> bool:
    prefix, _, stars = pattern.rpartition(".")
    dots = event_type.removeprefix(prefix).count(".")
    return event_type.startswith(f"{prefix}.") and (stars == "**" or (stars == "*" and dots == 1))


def simulate(seed: int) -> None:
    """Run one seed; raises what went wrong, with the seed in it."""
    try:
        run_virtual(lambda: Simulation(seed).run())
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise
