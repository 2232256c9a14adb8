"""What a replay makes of each letter: its age, whose it is, and what cannot be read."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from connector.core.record import Headers
from tests.support.two_workers import TwoWorkers, paused, resumed, trail_of
from tests.support.virtual_time import virtual
from tests.support.world import replies

ANOTHER_VERSION: Headers = (("webhook.v", b"2"),)
OF_ACME: Headers = (("webhook.subscription-id", b"acme"),)

# ── its age ─────────────────────────────────────────────────────────────────────────────────────


@virtual
async def test_a_pause_is_not_the_receivers_fault_the_age_of_a_delivery_stands_still() -> None:
    two = await TwoWorkers.joined()
    two.first.behave("acme", replies(500))
    two.cluster.append("post.created", b"1", partition=0)
    await asyncio.sleep(0.5)
    await two.pause()
    await two.until_parked(1)  # when it is due
    (parked,) = two.parked_in(0) + two.parked_in(1) + two.parked_in(2)

    await asyncio.sleep(600)
    await two.resume()
    await two.until(lambda: len(two.on_tier) == 2, "it is replayed")

    letter = two.on_tier[1]
    before, after = trail_of(parked), trail_of(letter)
    lay_ms = letter.timestamp_ms - parked.timestamp_ms
    assert lay_ms > 600_000
    assert abs(after.first_attempt_ms - before.first_attempt_ms - lay_ms - 1_000) <= 2
    assert (after.attempt, after.hop) == (1, 2)


@virtual
async def test_what_was_never_tried_has_no_age_yet() -> None:
    two = await TwoWorkers.with_parked(1)

    await asyncio.sleep(600)
    await two.replay()

    trails = [trail_of(letter) for letter in two.on_tier]
    assert [(one.first_attempt_ms, one.attempt, one.hop) for one in trails] == [(0, 0, 1), (0, 0, 1)]


# ── what cannot be read ─────────────────────────────────────────────────────────────────────────


@virtual
async def test_records_that_are_no_letters_are_passed_over_counted_and_told() -> None:
    two = await TwoWorkers.joined()
    two.append_parked(b"stray")
    two.append_parked(b"odd", headers=[("webhook.subscription-id", b"\xff")])
    two.append_parked(b"late", headers=OF_ACME)
    await two.park(5)

    await two.replay()

    assert len(two.accepted) == 10
    assert two.first.worker.accounts.letters_unreadable == 3
    (told,) = two.first.log.said("records of the parked topic that are no letters are passed over")
    assert told["count"] == 3
    assert told["first"].startswith("webhooks.parked[0]@0: The header 'webhook.v' is missing")
    assert two.parked == 13
    two.check_books()


@virtual
async def test_a_letter_of_another_version_stops_the_replay_there_and_is_told_once() -> None:
    two = await TwoWorkers.with_parked(20)
    before = len(two.parked_in(0))
    unread = two.append_parked(b"1", headers=[*ANOTHER_VERSION, *OF_ACME])
    await two.park(20)

    await two.resume()
    await asyncio.sleep(300)

    behind = len(two.parked_in(0)) - unread.offset - 1
    assert before > 0
    assert behind > 0
    assert len(two.accepted) == 80 - behind
    assert two.backlog.cursor[0] == unread.offset
    assert not two.backlog.is_done
    assert two.first.worker.accounts.letters_unreadable == 1
    (told,) = two.first.log.said("a parked letter cannot be read; its replay waits there")
    assert told == {
        "subscription": "acme",
        "letter": str(unread),
        "why": "The headers are of version b'2'; this release reads version 1.",
    }
    assert len(two.first.log.said("replaying what was parked")) == 1
    two.check_books()


@virtual
async def test_once_a_version_leads_that_can_read_it_the_rest_is_replayed() -> None:
    two = await TwoWorkers.with_parked(20)
    log = two.parked_in(0)
    letter = log[1]
    log[1] = replace(letter, headers=tuple((n, b"2" if n == "webhook.v" else v) for n, v in letter.headers))
    await two.resume()
    await asyncio.sleep(60)
    before = len(two.accepted)

    log[1] = letter  # as a later release would see it
    await two.until_replayed()

    assert before == 40 - len(log) + 1
    assert len(two.accepted) == 40
    assert two.accepted == Counter(two.accepted.keys())


@virtual
async def test_what_one_cannot_have_read_holds_up_no_other() -> None:
    two = await TwoWorkers.joined()
    two.view(paused("acme"), paused("other"))
    await asyncio.sleep(3)
    two.append_parked(b"1", headers=[*ANOTHER_VERSION, *OF_ACME])
    two.produce(20)
    await two.until_parked(81)

    two.view(resumed("acme"), resumed("other"))
    await two.until(lambda: two.first.worker.parked.backlogs["other"].is_done, "the other is replayed")
    await asyncio.sleep(5)

    assert two.first.accepted("other") == 40
    assert 0 < two.first.accepted("acme") < 40
    assert not two.backlog.is_done


@virtual
async def test_a_letter_that_does_not_say_whose_it_is_stops_everybody_there() -> None:
    two = await TwoWorkers.joined()
    two.append_parked(b"1", headers=ANOTHER_VERSION)
    await two.park(20)

    await two.resume()
    await asyncio.sleep(60)

    assert two.backlog.cursor[0] == 0
    assert not two.backlog.is_done
    assert len(two.accepted) == 41 - len(two.parked_in(0))
    assert two.first.worker.accounts.letters_unreadable == 1
