"""The watch over a subscriptions file: what comes into force, what is doubted, what is never missed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from connector.core.subscription import Subscription
from connector.core.view import Diff
from connector.declared.problem import Mistakes, Problem
from connector.subscriptions.watch import SubscriptionsWatch
from tests.support.subscription_files import RULES, file_of


@dataclass
class Heard:
    """Keeps what the watch tells: ``+``, ids and diff of a view, or ``!`` and the reason for a doubt."""

    said: list[str] = field(default_factory=list)
    has_heard: asyncio.Event = field(default_factory=asyncio.Event)

    def viewed(
        self, subscriptions: tuple[Subscription, ...], diff: Diff, warnings: Sequence[Problem]
    ) -> None:
        ids = "".join(each.id for each in subscriptions)
        self.said.append(f"+{ids} ({diff})")
        self.has_heard.set()

    def doubted(self, why: str) -> None:
        self.said.append(f"!{why}")
        self.has_heard.set()

    def take(self) -> list[str]:
        said, self.said = self.said, []
        return said


class World:
    """A file and the watch over it."""

    def __init__(self, folder: Path, *, may_shrink: bool = False, poll_ms: int = 60_000) -> None:
        self.file = folder / "subscriptions.yaml"
        self.heard = Heard()
        self.watch = SubscriptionsWatch(self.file, RULES, self.heard, may_shrink=may_shrink, poll_ms=poll_ms)

    async def started(self, *ids: str) -> World:
        self.file.write_text(file_of(*ids))
        await self.watch.start()
        return self

    async def polls(self, count: int = 2) -> list[str]:
        for _ in range(count):
            await self.watch.poll()
        return self.heard.take()


async def test_the_start_gives_the_subscriptions_and_calls_nobody(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.file.write_text(file_of("a", "b"))

    loaded = await world.watch.start()

    assert [each.id for each in loaded.subscriptions] == ["a", "b"]
    assert world.heard.take() == []


@pytest.mark.parametrize("text", ["", "subscriptions: []", "subscriptions: [", "subscriptions: [{}]"])
async def test_a_bad_or_empty_file_refuses_the_start(tmp_path: Path, text: str) -> None:
    world = World(tmp_path, may_shrink=True)
    world.file.write_text(text)

    with pytest.raises(Mistakes, match=r"subscriptions\.yaml:"):
        await world.watch.start()


async def test_a_missing_file_refuses_the_start(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match=r"subscriptions\.yaml: cannot be read: No such file"):
        await World(tmp_path).watch.start()


async def test_a_change_is_in_force_once_it_has_stood_still_for_one_look(tmp_path: Path) -> None:
    world = await World(tmp_path).started("a", "b")
    world.file.write_text(file_of("a", "b", "c"))

    assert await world.polls(1) == []
    assert await world.polls(1) == ["+abc (1 added, 0 changed, 0 removed)"]
    assert await world.polls(3) == []


async def test_a_file_that_is_still_being_written_is_not_read(tmp_path: Path) -> None:
    world = await World(tmp_path).started("a", "b")
    whole = file_of("a", "b", "c", "d")

    for end in (0, 40, 120, 200):
        world.file.write_text(whole[:end])
        assert await world.polls(1) == []
    world.file.write_text(whole)

    assert await world.polls() == ["+abcd (2 added, 0 changed, 0 removed)"]


async def test_a_file_that_does_not_parse_is_doubted_once_and_the_cure_ends_the_doubt(tmp_path: Path) -> None:
    world = await World(tmp_path).started("a", "b")

    world.file.write_text("subscriptions: [")
    doubts = await world.polls(5)
    world.file.write_text(file_of("a", "b"))

    assert len(doubts) == 1
    assert doubts[0].startswith(f"!{world.file}:2:1: is not YAML")
    assert await world.polls() == ["+ab (0 added, 0 changed, 0 removed)"]


async def test_another_mistake_is_told_too(tmp_path: Path) -> None:
    world = await World(tmp_path).started("a")

    world.file.write_text("subscriptions: [")
    first = await world.polls()
    world.file.write_text("subscriptions: 5")

    assert len(first) == 1
    assert await world.polls() == [f"!{world.file}:1:16: subscriptions: must be a list, such as [a, b]"]


@pytest.mark.parametrize(("text", "gone"), [("", "3 of 3"), (file_of("a"), "2 of 3")])
async def test_an_emptied_or_halved_file_is_doubted(tmp_path: Path, text: str, gone: str) -> None:
    world = await World(tmp_path).started("a", "b", "c")

    world.file.write_text(text)

    assert await world.polls() == [
        f"!{world.file}: {gone} subscriptions would be removed; put them back, or confirm by restarting with "
        "--allow-shrink"
    ]


async def test_a_file_that_goes_is_doubted(tmp_path: Path) -> None:
    world = await World(tmp_path).started("a")

    world.file.unlink()

    gone = f"!{world.file}: cannot be read: No such file or directory; check the path"
    assert await world.polls() == [gone]


async def test_a_confirmed_shrink_is_taken(tmp_path: Path) -> None:
    world = await World(tmp_path, may_shrink=True).started("a", "b", "c")

    world.file.write_text(file_of("a"))

    assert await world.polls() == ["+a (0 added, 0 changed, 2 removed)"]


async def test_a_change_is_judged_against_what_is_in_force_not_against_what_was_doubted(
    tmp_path: Path,
) -> None:
    world = await World(tmp_path).started("a", "b", "c")
    world.file.write_text(file_of("a"))
    await world.polls()

    world.file.write_text(file_of("a", "b"))

    assert await world.polls() == ["+ab (0 added, 0 changed, 1 removed)"]


async def test_a_comment_changes_nothing_and_says_nothing(tmp_path: Path) -> None:
    world = await World(tmp_path).started("a")

    world.file.write_text("# a comment\n" + file_of("a"))

    assert await world.polls(3) == []


async def test_a_new_secret_in_a_mounted_file_is_a_change(tmp_path: Path) -> None:
    world = World(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("correct-horse")
    world.file.write_text(file_of("a").replace("correct-horse", "{file: secret}"))
    await world.watch.start()

    quiet = await world.polls(4)
    secret.write_text("battery-staple")

    assert quiet == []
    assert await world.polls() == ["+a (0 added, 1 changed, 0 removed)"]


async def test_a_secret_that_was_replaced_while_the_watch_began_is_seen(tmp_path: Path) -> None:
    world = World(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("correct-horse")
    world.file.write_text(file_of("a").replace("correct-horse", "{file: secret}"))

    await world.watch.start()
    secret.write_text("battery-staple")

    assert await world.polls() == ["+a (0 added, 1 changed, 0 removed)"]


async def test_a_mounted_secret_that_comes_late_ends_the_doubt(tmp_path: Path) -> None:
    world = await World(tmp_path).started("a")
    world.file.write_text(file_of("a").replace("correct-horse", "{file: secret}"))
    doubts = await world.polls(4)

    (tmp_path / "secret").write_text("battery-staple")

    assert len(doubts) == 1
    assert "the file" in doubts[0]
    assert await world.polls() == ["+a (0 added, 1 changed, 0 removed)"]


async def test_the_swap_of_a_config_maps_link_is_in_force(tmp_path: Path) -> None:
    for name, ids in (("..2026_01", "a"), ("..2026_02", "ab")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "subscriptions.yaml").write_text(file_of(*ids))
    (tmp_path / "..data").symlink_to("..2026_01")
    world = World(tmp_path)
    world.file.symlink_to("..data/subscriptions.yaml")
    await world.watch.start()

    (tmp_path / "..new").symlink_to("..2026_02")
    (tmp_path / "..new").rename(tmp_path / "..data")

    assert await world.polls() == ["+ab (1 added, 0 changed, 0 removed)"]


async def test_a_reload_loads_at_once_and_answers_even_when_nothing_changed(tmp_path: Path) -> None:
    world = await World(tmp_path).started("a")

    world.watch.reload()
    unchanged = await world.polls(1)
    world.file.write_text(file_of("a", "b"))
    world.watch.reload()

    assert unchanged == ["+a (0 added, 0 changed, 0 removed)"]
    assert await world.polls(1) == ["+ab (1 added, 0 changed, 0 removed)"]


async def test_a_reload_of_a_bad_file_says_so_again(tmp_path: Path) -> None:
    world = await World(tmp_path).started("a")
    world.file.write_text("subscriptions: [")
    first = await world.polls()

    world.watch.reload()

    assert await world.polls(1) == first


async def test_run_polls_by_itself_and_a_reload_does_not_wait_for_the_next_poll(tmp_path: Path) -> None:
    world = await World(tmp_path, poll_ms=5).started("a")
    slow = await World(tmp_path).started("a")
    running = [asyncio.create_task(each.watch.run()) for each in (world, slow)]

    world.file.write_text(file_of("a", "b"))
    await asyncio.wait_for(world.heard.has_heard.wait(), 10)
    slow.watch.reload()
    await asyncio.wait_for(slow.heard.has_heard.wait(), 10)
    for task in running:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    assert world.heard.take() == ["+ab (1 added, 0 changed, 0 removed)"]
    assert slow.heard.take() == ["+ab (1 added, 0 changed, 0 removed)"]
