"""Seeds of the simulation: those that once failed, and some fresh ones that are the same in every run.

``SIMULATION_SEEDS=3000`` runs that many instead, and a twentieth as many long ones. A seed that fails goes
into the list below; when what a seed draws changes, it is a seed like any other.
"""

from __future__ import annotations

import os

import pytest

from tests.support.simulation import simulate

ONCE_FAILED = (5, 12, 38, 39, 42)
FRESH_FROM = 20_009
FRESH = int(os.environ.get("SIMULATION_SEEDS", "20"))
LONG_FROM = 20_000
LONG = max(FRESH // 20, 1)


@pytest.mark.parametrize("seed", ONCE_FAILED)
def test_a_seed_that_once_failed_is_safe_and_drains(seed: int):
    simulate(seed)


@pytest.mark.parametrize("seed", range(FRESH_FROM, FRESH_FROM + FRESH))
def test_whatever_is_drawn_nothing_is_lost_and_all_of_it_drains(seed: int):
    simulate(seed)


@pytest.mark.parametrize("seed", range(LONG_FROM, LONG_FROM + LONG))
def test_nor_is_anything_in_a_quarter_of_an_hour_in_which_nobody_mends_it(seed: int):
    simulate(seed, is_long=True)
