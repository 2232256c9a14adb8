"""Keeps the subscriptions in force in step with their file.

Looks once a second at the file and at every secret file it names; what changed is loaded once it has
stood still for one look, so that a file is not read while it is being written. Reading happens in a
thread; every callback comes on the loop. Whatever is wrong leaves the last good view in force.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from connector.core.subscription import Subscription
from connector.core.view import Adopted, Diff, Doubted, next_view
from connector.declared.problem import Mistakes, Problem
from connector.subscriptions.build import Rules
from connector.subscriptions.file import Loaded, Unusable, load_subscriptions
from connector.subscriptions.look import Looks, are_same, look_at

POLL_MS = 1_000
"""An operator who saves a file sees it in force within two of these; a look costs well under 1 ms."""


class Watching(Protocol):
    """What a :class:`SubscriptionsWatch` tells its owner, on the loop, after its start."""

    def viewed(
        self, subscriptions: tuple[Subscription, ...], diff: Diff, warnings: Sequence[Problem]
    ) -> None:
        """These are in force from now on. The diff is empty when a doubt is over without a change, or
        when a reload that was asked for changed nothing."""

    def doubted(self, why: str) -> None:
        """The file says nothing certain: what was in force stays so until :meth:`viewed` is called.
        Called again only when the reason changes. ``why`` has one line per problem and no secrets."""


class SubscriptionsWatch:
    """One file's subscriptions over time. Owned by one task: :meth:`start`, then :meth:`run`."""

    def __init__(
        self, file: Path, rules: Rules, watching: Watching, *, may_shrink: bool, poll_ms: int = POLL_MS
    ) -> None:
        self._file = file
        self._rules = rules
        self._watching = watching
        self._may_shrink = may_shrink
        self._poll_ms = poll_ms
        self._view: tuple[Subscription, ...] | None = None
        self._doubt = ""
        self._is_asked = asyncio.Event()
        self._files: tuple[Path, ...] = (file,)
        self._loaded: Looks = {}
        self._last: Looks = {}

    async def start(self) -> Loaded:
        """The first load, and another one in its place when called again. Raises :class:`Mistakes` when the
        file is not sound or holds no subscription, since there is nothing to fall back on yet."""
        self._view = None
        loaded = await self._load()
        if isinstance(loaded, Unusable):
            raise loaded.mistakes
        judged = self._judge(loaded)
        if isinstance(judged, Mistakes):
            raise judged
        self._view = judged.subscriptions
        return loaded

    def reload(self) -> None:
        """Load at once, whether or not anything changed (SIGHUP). May be called by anyone on the loop."""
        self._is_asked.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_asked.wait(), self._poll_ms / 1000)
            await self.poll()

    async def poll(self) -> None:
        """One look, and a load when one is due."""
        is_asked = self._is_asked.is_set()
        self._is_asked.clear()
        if not is_asked:
            now = await self._look()
            stood_still = are_same(self._last, now)
            self._last = now
            if not stood_still or are_same(self._loaded, now):
                return
        self._tell(await self._load(), is_asked=is_asked)

    def _tell(self, result: Loaded | Unusable, *, is_asked: bool) -> None:
        judged = self._judge(result) if isinstance(result, Loaded) else result.mistakes
        if isinstance(judged, Mistakes):
            if str(judged) != self._doubt or is_asked:
                self._doubt = str(judged)
                self._watching.doubted(self._doubt)
            return
        is_news = bool(judged.diff) or bool(self._doubt) or is_asked
        self._view, self._doubt = judged.subscriptions, ""
        if is_news:
            assert isinstance(result, Loaded)  # nothing else is ever adopted
            self._watching.viewed(judged.subscriptions, judged.diff, result.warnings)

    def _judge(self, loaded: Loaded) -> Adopted | Mistakes:
        judged = next_view(self._view, loaded.subscriptions, may_shrink=self._may_shrink)
        if isinstance(judged, Doubted):
            return Mistakes([Problem(place=str(self._file), text=judged.why)])
        return judged

    async def _load(self) -> Loaded | Unusable:
        # Look first, then read: what changes in between is seen by the next look. Files that are named
        # for the first time were not looked at yet, so they are loaded once more, which changes nothing.
        self._loaded = self._last = await self._look()
        result = await asyncio.to_thread(load_subscriptions, self._file, self._rules)
        self._files = (self._file, *result.files)
        return result

    async def _look(self) -> Looks:
        return await asyncio.to_thread(look_at, self._files, self._last, now_ns=time.time_ns())
