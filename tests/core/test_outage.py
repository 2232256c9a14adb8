"""When failures are taken for our own, and when not: ten proven hosts, nine in ten failing."""

from __future__ import annotations

from connector.core.outage import HOLD_MAX_MS, HOSTS_MAX, Outage

MINUTE_MS = 60_000


def hosts(count: int) -> list[str]:
    return [f"h{n}.example" for n in range(count)]


def answered(*names: str, at_ms: int = 0) -> Outage:
    """All these hosts answered once."""
    outage = Outage()
    for name in names:
        outage.observe(name, is_reached=True, now_ms=at_ms)
    return outage


def fail(outage: Outage, *names: str, now_ms: int) -> None:
    for name in names:
        outage.observe(name, is_reached=False, now_ms=now_ms)


def held(now_ms: int = MINUTE_MS) -> Outage:
    """Held since ``now_ms``, after ten hosts that had answered failed together."""
    outage = answered(*hosts(10), at_ms=now_ms - MINUTE_MS)
    fail(outage, *hosts(10), now_ms=now_ms)
    assert outage.is_held(now_ms)
    return outage


def test_ten_proven_hosts_that_all_fail_hold() -> None:
    outage = answered(*hosts(10))

    fail(outage, *hosts(9), now_ms=MINUTE_MS)
    before = outage.is_held(MINUTE_MS)
    fail(outage, "h9.example", now_ms=MINUTE_MS + 29_999)

    assert not before
    assert outage.is_held(MINUTE_MS + 29_999)
    assert outage.why == (
        "10 of the 10 hosts that were tried last, and answered within the hour, "
        "have no name, a forbidden address, or take no connection: DNS or the network fails on our side."
    )


def test_failures_further_apart_than_half_a_minute_do_not() -> None:
    outage = answered(*hosts(10))

    fail(outage, *hosts(9), now_ms=MINUTE_MS)
    fail(outage, "h9.example", now_ms=MINUTE_MS + 30_000)

    assert not outage.is_held(MINUTE_MS + 30_000)


def test_one_dead_endpoint_never_holds_even_if_it_is_the_only_one() -> None:
    outage = answered("only.example")

    for second in range(7_200):
        fail(outage, "only.example", now_ms=second * 1_000)
        assert not outage.is_held(second * 1_000)


def test_three_partners_gone_for_good_never_hold() -> None:
    outage = answered("a.example", "b.example", "c.example")

    for second in range(7_200):
        fail(outage, "a.example", "b.example", "c.example", now_ms=second * 1_000)
        assert not outage.is_held(second * 1_000)


def test_nine_of_ten_failing_hold_and_eight_do_not() -> None:
    nine, eight = answered(*hosts(20)), answered(*hosts(20))

    nine.observe("h19.example", is_reached=True, now_ms=MINUTE_MS)
    nine.observe("h18.example", is_reached=True, now_ms=MINUTE_MS)
    fail(nine, *hosts(18), now_ms=MINUTE_MS + 1)
    for name in hosts(20)[16:]:
        eight.observe(name, is_reached=True, now_ms=MINUTE_MS)
    fail(eight, *hosts(16), now_ms=MINUTE_MS + 1)

    assert nine.is_held(MINUTE_MS + 1)
    assert nine.why.startswith("18 of the 20 hosts ")
    assert not eight.is_held(MINUTE_MS + 1)


def test_a_host_that_answers_within_the_window_counts_among_the_ten() -> None:
    outage = answered(*hosts(10))
    outage.observe("h9.example", is_reached=True, now_ms=MINUTE_MS)

    fail(outage, *hosts(9), now_ms=MINUTE_MS + 1_000)

    assert outage.is_held(MINUTE_MS + 1_000)


def test_a_host_counts_by_its_last_attempt_whatever_went_before() -> None:
    down, flapping = answered(*hosts(10)), answered(*hosts(10))
    for second in range(60):
        for outage in (down, flapping):
            for name in hosts(10):
                outage.observe(name, is_reached=True, now_ms=MINUTE_MS + second * 1_000)

    fail(down, *hosts(10), now_ms=2 * MINUTE_MS)
    for ms in range(1_000):
        for name in hosts(10):
            fail(flapping, name, now_ms=2 * MINUTE_MS + ms)
            flapping.observe(name, is_reached=True, now_ms=2 * MINUTE_MS + ms)

    assert down.is_held(2 * MINUTE_MS)
    assert not flapping.is_held(2 * MINUTE_MS + 1_000)


def test_a_host_that_never_answered_says_nothing_about_us() -> None:
    outage = answered(*hosts(9))

    fail(outage, *hosts(9), *(f"never{n}.example" for n in range(500)), now_ms=MINUTE_MS)

    assert not outage.is_held(MINUTE_MS)


def test_an_answer_proves_a_host_for_an_hour() -> None:
    within, after = answered(*hosts(10)), answered(*hosts(10))

    fail(within, *hosts(10), now_ms=3_599_999)
    fail(after, *hosts(10), now_ms=3_600_000)

    assert within.is_held(3_599_999)
    assert not after.is_held(3_600_000)


def test_a_busy_host_weighs_no_more_than_a_quiet_one() -> None:
    outage = answered(*hosts(100))
    for name in hosts(100)[50:]:
        outage.observe(name, is_reached=True, now_ms=MINUTE_MS)

    for ms in range(999):
        fail(outage, *hosts(10), now_ms=MINUTE_MS + ms)

    assert not outage.is_held(MINUTE_MS + 998)


def test_while_held_three_hosts_are_probed_every_five_seconds_those_that_answered_last_first() -> None:
    outage = answered(*hosts(10))
    outage.observe("h4.example", is_reached=True, now_ms=1)
    fail(outage, *hosts(10), now_ms=MINUTE_MS)

    early = outage.probes(set(hosts(10)), MINUTE_MS + 4_999)
    first = outage.probes(set(hosts(10)), MINUTE_MS + 5_000)
    later = outage.probes(set(hosts(10)), MINUTE_MS + 9_999)
    second = outage.probes(set(hosts(10)), MINUTE_MS + 10_000)

    assert (early, later) == ([], [])
    assert first == ["h4.example", "h9.example", "h8.example"]
    assert second == ["h7.example", "h6.example", "h5.example"]


def test_each_host_is_probed_once_before_any_comes_again() -> None:
    outage = held()

    rounds = [outage.probes(set(hosts(10)), MINUTE_MS + n * 5_000) for n in range(1, 9)]

    assert sorted(name for chosen in rounds[:4] for name in chosen) == hosts(10)
    assert sorted(name for chosen in rounds[4:] for name in chosen) == hosts(10)


def test_hosts_that_may_not_be_asked_or_never_answered_are_no_probes() -> None:
    outage = held()

    chosen = outage.probes({"h1.example", "never.example"}, MINUTE_MS + 5_000)

    assert chosen == ["h1.example"]


def test_the_first_success_lifts_a_hold() -> None:
    outage = held(now_ms=MINUTE_MS)
    fail(outage, *hosts(3), now_ms=MINUTE_MS + 1_000)

    outage.observe("h4.example", is_reached=True, now_ms=MINUTE_MS + 2_000)

    assert not outage.is_held(MINUTE_MS + 2_000)
    assert outage.why == ""


def test_a_success_lifts_a_hold_also_when_the_host_answered_just_before() -> None:
    outage = answered(*hosts(10), at_ms=MINUTE_MS - 10)
    for second in range(1, 12):
        fail(outage, *hosts(10), now_ms=MINUTE_MS - 10 + second * 1_000)
    outage.observe("h0.example", is_reached=True, now_ms=MINUTE_MS + 11_000)
    for second in range(12, 25):
        fail(outage, *hosts(10), now_ms=MINUTE_MS + second * 1_000)
    outage.observe("h0.example", is_reached=True, now_ms=MINUTE_MS + 25_000)
    fail(outage, *hosts(10), now_ms=MINUTE_MS + 25_100)

    outage.observe("h0.example", is_reached=True, now_ms=MINUTE_MS + 25_200)

    assert not outage.is_held(MINUTE_MS + 25_200)


def test_hosts_that_still_fail_after_a_hold_was_lifted_say_nothing_about_us() -> None:
    outage = held(now_ms=MINUTE_MS)
    outage.observe("h4.example", is_reached=True, now_ms=MINUTE_MS + 2_000)

    for second in range(3, 3_600):
        fail(outage, *hosts(10), now_ms=MINUTE_MS + second * 1_000)
        assert not outage.is_held(MINUTE_MS + second * 1_000)


def test_hosts_that_answer_after_a_hold_was_lifted_are_proof_again() -> None:
    outage = held(now_ms=MINUTE_MS)
    for name in hosts(10):
        outage.observe(name, is_reached=True, now_ms=MINUTE_MS + 2_000)

    fail(outage, *hosts(8), now_ms=MINUTE_MS + 3_000)
    before = outage.is_held(MINUTE_MS + 3_000)
    fail(outage, "h8.example", now_ms=MINUTE_MS + 3_000)

    assert not before
    assert outage.is_held(MINUTE_MS + 3_000)


def test_a_hold_ends_by_itself_after_a_quarter_of_an_hour() -> None:
    outage = held(now_ms=MINUTE_MS)

    assert outage.is_held(MINUTE_MS + HOLD_MAX_MS - 1)
    assert not outage.is_held(MINUTE_MS + HOLD_MAX_MS)


def test_it_does_not_hold_again_for_the_same_outage() -> None:
    outage = held(now_ms=MINUTE_MS)

    for minute in range(16, 60):
        fail(outage, *hosts(10), now_ms=minute * MINUTE_MS)

        assert not outage.is_held(minute * MINUTE_MS)


def test_it_may_hold_again_once_something_got_through() -> None:
    outage = held(now_ms=MINUTE_MS)
    now_ms = MINUTE_MS + HOLD_MAX_MS
    for name in hosts(10):
        outage.observe(name, is_reached=True, now_ms=now_ms)

    fail(outage, *hosts(10), now_ms=now_ms + MINUTE_MS)

    assert outage.is_held(now_ms + MINUTE_MS)


def test_no_more_hosts_are_remembered_than_there_may_be() -> None:
    outage = answered(*hosts(10))

    for name in hosts(HOSTS_MAX + 10)[10:]:
        outage.observe(name, is_reached=True, now_ms=1_000)
    fail(outage, *hosts(10), now_ms=MINUTE_MS)
    forgotten = outage.is_held(MINUTE_MS)
    fail(outage, *hosts(20)[10:], now_ms=MINUTE_MS)

    assert not forgotten
    assert outage.is_held(MINUTE_MS)


def test_a_host_that_answers_again_is_not_the_one_forgotten() -> None:
    outage = answered(*hosts(10))

    for name in hosts(HOSTS_MAX):
        outage.observe(name, is_reached=True, now_ms=1_000)
    outage.observe("one-more.example", is_reached=True, now_ms=2_000)
    for name in hosts(10)[1:]:
        outage.observe(name, is_reached=True, now_ms=2_000)
    outage.observe("another.example", is_reached=True, now_ms=2_000)
    fail(outage, *hosts(11)[1:], now_ms=MINUTE_MS)

    assert not outage.is_held(MINUTE_MS)  # h10 has been forgotten, the nine before it have not
    fail(outage, "h11.example", now_ms=MINUTE_MS)
    assert outage.is_held(MINUTE_MS)
