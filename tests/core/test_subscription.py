"""What of a subscription may be seen by people."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.world import subscription


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/hooks", "https://a.example/hooks"),
        ("https://a.example/hooks?token=hunter2&x=a?b", "https://a.example/hooks?..."),
        ("https://a.example?hunter2", "https://a.example?..."),
    ],
)
def test_a_url_is_shown_without_its_query(url: str, shown: str) -> None:
    assert replace(subscription("a"), url=url).shown_url == shown


def test_neither_url_nor_headers_nor_secrets_are_in_its_representation() -> None:
    secret = "hunter2"
    one = subscription("a", url=f"https://a.example/?{secret}", headers=(("Authorization", secret),))

    assert "hunter2" not in repr(one)
    assert "a-secret-of-enough-bytes" not in repr(one)
