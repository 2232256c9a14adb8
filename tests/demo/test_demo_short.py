"""The whole demo in small: a second of events, one tier, a few partners, in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from connector.demo.behaviours import Down
from connector.demo.cluster import BuiltInCluster
from connector.demo.picture import Picture
from connector.demo.scenario import Partner, Scenario, partners
from connector.demo.show import Outcome, perform
from connector.demo.stage import Run
from connector.telemetry.logs import make_log

QUICK = Scenario(
    partners=[
        replace(partner, behaviour=Down()) if partner.id == "notify" else partner for partner in partners()
    ],
    rates_per_s=(60,),
    oddities=("corrupt", "tombstone", "large", "no-frame"),
    ladder_ms=(1_000,),
    timeout_ms=500,
    end_within_s=20,
)


class Watched:
    """A screen that keeps everything."""

    def __init__(self) -> None:
        self.prepared: list[tuple[str, int, int]] = []
        self.pictures: list[Picture] = []

    def preparing(self, what: str, done: int, of: int) -> None:
        self.prepared.append((what, done, of))

    def show(self, picture: Picture) -> None:
        self.pictures.append(picture)


@dataclass(frozen=True, slots=True)
class Shown:
    outcome: Outcome
    screen: Watched
    log: list[dict[str, object]]

    @property
    def bad(self) -> list[str]:
        return [finding.what for finding in self.outcome.findings if not finding.is_good]


async def show(scenario: Scenario, folder: Path) -> Shown:
    cluster = BuiltInCluster()
    run = Run(name="demo-1", cluster=cluster, registry=None, scenario=scenario, folder=folder)
    screen = Watched()
    try:
        with (folder / "log").open("wb", buffering=0) as stream:
            log = make_log(format="json", level="info", stream=stream)
            outcome = await perform(run, screen=screen, log=log)
    finally:
        cluster.close(groups=run.groups)
    return Shown(outcome, screen, [json.loads(line) for line in (folder / "log").read_text().splitlines()])


def misinformed(partner: Partner) -> Partner:
    """Its receiver was told another secret than the connector."""
    return replace(partner, told_secret="whsec_something_else") if partner.id == "bellamy" else partner


@pytest.fixture(scope="module")
def shows(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Shown]:
    """A good one, one with a wrong secret, and one without the time it takes: all at once."""
    sabotaged = replace(QUICK, partners=[misinformed(partner) for partner in QUICK.partners])
    hurried = replace(QUICK, end_within_s=0.3)
    folders = [tmp_path_factory.mktemp(name) for name in ("good", "sabotaged", "hurried")]

    async def all_of_them() -> Sequence[Shown]:
        return await asyncio.gather(
            show(QUICK, folders[0]),
            show(sabotaged, folders[1]),
            show(hurried, folders[2]),
        )

    return asyncio.run(all_of_them())


@pytest.fixture(scope="module")
def good(shows: Sequence[Shown]) -> Shown:
    return shows[0]


@pytest.fixture(scope="module")
def sabotaged(shows: Sequence[Shown]) -> Shown:
    return shows[1]


@pytest.fixture(scope="module")
def hurried(shows: Sequence[Shown]) -> Shown:
    return shows[2]


def test_a_demo_that_goes_well_finds_nothing_wrong(good: Shown) -> None:
    assert good.outcome.is_good
    assert good.bad == []


def test_every_kind_of_fate_occurs(good: Shown) -> None:
    picture = good.outcome.picture

    assert picture.consumed == picture.written == 60
    assert picture.filtered > 0
    assert picture.skipped == 1
    assert picture.accepted > 0
    assert picture.parked > 0
    assert picture.dead["poison"] == 2
    assert picture.dead["oversize"] == 1
    assert picture.dead["exhausted"] > 0


def test_its_preparation_is_told_step_by_step(good: Shown) -> None:
    assert [step for step in good.screen.prepared if step[1] == step[2]] == [
        ("creating topics", 41, 41),
        ("registering schemas", 35, 35),
        ("joining the consumer groups", 1, 1),
    ]


def test_the_pictures_show_retries_on_their_way_and_offsets_following(good: Shown) -> None:
    pictures = good.screen.pictures

    assert any(picture.waiting for picture in pictures)
    assert [picture.phase for picture in (pictures[0], pictures[-1])] == ["events arrive", "over"]
    assert pictures[-1].committed == pictures[-1].logged == 60
    assert pictures[-1].waiting == 0


def test_the_books_add_up_in_every_picture(good: Shown) -> None:
    assert all(picture.records.holds and picture.deliveries.holds for picture in good.screen.pictures)


def test_the_connectors_log_goes_elsewhere(good: Shown) -> None:
    assert "started" in [line["event"] for line in good.log]


def test_a_wrong_secret_is_found_out(sabotaged: Shown) -> None:
    assert not sabotaged.outcome.is_good
    assert sabotaged.bad == ["every signature verified"]


def test_what_a_receiver_turned_away_is_a_dead_letter_and_not_lost(sabotaged: Shown) -> None:
    row = next(row for row in sabotaged.outcome.picture.partners if row.id == "bellamy")

    assert row.accepted == 0
    assert row.dead == row.owed > 0


def test_a_show_that_does_not_come_to_rest_in_time_is_judged_as_it_is(hurried: Shown) -> None:
    assert not hurried.outcome.is_good
    assert "nothing lost" in hurried.bad
