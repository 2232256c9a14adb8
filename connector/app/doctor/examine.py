"""Runs examinations side by side within a budget, and hands out what they find in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from connector.app.doctor.finding import Finding
from connector.kafka.errors import KafkaTrouble

BUDGET_S = 20.0
"""For all examinations together. A request to Kafka that hangs is given up after six more seconds, so the
doctor has done within 30 whatever happens."""


@dataclass(frozen=True, slots=True)
class Examination:
    """``look`` may raise :class:`~connector.kafka.errors.KafkaTrouble`, which becomes a finding."""

    subject: str
    look: Callable[[], Awaitable[Sequence[Finding]]]


async def examine(
    examinations: Sequence[Examination], *, budget_s: float = BUDGET_S
) -> AsyncIterator[Finding]:
    """Findings in the order of the examinations, each as soon as those before it are done."""
    deadline_s = asyncio.get_running_loop().time() + budget_s
    tasks = [asyncio.create_task(_bounded(each, deadline_s), name=each.subject) for each in examinations]
    try:
        for task in tasks:
            for finding in await task:
                yield finding
    finally:
        for task in tasks:
            task.cancel()


async def _bounded(examination: Examination, deadline_s: float) -> Sequence[Finding]:
    subject = examination.subject
    try:
        async with asyncio.timeout_at(deadline_s):
            return await examination.look()
    except TimeoutError:
        return [Finding(subject, "unreachable", "no answer in time")]
    except KafkaTrouble as trouble:
        return [Finding(subject, "unreachable", trouble.what)]
