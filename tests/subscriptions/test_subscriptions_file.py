"""Reading a subscriptions file: what it means."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from connector.core.dialect import BELLAMY, STANDARD_WEBHOOKS, WEBHOOKS_V1, HmacSignature
from connector.core.subscription import Secrets, Subscription
from connector.subscriptions.file import Loaded, load_subscriptions
from tests.support.subscription_files import ONE, RULES, file_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "subscriptions.yaml"


def _loaded(file: Path) -> Loaded:
    result = load_subscriptions(file, RULES)
    assert isinstance(result, Loaded), result
    return result


def test_what_is_declared_is_what_one_gets(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTNER_SECRET", "from-environment")
    (file.parent / "previous").write_text("from-a-file\n")
    file.write_text("""\
subscriptions:
  - id: partner-a
    url: https://partner.example/hooks
    events: [post.created, "friend.**"]
    dialect: webhooks-v1
    secrets:
      current: {env: PARTNER_SECRET}
      previous: {file: previous}
      sign_with: new
    headers:
      Authorization: {file: previous}
      X-Tenant: "7"
    ladder: [30s, 5m]
    final_statuses: [400, 422]
    limits: {in_flight: 8, queue: 1000, rate_per_s: 2.5, timeout: 20s, body_size: 64KiB, max_age: 2h}
    paused: true
""")

    loaded = _loaded(file)

    assert loaded.subscriptions == (
        Subscription(
            id="partner-a",
            url="https://partner.example/hooks",
            events=("post.created", "friend.**"),
            dialect=WEBHOOKS_V1,
            secrets=Secrets(current="from-environment", previous="from-a-file", sign_with="new"),
            headers=(("Authorization", "from-a-file"), ("X-Tenant", "7")),
            ladder_ms=(30_000, 300_000),
            timeout_ms=20_000,
            max_age_ms=7_200_000,
            in_flight_max=8,
            queue_max=1_000,
            body_bytes_max=65_536,
            paused=True,
            final_statuses=frozenset({400, 422}),
            rate_per_s=2.5,
        ),
    )
    assert loaded.files == (file.parent / "previous",)


def test_what_is_not_declared_comes_from_the_dialect_and_the_defaults(file: Path) -> None:
    file.write_text(file_of("a"))

    (subscription,) = _loaded(file).subscriptions

    assert subscription.dialect is BELLAMY
    assert subscription.ladder_ms == BELLAMY.ladder_ms
    assert subscription.timeout_ms == 30_000
    assert subscription.max_age_ms == sum(BELLAMY.ladder_ms) + 86_400_000
    assert (subscription.in_flight_max, subscription.queue_max) == (16, 200)
    assert subscription.body_bytes_max == 1_048_576
    assert not subscription.paused
    assert subscription.final_statuses == frozenset()
    assert subscription.rate_per_s is None


def test_without_a_dialect_it_is_the_default_one(file: Path) -> None:
    file.write_text("""\
subscriptions:
- id: a
  url: https://receiver.example/
  events: ["*"]
  secrets: {current: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}
""")

    assert _loaded(file).subscriptions[0].dialect is STANDARD_WEBHOOKS


@pytest.mark.parametrize(
    ("declared", "statuses"),
    [("none", set()), ("[]", set()), ("standard", {400, 401, 403, 404, 413, 415, 422}), ("[410]", {410})],
)
def test_final_statuses_are_none_a_preset_or_a_list(file: Path, declared: str, statuses: set[int]) -> None:
    file.write_text(file_of("a") + f"  final_statuses: {declared}\n")

    assert _loaded(file).subscriptions[0].final_statuses == statuses


@pytest.mark.parametrize(("declared", "rate_per_s"), [("0.001", 0.001), ("7", 7.0), ("100000", 100_000.0)])
def test_a_rate_is_a_number_per_second(file: Path, declared: str, rate_per_s: float) -> None:
    file.write_text(file_of("a") + f"  limits: {{rate_per_s: {declared}}}\n")

    assert _loaded(file).subscriptions[0].rate_per_s == rate_per_s


def test_an_empty_ladder_means_one_attempt(file: Path) -> None:
    file.write_text(file_of("a") + "  ladder: []\n")

    assert _loaded(file).subscriptions[0].ladder_ms == ()


def test_a_variant_of_a_dialect_is_a_subscriptions_own(file: Path) -> None:
    file.write_text(
        file_of("a").replace("bellamy", "{base: networked, signature: {timestamp: off}, timeout: 5s}")
    )

    (subscription,) = _loaded(file).subscriptions

    assert isinstance(subscription.dialect.signature, HmacSignature)
    assert subscription.dialect.signature.timestamp == "off"
    assert subscription.timeout_ms == 5_000


@pytest.mark.parametrize("text", ["", "# later\n", "subscriptions:\n", "subscriptions: []\n"])
def test_an_empty_file_is_sound_and_holds_nothing(file: Path, text: str) -> None:
    file.write_text(text)

    assert _loaded(file).subscriptions == ()


def test_a_pattern_that_matches_nothing_known_is_a_warning(file: Path) -> None:
    rules = replace(RULES, known_types=("post.created", "friend.request.sent"))
    file.write_text(file_of("a").replace("[post.created]", '[post.created, "friend.**", pots.created, "*"]'))

    result = load_subscriptions(file, rules)

    assert isinstance(result, Loaded)
    assert [str(warning).removeprefix(f"{file}:") for warning in result.warnings] == [
        "4:39: subscriptions[0].events[2]: pots.created matches no event type known here; it is kept, check "
        "its spelling"
    ]


def test_where_nothing_is_known_nothing_is_warned_of(file: Path) -> None:
    file.write_text(file_of("a"))

    assert _loaded(file).warnings == ()


@pytest.mark.slow
def test_10_000_subscriptions_load_within_5_seconds_of_one_core(file: Path) -> None:
    extra = (
        "  headers: {Authorization: Bearer abc}\n  ladder: [30s, 5m]\n  limits: {in_flight: 8, queue: 100}\n"
    )
    file.write_text("subscriptions:\n" + "".join(ONE.format(id=f"p-{n}") + extra for n in range(10_000)))
    started_s = time.process_time()

    loaded = _loaded(file)

    assert len(loaded.subscriptions) == 10_000
    assert time.process_time() - started_s < 5
