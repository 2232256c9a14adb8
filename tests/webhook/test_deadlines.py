"""Deadlines of many requests on one timer: never early, hardly late, nothing kept."""

from __future__ import annotations

import asyncio
from time import monotonic

from connector.webhook.deadlines import SLOT_MS, Deadlines


class Item:
    def __init__(self, deadline_s: float) -> None:
        self.deadline_s = deadline_s


async def test_every_item_expires_once_and_never_before_its_deadline() -> None:
    now_s = monotonic()
    items = [Item(now_s + delay_ms / 1000) for delay_ms in range(0, 300, 7)]
    early_s: list[float] = []
    expired: list[Item] = []
    all_expired = asyncio.Event()

    def expire(item: Item) -> None:
        expired.append(item)
        if monotonic() < item.deadline_s:
            early_s.append(item.deadline_s - monotonic())
        if len(expired) == len(items):
            all_expired.set()

    deadlines: Deadlines[Item] = Deadlines(expire)
    for item in items:
        deadlines.add(item, item.deadline_s)
    await asyncio.wait_for(all_expired.wait(), 5)

    assert early_s == []
    assert sorted(expired, key=lambda item: item.deadline_s) == items
    assert list(deadlines) == []


async def test_a_deadline_is_late_by_one_slot_at_most_when_the_loop_is_free() -> None:
    # The best of five: on a busy machine any one of them may be later.
    late_ms: list[float] = []
    for _ in range(5):
        expired: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        deadlines: Deadlines[Item] = Deadlines(lambda _item, expired=expired: expired.set_result(monotonic()))
        item = Item(monotonic() + 0.05)
        deadlines.add(item, item.deadline_s)
        late_ms.append((await asyncio.wait_for(expired, 5) - item.deadline_s) * 1000)

    assert 0 <= min(late_ms) <= SLOT_MS + 5


async def test_a_discarded_item_does_not_expire_and_leaves_no_slot_behind() -> None:
    expired: list[Item] = []
    last: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def expire(item: Item) -> None:
        expired.append(item)
        last.set_result(None)

    deadlines: Deadlines[Item] = Deadlines(expire)
    now_s = monotonic()
    settled, hanging = Item(now_s + 0.05), Item(now_s + 0.2)
    slot = deadlines.add(settled, settled.deadline_s)
    deadlines.add(hanging, hanging.deadline_s)
    deadlines.discard(settled, slot)
    deadlines.discard(settled, slot)
    await asyncio.wait_for(last, 5)

    assert expired == [hanging]


async def test_items_may_be_added_while_others_expire() -> None:
    expired: list[Item] = []
    done = asyncio.Event()

    def expire(item: Item) -> None:
        expired.append(item)
        if len(expired) == 3:
            done.set()
        else:
            deadlines.add(Item(0.0), monotonic())

    deadlines: Deadlines[Item] = Deadlines(expire)
    deadlines.add(Item(0.0), monotonic())
    await asyncio.wait_for(done.wait(), 5)

    assert len(expired) == 3


async def test_an_item_that_comes_after_its_deadline_expires_at_once() -> None:
    """A stall between reckoning a deadline and adding it: the timer is past that slot already."""
    expired: list[str] = []
    done = asyncio.Event()

    def expire(item: str) -> None:
        expired.append(item)
        if len(expired) == 2:
            done.set()

    deadlines: Deadlines[str] = Deadlines(expire)
    deadlines.add("without a timer", monotonic() - 1.0)
    deadlines.add("beside a timer", monotonic() - 2.0)
    await asyncio.wait_for(done.wait(), 5)

    assert sorted(expired) == ["beside a timer", "without a timer"]


async def test_items_added_while_others_expire_share_the_one_timer() -> None:
    turns = 0
    expired: list[Item] = []
    done = asyncio.Event()

    class Counted(Deadlines[Item]):
        def _tick(self) -> None:
            nonlocal turns
            turns += 1
            super()._tick()

    def expire(item: Item) -> None:
        expired.append(item)
        if len(expired) == 20:
            done.set()
        else:
            deadlines.add(Item(0.0), monotonic())

    deadlines = Counted(expire)
    started_s = monotonic()
    deadlines.add(Item(0.0), started_s + 60)  # keeps the timer going
    deadlines.add(Item(0.0), started_s)
    await asyncio.wait_for(done.wait(), 10)
    slots = (monotonic() - started_s) * 1000 / SLOT_MS
    deadlines.close()

    assert turns <= slots + 1


async def test_closing_forgets_all_and_stops_the_timer() -> None:
    expired: list[Item] = []
    deadlines: Deadlines[Item] = Deadlines(expired.append)
    deadlines.add(Item(0.0), monotonic() + 0.02)

    deadlines.close()
    await asyncio.sleep(0.1)  # nothing can be waited for where nothing must happen

    assert expired == []
    assert list(deadlines) == []
