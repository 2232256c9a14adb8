"""Which subscriptions are in force after a load."""

from __future__ import annotations

from dataclasses import replace

from connector.core.dialect import DEFAULT_DIALECT
from connector.core.subscription import Secrets, Subscription
from connector.core.view import Adopted, Diff, Doubted, next_view


def _subscription(id_: str) -> Subscription:
    return Subscription(
        id=id_,
        url="https://receiver.example/hooks",
        events=("*",),
        dialect=DEFAULT_DIALECT,
        secrets=Secrets(current="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ladder_ms=(5_000,),
        timeout_ms=20_000,
        max_age_ms=60_000,
        in_flight_max=1,
        queue_max=1,
        body_bytes_max=1_000,
    )


A, B, C, D = (_subscription(id_) for id_ in "abcd")


def test_the_first_load_is_adopted_and_all_of_it_is_added() -> None:
    assert next_view(None, [A, B], may_shrink=False) == Adopted(
        subscriptions=(A, B), diff=Diff(added=("a", "b"))
    )


def test_a_first_load_without_subscriptions_is_doubted_even_when_it_may_shrink() -> None:
    assert isinstance(next_view(None, [], may_shrink=True), Doubted)


def test_the_diff_names_what_was_added_changed_and_removed() -> None:
    changed = replace(B, url="https://elsewhere.example/")

    adopted = next_view([A, B, C], [D, changed, C], may_shrink=False)

    assert isinstance(adopted, Adopted)
    assert adopted.diff == Diff(added=("d",), changed=("b",), removed=("a",))
    assert str(adopted.diff) == "1 added, 1 changed, 1 removed"


def test_a_new_secret_is_a_change() -> None:
    rotated = replace(A, secrets=Secrets(current="another-secret", previous="whsec_old"))

    adopted = next_view([A], [rotated], may_shrink=False)

    assert isinstance(adopted, Adopted)
    assert adopted.diff == Diff(changed=("a",))


def test_the_same_again_changes_nothing() -> None:
    adopted = next_view([A, B], [A, B], may_shrink=False)

    assert isinstance(adopted, Adopted)
    assert not adopted.diff


def test_half_may_go() -> None:
    assert isinstance(next_view([A, B, C, D], [A, B], may_shrink=False), Adopted)


def test_more_than_half_going_is_doubted_and_the_cure_is_named() -> None:
    doubted = next_view([A, B, C], [A], may_shrink=False)

    assert doubted == Doubted(
        "2 of 3 subscriptions would be removed; put them back, or confirm by restarting with --allow-shrink"
    )


def test_more_than_half_replaced_by_others_is_doubted_too() -> None:
    assert isinstance(next_view([A, B], [C, D], may_shrink=False), Doubted)


def test_the_last_one_going_is_doubted() -> None:
    assert isinstance(next_view([A], [], may_shrink=False), Doubted)


def test_a_confirmed_shrink_is_adopted_down_to_nothing() -> None:
    assert next_view([A], [], may_shrink=True) == Adopted(subscriptions=(), diff=Diff(removed=("a",)))
