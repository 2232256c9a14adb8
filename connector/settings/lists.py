"""Lists that may also be written as one text with commas, as flags and the environment need it."""

from __future__ import annotations

from pydantic import BeforeValidator


def _split(declared: object) -> object:
    return [part.strip() for part in declared.split(",")] if isinstance(declared, str) else declared


Commas = BeforeValidator(_split)
"""``a, b`` means ``[a, b]``."""
