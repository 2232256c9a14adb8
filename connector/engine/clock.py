"""The real clock, behind the :class:`~connector.engine.ports.Clock` port."""

from __future__ import annotations

from time import monotonic_ns, time_ns


class SystemClock:
    def now_ms(self) -> int:
        return time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return monotonic_ns() // 1_000_000
