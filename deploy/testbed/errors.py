"""The one exception of the test bed."""

from __future__ import annotations


class TestbedError(Exception):
    """Something needed is missing or did not start; the message says what, and how to mend it."""

    __test__ = False  # its name begins with "Test", and pytest collects by name
