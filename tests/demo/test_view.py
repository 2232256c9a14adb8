from __future__ import annotations

from dataclasses import replace

import pytest

from connector.core.accounts import Accounts, InHand
from connector.demo.equations import deliveries_equation, records_equation
from connector.demo.letters import Letter
from connector.demo.picture import OffsetRow, PartnerRow, Picture, TierRow
from connector.demo.view.bars import filled, lane, spark, stacked
from connector.demo.view.lines import line_of
from connector.demo.view.live import lines_of

ACCOUNTS = Accounts(
    records_read=1_574, records_settled=1_566, deliveries_taken=2_348, accepted=1_417, parked=43
)
ACCOUNTS.to_tiers[1_000] = 765
ACCOUNTS.dead["exhausted"] = 115
IN_HAND = InHand(records=8, deliveries=8)

PICTURE = Picture(
    cluster="the built-in cluster",
    terms="shortened to be watched",
    phase="events arrive",
    elapsed_s=7.4,
    end_within_s=58,
    topics=35,
    written=920,
    to_write=920,
    consumed=912,
    filtered=14,
    skipped=2,
    poison=3,
    consumed_per_s=(10, 80, 160, 90),
    accepted_per_s=(20, 160, 240, 148),
    latency_ms=10,
    partners=[
        PartnerRow(
            id=f"partner-{number}",
            manner="flaky: 1 in 3",
            owed=300,
            accepted=200,
            failed=120,
            waiting=50,
            dead=40,
            parked=0,
        )
        for number in range(8)
    ],
    tiers=[TierRow(tier_ms=tier_ms, on_the_way=(0.1, 0.5), total=300) for tier_ms in (1_000, 2_000, 4_000)],
    dead={"exhausted": 115, "poison": 3},
    last_dead=[
        Letter(
            event_id="e", partner="down", source="post.created", written_ms=0, reason="exhausted",
            why="The endpoint answered 500.", attempts=4,
        )
    ] * 3,
    offsets=[OffsetRow(domain=f"domain{number}", committed=60, written=65) for number in range(14)],
    records=records_equation(ACCOUNTS, IN_HAND),
    deliveries=deliveries_equation(ACCOUNTS, IN_HAND),
)  # fmt: skip


def shown(width: int, height: int, picture: Picture = PICTURE) -> list[str]:
    return [line.plain for line in lines_of(picture, width=width - 1, height=height)]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (120, 40), (200, 60)])
def test_the_picture_fits_its_terminal(width: int, height: int) -> None:
    lines = shown(width, height)

    assert len(lines) <= height
    assert max(len(line) for line in lines) < width


def test_a_wide_terminal_shows_everything() -> None:
    text = "\n".join(shown(120, 40))

    for words in (
        "35 domain topics", "920 of 920 written", "912 consumed", "14 unwanted, 2 null, 3 poison",
        "partner-7", "flaky: 1 in 3", "RETRY TIER", "DEAD LETTERS  exhausted 115  poison 3",
        "exhausted down, 4 tries: The endpoint answered 500.", "OFFSETS COMMITTED", "domain13",
        "✓ records    1574 read = 1566 settled + 8 in hand",
        "✓ deliveries 2348 taken = 1417 accepted + 765 to tiers + 43 parked + 115 dead + 8 in hand",
    ):  # fmt: skip
        assert words in text


def test_a_small_terminal_shows_both_equations_whole() -> None:
    assert shown(80, 24)[-2:] == [
        " ✓ 1574 read = 1566 settled + 8 in hand",
        " ✓ 2348 taken = 1417 accepted + 765 to tiers + 43 parked + 115 dead + 8 in hand",
    ]


def test_a_terminal_that_is_too_low_keeps_the_head_and_the_equations() -> None:
    lines = shown(80, 8)

    assert len(lines) == 8
    assert lines[0].startswith("webhook-connector demo")
    assert lines[-1].startswith(" ✓ 2348 taken")


def test_an_equation_that_does_not_hold_is_crossed_out() -> None:
    wrong = records_equation(Accounts(records_read=1), InHand(records=0, deliveries=0))

    assert shown(80, 24, replace(PICTURE, records=wrong))[-2] == " ✗ 1 read = 0"


def test_one_moment_on_one_line() -> None:
    assert line_of(PICTURE) == (
        "  7.4 s  events arrive: 912 events consumed, 1,600 deliveries accepted, 960 attempts failed; "
        "waiting/ever in tier: 1s 2/300, 2s 2/300, 4s 2/300; dead letters: exhausted 115, poison 3; "
        "parked: 0; offsets committed: 840 of 910"
    )


# ── bars ────────────────────────────────────────────────────────────────────────────────────────


def test_a_share_that_is_not_nothing_has_a_cell() -> None:
    bar = stacked([(997, "A", ""), (2, "b", ""), (0, "c", ""), (1, "d", "")], 10)

    assert bar.plain == "AAAAAAAAbd"


def test_shares_of_nothing_are_dots() -> None:
    assert stacked([(0, "A", "")], 4).plain == "····"


def test_what_is_done_is_drawn_strong() -> None:
    assert filled(3, 4, 8, style="").plain == "━━━━━━──"
    assert filled(0, 0, 4, style="").plain == "────"


def test_a_sparkline_shows_the_latest_values_at_the_right() -> None:
    assert spark([9, 0, 1, 4, 8], 4, style="").plain == "▁▁▄█"
    assert spark([8], 3, style="").plain == "  █"


def test_a_delivery_moves_through_its_lane_from_left_to_right() -> None:
    assert lane([0.0, 0.5, 0.5, 0.99, 1.5], 4, style="").plain == "▁·▂▂"
