"""By which way a subscription's POSTs leave: declared, defaulted, refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from connector.core.subscription import DIRECT, Egress
from connector.subscriptions.build import Rules
from connector.subscriptions.file import Loaded, Unusable, load_subscriptions
from tests.support.subscription_files import ONE, RULES

PROXIED = replace(RULES, defaults=replace(RULES.defaults, proxy="http://default.internal:3128"))


def _load(folder: Path, rules: Rules, declared: str) -> Loaded | Unusable:
    file = folder / "subscriptions.yaml"
    file.write_text("subscriptions:\n" + ONE.format(id="a") + declared)
    return load_subscriptions(file, rules)


@pytest.mark.parametrize(
    ("rules", "declared", "egress"),
    [
        (RULES, "", DIRECT),
        (RULES, "  http2: true\n", Egress(http2=True)),
        (RULES, "  proxy: http://own.internal:3128\n", Egress(proxy="http://own.internal:3128")),
        (RULES, "  proxy: none\n", DIRECT),
        (PROXIED, "", Egress(proxy="http://default.internal:3128")),
        (PROXIED, "  http2: true\n", Egress(proxy="http://default.internal:3128", http2=True)),
        (PROXIED, "  proxy: http://own.internal:3128\n", Egress(proxy="http://own.internal:3128")),
        (PROXIED, "  proxy: none\n", DIRECT),
    ],
)
def test_the_way_is_the_subscriptions_own_or_the_default(
    tmp_path: Path, rules: Rules, declared: str, egress: Egress
) -> None:
    loaded = _load(tmp_path, rules, declared)

    assert isinstance(loaded, Loaded)
    assert [each.egress for each in loaded.subscriptions] == [egress]


@pytest.mark.parametrize(
    ("declared", "mistake"),
    [
        ("  proxy: socks5://own.internal:1080\n", "proxy: write http://host:port"),
        ("  proxy: ''\n", "proxy: "),
        ("  http2: maybe\n", "http2: "),
    ],
)
def test_what_means_nothing_is_refused_where_it_stands(tmp_path: Path, declared: str, mistake: str) -> None:
    result = _load(tmp_path, RULES, declared)

    assert isinstance(result, Unusable)
    assert f"subscriptions[0].{mistake}" in str(result.mistakes)


def test_http2_needs_https(tmp_path: Path) -> None:
    rules = replace(RULES, url_fault=lambda _url: "")
    file = tmp_path / "subscriptions.yaml"
    plain = ONE.format(id="a").replace("https:", "http:")
    file.write_text(f"subscriptions:\n{plain}  http2: true\n")

    result = load_subscriptions(file, rules)

    assert isinstance(result, Unusable)
    assert "http2: is for https alone; remove it, or make the url https" in str(result.mistakes)
