"""Tests of commands begin with an environment that sets nothing."""

from __future__ import annotations

import pytest

from tests.support.settings_environment import environment

__all__ = ["environment"]


@pytest.fixture(autouse=True)
def _clean(environment: pytest.MonkeyPatch) -> None:
    """For every test here."""
