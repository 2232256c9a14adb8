"""An environment without settings, whatever the machine has set."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of ours is set; set those of the test on what this returns."""
    for name in list(os.environ):
        if name.upper().startswith("WEBHOOK_CONNECTOR_"):
            monkeypatch.delenv(name)
    return monkeypatch
