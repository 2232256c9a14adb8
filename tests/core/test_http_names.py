"""Which static headers a subscription may have."""

from __future__ import annotations

import pytest

from connector.core.http_names import header_name_fault, header_value_fault


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "x_custom.1", "Cookie"])
def test_a_header_of_ones_own_is_allowed(name: str) -> None:
    assert header_name_fault(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "content-length",
        "TRANSFER-ENCODING",
        "User-Agent",
        "webhook-signature",
        "ce-type",
        "Proxy-Connection",
    ],
)
def test_a_header_of_the_connector_is_refused_in_any_case(name: str) -> None:
    assert header_name_fault(name) == f"the header {name} is set by the connector itself; remove it"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ü", "a\n"])
def test_what_is_no_token_is_no_header_name(name: str) -> None:
    assert "is not a header name" in header_name_fault(name)


@pytest.mark.parametrize("value", ["Bearer abc", "a", "a\tb", "~!"])
def test_printable_ascii_on_one_line_is_a_value(value: str) -> None:
    assert header_value_fault(value) == ""


@pytest.mark.parametrize("value", ["", " a", "a ", "a\nb", "a\r", "é", "a\x00b", "a\x7f"])
def test_any_other_value_is_refused_without_quoting_it(value: str) -> None:
    fault = header_value_fault(value)

    assert fault == "a header value must be printable ASCII on one line, not empty, without blanks around it"
