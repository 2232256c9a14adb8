"""What may never happen, to one breaker or to those of three workers, whatever comes in whatever order."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from connector.core.breaker import HOLD_OFF_MAX_MS, RETRY_AFTER, Breaker, BreakerSnapshot
from tests.support.breakers import NOW_MS, RULES, ask

_LATER_MS = st.integers(1, 60_000)


class BreakerModel(RuleBasedStateMachine):
    """One breaker, and what others tell it. ``closed_until_ms`` is what no delivery may be sent before,
    ``asked_until_ms`` the part of it that only a reset may lift."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(RULES)
        self.now_ms = NOW_MS
        self.has_probe = False
        self.asked_until_ms = 0

    @rule(passed_ms=st.integers(0, 40_000))
    def ask(self, passed_ms: int) -> None:
        self.now_ms += passed_ms
        before = self.breaker.snapshot()
        answer = ask(self.breaker, self.now_ms)
        if answer in ("pass", "probe"):
            assert self.now_ms >= max(before.until_ms, self.asked_until_ms)
        if answer == "probe":
            assert not self.has_probe
            self.has_probe = True
        assert (answer == "pass") == (self.breaker.state == "closed")
        assert (answer == "wait") == (self.has_probe and answer != "probe")

    @rule()
    def succeed(self) -> None:
        self.breaker.succeeded()
        if self.breaker.state != "open":
            self.has_probe = False

    @rule()
    def fail(self) -> None:
        before = self.breaker.cool_down_ms
        self.breaker.failed(self.now_ms, "timeout", is_probe=False)
        assert self.breaker.cool_down_ms == before

    @precondition(lambda self: self.has_probe)
    @rule()
    def probe_fails(self) -> None:
        before = self.breaker.cool_down_ms
        assert self.breaker.failed(self.now_ms, "timeout", is_probe=True)
        assert self.breaker.cool_down_ms == min(2 * before, 35_000)
        assert self.breaker.until_ms == self.now_ms + self.breaker.cool_down_ms
        self.has_probe = False

    @precondition(lambda self: self.has_probe)
    @rule()
    def probe_is_lost(self) -> None:
        self.breaker.probe_lost()
        self.has_probe = False
        assert self.breaker.until_ms <= self.now_ms

    @rule(later_ms=_LATER_MS)
    def hold_off(self, later_ms: int) -> None:
        before = self.breaker.until_ms
        self.breaker.hold_off(self.now_ms + later_ms, self.now_ms)
        assert self.breaker.until_ms >= max(before, self.now_ms + later_ms)
        self.asked_until_ms = max(self.asked_until_ms, self.now_ms + later_ms)
        self.has_probe = False

    @rule(
        is_open=st.booleans(),
        later_ms=st.integers(-5_000, 60_000),
        cool_down_ms=st.integers(0, 90_000),
        opened_ago_ms=st.integers(-1_000, 60_000),
        why=st.sampled_from(["http-503", RETRY_AFTER]),
    )
    def hear(self, is_open: bool, later_ms: int, cool_down_ms: int, opened_ago_ms: int, why: str) -> None:
        before = self.breaker.until_ms
        snapshot = BreakerSnapshot(
            state="open" if is_open else "closed",
            until_ms=self.now_ms + later_ms if is_open else 0,
            cool_down_ms=cool_down_ms,
            failures=1,
            why=why if is_open else "",
            opened_ms=self.now_ms - opened_ago_ms,
        )
        has_changed = self.breaker.adopt(snapshot, self.now_ms)
        if has_changed and is_open:
            assert self.breaker.until_ms == self.now_ms + later_ms > before
        if is_open and later_ms > 0 and why == RETRY_AFTER:
            self.asked_until_ms = max(self.asked_until_ms, self.now_ms + later_ms)
        if has_changed:
            self.has_probe = False
        assert self.breaker.adopt(snapshot, self.now_ms) is False

    @rule()
    def reset(self) -> None:
        self.breaker.reset()
        self.asked_until_ms = 0
        self.has_probe = False
        assert ask(self.breaker, self.now_ms) == "pass"

    @invariant()
    def holds(self) -> None:
        breaker = self.breaker
        assert (breaker.state == "half-open") == self.has_probe
        assert 10_000 <= breaker.cool_down_ms <= 35_000
        assert breaker.until_ms <= self.now_ms + HOLD_OFF_MAX_MS
        assert breaker.state == "open" or breaker.until_ms == 0
        assert (breaker.why == "") == (breaker.state == "closed")
        assert breaker.state != "closed" or (breaker.failures < 3 and breaker.cool_down_ms == 10_000)


class GroupModel(RuleBasedStateMachine):
    """Three workers, one endpoint, news that come late. Once all have heard everything, nobody sends to an
    endpoint that asked any of them to wait."""

    @initialize(skews_ms=st.tuples(*[st.integers(-200, 200)] * 3))
    def begin(self, skews_ms: tuple[int, int, int]) -> None:
        self.workers = [Breaker(RULES) for _ in range(3)]
        self.skews_ms = skews_ms
        self.now_ms = NOW_MS
        self.news: list[tuple[int, BreakerSnapshot]] = []
        self.asked_until_ms = 0

    def tell(self, worker: int) -> None:
        self.news.append((worker, self.workers[worker].snapshot()))

    def clock(self, worker: int) -> int:
        return self.now_ms + self.skews_ms[worker]

    @rule(worker=st.integers(0, 2), passed_ms=st.integers(1, 20_000), is_accepted=st.booleans())
    def deliver(self, worker: int, passed_ms: int, is_accepted: bool) -> None:
        self.now_ms += passed_ms
        breaker = self.workers[worker]
        answer = ask(breaker, self.clock(worker))
        if answer in ("pass", "probe"):
            changed = (
                breaker.succeeded()
                if is_accepted
                else breaker.failed(self.clock(worker), "connect", is_probe=answer == "probe")
            )
            if changed:
                self.tell(worker)

    @rule(worker=st.integers(0, 2), later_ms=_LATER_MS)
    def hold_off(self, worker: int, later_ms: int) -> None:
        until_ms = self.clock(worker) + later_ms
        if self.workers[worker].hold_off(until_ms, self.clock(worker)):
            self.asked_until_ms = max(self.asked_until_ms, until_ms)
            self.tell(worker)

    @rule()
    def all_hear_everything(self) -> None:
        for teller, snapshot in self.news:
            for worker, breaker in enumerate(self.workers):
                if worker != teller:
                    breaker.adopt(snapshot, self.clock(worker))
        self.news.clear()
        for worker, breaker in enumerate(self.workers):
            if self.clock(worker) < self.asked_until_ms:
                assert ask(breaker, self.clock(worker)) == "divert"


TestBreakerModel = BreakerModel.TestCase
TestGroupModel = GroupModel.TestCase
