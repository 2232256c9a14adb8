"""The prepared head of a request: what is in it, and what can never get into it."""

from __future__ import annotations

import pytest

from connector.core.http_names import FORBIDDEN_HEADERS
from connector.webhook.guard import Guard
from connector.webhook.head import check_header, request_head
from connector.webhook.target import parse_target

TARGET = parse_target("https://partner.example/hook", allow_http=False, guard=Guard())


def test_the_head_is_rendered_once_in_this_order() -> None:
    head = request_head(TARGET, headers=[("X-Team", "a"), ("Authorization", "Bearer b")], content_type="c/d")

    assert head == (
        b"POST /hook HTTP/1.1\r\n"
        b"Host: partner.example\r\n"
        b"User-Agent: webhook-connector/0.1.0\r\n"
        b"Content-Type: c/d\r\n"
        b"X-Team: a\r\n"
        b"Authorization: Bearer b\r\n"
    )


@pytest.mark.parametrize("value", ["a", "a b", "a\tb", "!~"])
def test_printable_values_pass(value: str) -> None:
    check_header("X-Team", value)


@pytest.mark.parametrize(
    "value", ["", "a\r\nX-Evil: 1", "a\n", "\ra", "a\x00b", " a", "a ", "ä", "a\x7f", "a\u2028b", "\t"]
)
def test_a_value_that_could_split_the_request_is_refused_and_not_quoted(value: str) -> None:
    with pytest.raises(ValueError, match=r"the header X-Team: .* must be printable ASCII") as refused:
        check_header("X-Team", value)

    assert "Evil" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "X Team", "X-Team:", "X\r\nY", "ä", "(x)"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a header name"):
        request_head(TARGET, headers=[(name, "a")], content_type="c/d")


@pytest.mark.parametrize("name", sorted(FORBIDDEN_HEADERS))
def test_headers_of_framing_and_signing_are_the_connectors_own(name: str) -> None:
    with pytest.raises(ValueError, match="is set by the connector itself; remove it"):
        check_header(name.title(), "a")


@pytest.mark.parametrize("content_type", ["", "a/b\r\nX: y", "ä/b"])
def test_a_content_type_is_printable(content_type: str) -> None:
    with pytest.raises(ValueError, match="content type"):
        request_head(TARGET, headers=(), content_type=content_type)
