"""How far a bench is, on standard error: a run takes minutes, and its figures come last."""

from __future__ import annotations

import sys


def say(message: str) -> None:
    sys.stderr.write(f"bench: {message}\n")
    sys.stderr.flush()
