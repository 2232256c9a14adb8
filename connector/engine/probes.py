"""Probes: connections made to find out whether one comes about, which carry nothing.

A delivery would tell as much, but there may be none for a host that is worth asking, and one that is held
back has a better use than being spent on a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from connector.core.accounts import Accounts
from connector.core.breaker import RETRY_AFTER
from connector.core.outcome import Failure
from connector.engine.host import Host
from connector.engine.lane import Lane
from connector.engine.ports import Sender, Spawn

PROBE_TIMEOUT_MS: Final = 5_000
"""As long as a name may take to be found."""


class Probes:
    """Asks, and tells who asked."""

    def __init__(self, sender: Sender, accounts: Accounts, spawn: Spawn) -> None:
        self._sender = sender
        self._accounts = accounts
        self._spawn = spawn

    def ask(self, lane: Lane, done: Callable[[Host, Failure | None], None]) -> None:
        """Connect to where ``lane`` leads and hang up; ``done`` is told why that failed, or ``None``."""
        self._spawn(self._ask(lane, lane.host, done), f"probe {lane.host.name}")

    async def _ask(self, lane: Lane, host: Host, done: Callable[[Host, Failure | None], None]) -> None:
        try:
            failure = await self._sender.reach(lane.endpoint, PROBE_TIMEOUT_MS)
        except Exception as error:  # a receiver may have brought it about; whoever asked waits for an answer
            failure = Failure("protocol", f"{type(error).__name__}: {error}")
        self._accounts.probes[failure.kind if failure is not None else "reached"] += 1
        done(host, failure)


def may_be_probed(lane: Lane, now_ms: int) -> bool:
    """Whether we may knock where ``lane`` leads at ``now_ms`` (Unix): nobody asked us to stay away."""
    return not lane.subscription.paused and not (lane.breaker.why == RETRY_AFTER and lane.is_shut(now_ms))
