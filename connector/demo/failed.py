"""Why the demo could not be shown."""

from __future__ import annotations


class DemoFailed(RuntimeError):
    """The demo could not begin, or not go on; the message says why, in words for whoever started it."""
