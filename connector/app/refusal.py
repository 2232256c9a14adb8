"""Why the process does not start, or cannot go on, in words an operator can act on."""

from __future__ import annotations


class Refusal(Exception):
    """Something outside the process must be mended first. The text says what happened, why, and the cure,
    one line per problem."""
