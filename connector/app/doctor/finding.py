"""What an examination finds: one fact about one thing, and the cure when it is not a good one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal[
    "ok",
    "warning",      # it works, and may bite
    "problem",      # it keeps the connector from starting, reading or delivering
    "unreachable",  # as a problem: somebody does not answer
    "unknown",      # it could not be looked at; the text says why
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """``text`` says what is; ``cure``, when there is one, what to do about it."""

    subject: str
    verdict: Verdict
    text: str
    cure: str = ""
