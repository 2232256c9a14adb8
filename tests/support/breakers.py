"""Breakers in each of their modes, and what another worker tells of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from connector.core.breaker import RETRY_AFTER, Breaker, BreakerRules, BreakerSnapshot, Mode

RULES = BreakerRules(failures_to_open=3, cool_down_ms=10_000, cool_down_max_ms=35_000)
NOW_MS = 1_700_000_000_000

MODES: tuple[Mode, ...] = ("closed", "open", "held off", "half-open")


def told(**changes: Any) -> BreakerSnapshot:
    """Another worker's breaker, shut just now."""
    snapshot = BreakerSnapshot(
        state="open",
        until_ms=NOW_MS + 50_000,
        cool_down_ms=20_000,
        failures=7,
        why="http-503",
        opened_ms=NOW_MS + 1,
    )
    return replace(snapshot, **changes)


def in_mode(mode: str) -> Breaker:
    """A breaker brought there at :data:`NOW_MS`."""
    breaker = Breaker(RULES)
    if mode == "held off":
        breaker.hold_off(NOW_MS + 10_000, NOW_MS)
    elif mode != "closed":
        for _ in range(3):
            breaker.failed(NOW_MS, "connect", is_probe=False)
    if mode == "half-open":
        assert ask(breaker, NOW_MS + 10_000) == "probe"
    return breaker


def ask(breaker: Breaker, now_ms: int) -> Literal["pass", "probe", "wait", "divert"]:
    """What becomes of a delivery that wants to go; if it is the probe, it goes."""
    if breaker.may_probe(now_ms):
        breaker.begin_probe()
        return "probe"
    if breaker.state == "closed":
        return "pass"
    return "wait" if breaker.state == "half-open" else "divert"


def mode_of(breaker: Breaker) -> str:
    return "held off" if (breaker.state, breaker.why) == ("open", RETRY_AFTER) else breaker.state
