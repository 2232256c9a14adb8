"""What is parked for a subscription that nobody has any more becomes dead, once that is past doubt."""

from __future__ import annotations

import asyncio

from connector.engine.tiers import UNHEARD_GRACE_MS
from tests.support.two_workers import TwoWorkers, resumed, trail_of
from tests.support.virtual_time import virtual

GRACE_S = UNHEARD_GRACE_MS / 1_000


@virtual
async def test_what_is_parked_for_a_subscription_that_was_removed_becomes_dead_after_the_grace() -> None:
    two = await TwoWorkers.with_parked(5)

    two.view(resumed("other"))
    await asyncio.sleep(GRACE_S - 10)
    before = len(two.dead)
    await asyncio.sleep(15)

    assert before == 0
    assert [trail_of(letter).reason for letter in two.dead] == ["deleted"] * 10
    assert two.backlog.is_done
    assert two.first.worker.accounts.dead["deleted"] == 10
    (told,) = two.first.log.said("a subscription is gone for which something may lie parked")
    assert told["subscription"] == "acme"
    two.check_books()


@virtual
async def test_a_subscription_that_comes_back_within_the_grace_gets_what_was_parked() -> None:
    two = await TwoWorkers.with_parked(5)

    for _ in range(2):
        two.view()
        await asyncio.sleep(GRACE_S - 10)
        await two.pause()
        await asyncio.sleep(5)
    await two.replay()

    assert len(two.accepted) == 10
    assert two.first.worker.accounts.dead == {}


@virtual
async def test_one_that_comes_back_while_its_letters_become_dead_gets_the_rest() -> None:
    two = await TwoWorkers.with_parked(3_000)
    two.view()
    await asyncio.sleep(GRACE_S - 10)
    await two.until(lambda: two.dead, "it is given up")

    await two.replay()

    assert 0 < len(two.dead) < 3_000
    assert len(two.accepted) == 6_000 - len(two.dead)
    two.check_books()
