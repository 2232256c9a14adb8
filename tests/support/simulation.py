"""A deterministic simulation of the engine: one seed draws the topology, the traffic and the faults.

Phase one breaks things and asks for safety at every step; phase two mends everything and asks that all
of it drains. What must be true of what the world outside sees is said, and asked, by
:mod:`tests.support.simulation_verdict`; here the engine's own books are asked to add up, and its bounds to
hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

from connector.core.breaker import BreakerRules
from connector.core.disabling import DisableRules
from connector.core.outcome import Failure, FailureKind, Reply
from connector.core.topic_names import parked_topic, tier_topic
from connector.engine.delivery import Delivery
from connector.engine.dispatcher import DispatchLimits
from connector.engine.flow import FlowLimits
from connector.engine.letter_log import BITE_RECORDS_MAX
from connector.engine.ports import (
    Commit,
    CommitResult,
    NotWritten,
    TopicPartition,
    WriteFault,
)
from connector.engine.worker import WorkerLimits
from tests.support.fake_board import FakeBoard, FakeTopic
from tests.support.fake_kafka import LATENCY_S, PREFIX, Cluster
from tests.support.simulated_group import Group
from tests.support.simulated_registry import Registry, SimulatedDecoder
from tests.support.simulated_subscriptions import TIERS, Subscriptions
from tests.support.simulation_verdict import Verdict
from tests.support.virtual_time import VirtualClock, run_virtual
from tests.support.world import Behaviour, FakeSender, Post, World, hangs, replies

SOURCES = ("post.created", "friend.request.sent")
VALUES = (
    b"1", b"rare", b"big " + b"x" * 500, b"big " + b"x" * 3_000, b"poison", b"skip", b"schema a", b"schema b",
)  # fmt: skip
WEIGHTS = (72, 8, 3, 3, 3, 3, 4, 4)
Answers = tuple[int | FailureKind, ...]
"""Statuses, and kinds of failures, of which each attempt gets one."""
DRAINED_WITHIN_S = 2_400


class Simulation:
    """A *long* one goes through a quarter of an hour in the middle, which costs as much as ten others."""

    def __init__(self, seed: int, *, is_long: bool) -> None:
        self.is_long = is_long
        self.chance = chance = Random(seed)
        self.broker_clock = VirtualClock()
        self.cluster = Cluster(self.broker_clock)
        self.endpoints = FakeSender(self.broker_clock)
        self.registry = Registry()
        slow_s = chance.choice((0.01, 0.5))
        self.letters_latency_s = chance.choice((LATENCY_S, LATENCY_S, 2.5, 6.0))
        self.board = FakeTopic(lambda: slow_s * chance.random())
        self.workers = 0
        self.worlds: list[World] = []
        self.clocks: dict[int, VirtualClock] = {}
        self.names: dict[int, str] = {}
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
            flow=FlowLimits(window_records_max=chance.choice((4, 30, 200, 200)), window_bytes_max=2_000),
            tier_flow=FlowLimits(window_records_max=chance.choice((4, 50, 200)), window_bytes_max=2_000),
            dispatch=DispatchLimits(
                in_flight_max=chance.choice((2, 10, 100)),
                host_in_flight_max=chance.choice((1, 50)),
                in_hand_max=chance.choice((5, 40, 400, 400)),
                wait_max_ms=5_000,
            ),
            breaker=BreakerRules(
                failures_to_open=chance.choice((0, 1, 5)), cool_down_ms=chance.choice((500, 30_000))
            ),
            disable=DisableRules(
                after_ms=chance.choice((1_000, 1_000, 60_000)),
                attempts=chance.choice((0, 3, 3, 3, 20)),
                probe_first_ms=chance.choice((1_000, 1_000, 60_000)),
            ),
            commit_interval_ms=1_000,
            settled_per_commit=chance.choice((1, 20, 5_000)),
            poison_run_max=1_000,
            stop_budget_ms=chance.choice((500, 35_000)),
        )
        self.subscriptions = Subscriptions(chance, chance.randint(1, 4))
        self.schema_records = 0
        self.verdict = Verdict(self.cluster, self.board, self.endpoints.accepted, self.subscriptions)
        self.cluster.on_commit = self.verdict.committed

    # ── the run ─────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        await self._start_worker()
        # Each seed knows some kinds of trouble only: what never happens can hide what does.
        actions = [one for one in self._actions() if self.chance.random() < 0.5]
        await self._live_through(actions)
        if self.is_long:
            await self._wait_long()
            await self._live_through(actions)
        await self._mend()
        await self._drain()
        self.verdict.check_end()
        for world in list(self.worlds):
            await self._stop(world)

    async def _live_through(self, actions: Sequence[Callable[[], Any]]) -> None:
        for _ in range(self.chance.randint(15, 50)):
            self._produce(self.chance.choice((0, 1, 5, 40)))
            if actions and self.chance.random() < 0.7:
                await self.chance.choice(actions)()
            await self._advance(self.chance.choice((0.01, 0.1, 1.0, 5.0, 12.0)))

    async def _wait_long(self) -> None:
        """For so long that who is gone is gone for good, and whose fault something is comes into doubt."""
        if self.chance.random() < 0.5:
            await self._change_view()
        if self.chance.random() < 0.5:
            self._set_endpoints(self.chance.choice(self.subscriptions.ids), 0.001, ("resources",), None)
        for _ in range(10):
            self._produce(self.chance.choice((0, 5)))
            await self._advance(150)

    async def _advance(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self.chance.uniform(0.2, 1.0))
        cluster, are_stopping = self.cluster, any(not one.done() for one in self.stopping)
        if are_stopping or cluster.lost_acks or cluster.write_faults or cluster.write_faults_by_topic:
            self._disturb()
        self.check()

    def _disturb(self) -> None:
        """Something happens for which some may be sent twice."""
        self.verdict.disturbed_ms = self.broker_clock.now_ms()

    # ── what happens ────────────────────────────────────────────────────────────────────────────

    def _actions(self) -> list[Callable[[], Any]]:
        return [
            self._change_endpoint, self._change_endpoint, self._change_endpoint, self._change_endpoint,
            self._fail_writes, self._fail_writes, self._fail_topic, self._mend_topics, self._fail_commits,
            self._start_worker, self._stop_worker, self._kill_worker, self._rebalance, self._lose,
            self._change_registry, self._change_view, self._step_clock,
            self._toggle_pause, self._toggle_pause, self._hide_letters,
            self._move, self._burst, self._stream,
        ]  # fmt: skip

    def _produce(self, count: int) -> None:
        for _ in range(count):
            tp = self.chance.choice(self.sources)
            value = self.chance.choices(VALUES, WEIGHTS)[0]
            self.schema_records += value.startswith(b"schema")
            key = b"%d" % self.chance.randrange(10)
            self.cluster.append(tp.topic, value, partition=tp.partition, key=key)

    async def _burst(self) -> None:
        """More than a slow lane's queue holds."""
        id_ = self.chance.choice(self.subscriptions.ids)
        self._set_endpoints(id_, self.chance.choice((0.05, 0.2, 1.0)), (200,), None)
        self._produce(self.chance.choice((60, 200)))
        await asyncio.sleep(self.chance.choice((0.5, 3.0)))
        if self.chance.random() < 0.7:
            await self.chance.choice((self._kill_worker, self._move))()

    async def _stream(self) -> None:
        """Some come all the time, and one endpoint is slow."""
        self._set_endpoints(self.chance.choice(self.subscriptions.ids), 1.0, (200,), None)
        for _ in range(40):
            self._produce(self.chance.randint(1, 8))
            await asyncio.sleep(0.1)

    async def _change_endpoint(self) -> None:
        id_ = self.chance.choice(self.subscriptions.ids)
        after_s = self.chance.choice((0.001, 0.05, 1.0))
        answers: Answers = self.chance.choice(
            (
                (200,), (200,), (500,), (500,), (200, 500), (429,), (200, 429), (410, 200), (302, 200),
                ("timeout", "reset"), ("resources",), ("resources", 200),
            )
        )  # fmt: skip
        retry_after = self.chance.choice((None, b"3", b"45"))
        self._set_endpoints(id_, after_s, answers, retry_after)

    def _set_endpoints(self, id_: str, after_s: float, answers: Answers, retry_after: bytes | None) -> None:
        def behave(post: Post) -> tuple[float, Reply | Failure]:
            match self.chance.choice(answers):
                case int(status):
                    return after_s, Reply(status, retry_after=retry_after)
                case "timeout":
                    return hangs(post)
                case kind:
                    return after_s, Failure(kind, "simulated")

        urls = self.subscriptions.urls(id_)
        for url in urls if self.chance.random() < 0.5 else [self.chance.choice(urls)]:
            self._behave(url, behave)

    def _behave(self, url: str, behave: Behaviour) -> None:
        self.endpoints.behaviour[url] = behave

    async def _fail_writes(self) -> None:
        kinds: tuple[WriteFault, ...] = ("passing", "too-large", "missing-topic", "forbidden", "fatal")
        if self.chance.random() < 0.2:
            self.cluster.lost_acks += self.chance.randint(1, 3)
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
        clock = VirtualClock()
        self.workers += 1
        name = f"{self.chance.randrange(100):02}-{self.workers}"
        sender.behaviour, sender.watch = self.endpoints.behaviour, partial(self._posted, name)
        world = World(
            self.cluster, sender, limits=self.limits, clock=clock, decoder=SimulatedDecoder(self.registry),
            board=FakeBoard(self.board), worker_id=name,
        )  # fmt: skip
        world.letters.latency_s = self.letters_latency_s
        await world.worker.hearing.caught_up()
        self.clocks[id(world)] = clock
        self.names[id(world)] = name
        self._show(world)
        world.worker.start()
        self.worlds.append(world)
        await self.source_group.join(world.source)
        await self.tier_group.join(world.tier_source)
        if len(self.worlds) > 1:
            self._disturb()

    async def _stop_worker(self) -> None:
        if len(self.worlds) > 1:
            world = self.worlds.pop(self.chance.randrange(len(self.worlds)))
            task = asyncio.create_task(self._stop(world))
            self.stopping.add(task)
            if self.chance.random() < 0.3:
                await asyncio.sleep(0.1)
                world.worker.hurry()

    async def _stop(self, world: World) -> None:
        self.verdict.leaves(self.names[id(world)])
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
        world = self.worlds.pop(self.chance.randrange(len(self.worlds)))
        self.verdict.leaves(self.names[id(world)])
        await world.kill()
        await self.source_group.leave(world.source)
        await self.tier_group.leave(world.tier_source)
        self._disturb()
        if not self.worlds:
            await asyncio.sleep(self.chance.choice((0.0, 10.0)))
            await self._start_worker()

    async def _rebalance(self) -> None:
        group = self.chance.choice((self.source_group, self.tier_group))
        await group.rebalance(budget_ms=self.chance.choice((0, 100, 10_000)))
        self._disturb()

    async def _lose(self) -> None:
        group = self.chance.choice((self.source_group, self.tier_group))
        await group.lose(self.chance.choice(group.members))
        self._disturb()

    async def _change_registry(self) -> None:
        self.registry.is_reachable = self.chance.random() < 0.5
        if self.chance.random() < 0.5:
            self.registry.known.add(self.chance.choice((b"a", b"b")))

    async def _change_view(self) -> None:
        there, id_ = self.subscriptions, self.chance.choice(self.subscriptions.ids)
        one = there.current.get(id_)
        if one is None:
            there.restore(id_, self.broker_clock.now_ms())
        elif self.chance.random() < 0.3:
            there.remove(id_, self.broker_clock.now_ms())
        elif self.chance.random() < 0.5:
            there.replace(replace(one, paused=not one.paused))
        else:
            there.replace(replace(there.draw(id_), events=one.events))
        await self._show_view()

    async def _toggle_pause(self) -> None:
        id_ = self.chance.choice(sorted(self.subscriptions.current)) if self.subscriptions.current else ""
        if id_:
            one = self.subscriptions.current[id_]
            self.subscriptions.replace(replace(one, paused=not one.paused))
            await self._show_view()

    async def _move(self) -> None:
        """To another URL, while something is under way."""
        if self.subscriptions.current:
            id_ = self.chance.choice(sorted(self.subscriptions.current))
            self._produce(self.chance.choice((0, 20)))
            await asyncio.sleep(self.chance.choice((0.01, 0.5)))
            url = self.subscriptions.draw_url(id_)
            self.subscriptions.replace(replace(self.subscriptions.current[id_], url=url))
            await self._show_view()

    async def _hide_letters(self) -> None:
        self.cluster.is_unreadable = self.chance.random() < 0.5

    async def _show_view(self) -> None:
        """The workers see a new file at different times."""
        for world in list(self.worlds):
            if world in self.worlds:
                self._show(world)
                await asyncio.sleep(self.chance.choice((0.0, 0.5, 4.0)))
        self.subscriptions.seen_by_all(self.broker_clock.now_ms())

    def _show(self, world: World) -> None:
        subscriptions = list(self.subscriptions.current.values())
        self.verdict.shown(self.names[id(world)], subscriptions)
        world.worker.view(subscriptions, TIERS)

    async def _step_clock(self) -> None:
        if self.worlds:
            clock = self.clocks[id(self.chance.choice(self.worlds))]
            clock.skew_ms = self.chance.choice((-300_000, -3_000, 0, 3_000, 300_000))
            self.verdict.skew_ms_max = max(self.verdict.skew_ms_max, abs(clock.skew_ms))

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
            for id_ in list(self.subscriptions.removed):
                self.subscriptions.restore(id_, self.broker_clock.now_ms())
        for url in self.subscriptions.id_of:
            self._behave(url, replies(200))
        for one in list(self.subscriptions.current.values()):
            if one.paused:
                self.subscriptions.replace(replace(one, paused=False))
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
        return found + self.verdict.backlogs_open()

    # ── bounds and books ──────────────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        fan_out = len(self.subscriptions.ids)
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

    def _posted(
        self, worker: str, post: Post, delivery: Delivery, after_s: float, answer: Reply | Failure
    ) -> None:
        self.verdict.posted(worker, post, letter=delivery.trail, after_s=after_s, answer=answer)


def simulate(seed: int, *, is_long: bool = False) -> None:
    """Run one seed; raises what went wrong, with the seed in it."""
    try:
        run_virtual(lambda: Simulation(seed, is_long=is_long).run())
    except BaseException as error:
        error.add_note(f"seed {seed}, long: {is_long}")
        raise
