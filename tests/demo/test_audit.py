from __future__ import annotations

from dataclasses import replace
from typing import Any

from connector.core.accounts import Accounts, InHand
from connector.demo.audit import Evidence, Finding, Seen, audit, expected
from connector.demo.equations import deliveries_equation, records_equation
from connector.demo.letters import Letter
from connector.demo.offsets import Offsets
from connector.demo.records import Written
from connector.demo.scenario import Partner
from connector.engine.ports import TopicPartition

POSTS = TopicPartition("post.created", 0)


def partner(id_: str, *wants: str, is_paused: bool = False) -> Partner:
    return Partner(
        id=id_, guide="bellamy", events=wants, wants=frozenset(wants), secret="", is_paused=is_paused
    )


def written(event_id: str, event_type: str = "post.created", kind: Any = "event") -> Written:
    return Written(event_id=event_id, event_type=event_type, kind=kind, key=b"k", value=b"v")


def letter(event_id: str, to: str, reason: str = "") -> Letter:
    return Letter(event_id=event_id, partner=to, source="post.created", written_ms=0, reason=reason)


def good() -> Evidence:
    """Three events and a broken record, for a receiver that accepts, one that is down, one on holiday."""
    accounts = Accounts(records_read=4, records_settled=4, deliveries_taken=4, accepted=2, parked=1)
    accounts.dead["exhausted"] = 1
    return Evidence(
        partners=[
            partner("a", "post.created"),
            partner("b", "post.updated"),
            partner("c", "post.updated", is_paused=True),
        ],
        written=[
            written("e1"), written("e2"), written("e3", "post.updated"), written("e4", kind="corrupt")
        ],
        seen={
            "a": Seen(accepted=frozenset({"e1", "e2"}), received=2),
            "b": Seen(accepted=frozenset(), received=4),
            "c": Seen(accepted=frozenset(), received=0),
        },
        dead=[letter("e3", "b", "exhausted"), letter("e4", "", "poison")],
        parked=[letter("e3", "c")],
        equations=[
            records_equation(accounts, InHand(records=0, deliveries=0)),
            deliveries_equation(accounts, InHand(records=0, deliveries=0)),
        ],
        offsets=Offsets(committed={POSTS: 4}, ends={POSTS: 4}),
    )  # fmt: skip


def bad(evidence: Evidence) -> list[Finding]:
    return [finding for finding in audit(evidence) if not finding.is_good]


def test_what_was_accepted_buried_or_parked_is_accounted_for() -> None:
    assert bad(good()) == []


def test_a_delivery_is_owed_to_each_partner_who_wants_the_type() -> None:
    assert expected(good()) == {("a", "e1"), ("a", "e2"), ("b", "e3"), ("c", "e3")}


def test_the_numbers_of_a_good_run_are_named() -> None:
    details = {finding.what: finding.detail for finding in audit(good())}

    assert details == {
        "every signature verified": "6 requests, each checked by its receiver",
        "nothing lost": "4 deliveries owed = 2 accepted + 1 dead letters + 1 parked",
        "nothing sent astray": "0 accepted twice",
        "poison set apart": "1 broken records, each a dead letter",
        "every offset committed": "4 of 4, in 1 partitions",
        "records add up": "4 read = 4 settled + 0 released + 0 in hand",
        "deliveries add up": (
            "4 taken = 2 accepted + 0 to tiers + 1 parked + 1 dead + 0 dropped copies + 0 released"
            " + 0 in hand"
        ),
    }


def test_a_delivery_that_arrived_nowhere_is_lost_whatever_the_books_say() -> None:
    evidence = good()
    seen = {**evidence.seen, "a": Seen(accepted=frozenset({"e1"}), received=2)}

    assert bad(replace(evidence, seen=seen)) == [
        Finding(what="nothing lost", is_good=False, detail="1 of 4 deliveries are nowhere: a e2")
    ]


def test_of_many_lost_deliveries_a_few_are_named() -> None:
    lost = [written(f"x{number}") for number in range(6)]
    evidence = good()

    assert bad(replace(evidence, written=[*evidence.written, *lost]))[0].detail == (
        "6 of 10 deliveries are nowhere: a x0, a x1, a x2, a x3, a x4, …"
    )


def test_a_signature_that_did_not_verify_is_told_with_its_receiver_and_fault() -> None:
    evidence = good()
    seen = {**evidence.seen, "b": Seen(accepted=frozenset(), received=4, rejected=4, fault="no match")}

    assert bad(replace(evidence, seen=seen)) == [
        Finding(what="every signature verified", is_good=False, detail="b turned away 4 (no match)")
    ]


def test_a_receiver_that_nothing_reached_has_verified_nothing() -> None:
    evidence = good()
    seen = {**evidence.seen, "b": Seen(accepted=frozenset(), received=0)}

    assert bad(replace(evidence, seen=seen)) == [
        Finding(what="every signature verified", is_good=False, detail="nothing reached b")
    ]


def test_an_event_that_nobody_asked_for_is_astray() -> None:
    evidence = good()
    seen = {**evidence.seen, "b": Seen(accepted=frozenset({"e1"}), received=4)}

    assert bad(replace(evidence, seen=seen)) == [
        Finding(what="nothing sent astray", is_good=False, detail="1 that nobody asked for: b e1")
    ]


def test_a_broken_record_without_its_dead_letter_is_missed() -> None:
    assert bad(replace(good(), dead=good().dead[:1])) == [
        Finding(
            what="poison set apart",
            is_good=False,
            detail="1 broken records are not among the dead letters: e4",
        )
    ]


def test_a_sound_record_among_the_poison_is_noticed() -> None:
    dead = [*good().dead, letter("e1", "", "poison")]

    assert bad(replace(good(), dead=dead)) == [
        Finding(what="poison set apart", is_good=False, detail="1 sound records were called poison: e1")
    ]


def test_an_offset_that_is_not_committed_is_named_with_what_is_missing() -> None:
    assert bad(replace(good(), offsets=Offsets(committed={}, ends={POSTS: 4}))) == [
        Finding(what="every offset committed", is_good=False, detail="4 offsets to go: post.created[0] 4")
    ]


def test_books_that_do_not_add_up_are_shown_with_both_sums() -> None:
    wrong = records_equation(Accounts(records_read=4, records_settled=3), InHand(records=0, deliveries=0))

    assert bad(replace(good(), equations=[wrong])) == [
        Finding(
            what="records add up",
            is_good=False,
            detail="4 read = 3 settled + 0 released + 0 in hand, which is 3",
        )
    ]


def test_offsets_of_some_topics_are_summed_over_their_partitions() -> None:
    other, comments = TopicPartition("post.created", 1), TopicPartition("comment.created", 0)
    offsets = Offsets(committed={POSTS: 3, comments: 9}, ends={POSTS: 4, other: 5, comments: 9})

    assert offsets.of(["post.created"]) == (3, 9)
    assert offsets.behind() == {POSTS: 1, other: 5}
