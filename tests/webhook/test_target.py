"""Reading a subscription's URL: one strict reading; what it refuses is in guard_corpus.yaml."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.engine.ports import ForbiddenTarget
from connector.webhook.guard import Guard
from connector.webhook.target import Target, parse_target

ALL = Guard(allowed=(IPv4Network("0.0.0.0/0"), IPv6Network("::/0")))


def parse(url: str) -> Target:
    return parse_target(url, allow_http=True, guard=Guard())


def test_a_plain_url_is_read_into_its_parts() -> None:
    target = parse("https://Partner.Example:8443/hooks/a?b=c&d")

    assert (target.scheme, target.host, target.port, target.literal) == (
        "https", "partner.example", 8443, None,
    )  # fmt: skip
    assert target.path == "/hooks/a?b=c&d"
    assert target.authority == "partner.example:8443"


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://a.example", "a.example", "/"),
        ("https://a.example:443/", "a.example", "/"),
        ("http://a.example:80?x", "a.example", "/?x"),
        ("https://a.example:80/", "a.example:80", "/"),
        ("https://a.example:/", "a.example", "/"),
        ("https://[2606:4700::1111]/", "[2606:4700::1111]", "/"),
        ("https://[2606:4700:0:0::1111]:99/", "[2606:4700::1111]:99", "/"),
        ("https://8.8.8.8/", "8.8.8.8", "/"),
        ("https://straße.example/", "xn--strae-oqa.example", "/"),
        ("https://例え。テスト/", "xn--r8jz45g.xn--zckzah", "/"),
        ("https://a_b.internal-1.example/", "a_b.internal-1.example", "/"),
        ("https://a.example/ä/%C3%A4/%zz/{x}", "a.example", "/%C3%A4/%C3%A4/%25zz/%7Bx%7D"),
        ("https://a.example/a;b=1/~c?q=1+2&e=a@b:c/d?", "a.example", "/a;b=1/~c?q=1+2&e=a@b:c/d?"),
        ("https://a.example//double/../dots", "a.example", "//double/../dots"),
    ],
)
def test_host_and_path_are_sent_as_written_and_safe(url: str, authority: str, path: str) -> None:
    target = parse(url)

    assert (target.authority, target.path) == (authority, path)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://" + "a" * 64 + ".example/", "not a DNS name"),
        ("https://" + "a.b" * 85 + ".example/", "not a DNS name"),
        ("https://a.example/" + "x" * 8_192, "at most 8192"),
        ("https://a.example/\ud800", "percent-encode"),
        ("https://a\udfff.example/", "percent-encode"),
    ],
)
def test_what_is_too_long_or_no_text_is_refused_with_its_cure(url: str, message: str) -> None:
    with pytest.raises(ForbiddenTarget, match=message):
        parse(url)


def test_plain_http_is_refused_unless_the_deployment_allows_it() -> None:
    with pytest.raises(ForbiddenTarget, match="use https, or have the operator allow http"):
        parse_target("http://a.example/", allow_http=False, guard=Guard())


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1", "a.0x7f", "127。0。0。01"])
def test_other_spellings_of_ipv4_are_refused_even_where_everything_is_allowed(host: str) -> None:
    with pytest.raises(ForbiddenTarget, match="unusual spelling of an IPv4 address"):
        parse_target(f"https://{host}/", allow_http=False, guard=ALL)


def test_the_operator_vouches_for_the_ports_of_the_addresses_that_are_allowed() -> None:
    assert parse_target("https://10.0.0.1:25/", allow_http=False, guard=ALL).port == 25
    with pytest.raises(ForbiddenTarget, match="port 25 belongs to another protocol"):
        parse_target("https://a.example:25/", allow_http=False, guard=ALL)


def _number(value: int, base: str) -> str:
    return {"decimal": f"{value}", "octal": f"0{value:o}", "hex": f"0x{value:x}"}[base]


BASES = st.sampled_from(["decimal", "octal", "hex"])


@given(
    address=st.ip_addresses(v=4, network="127.0.0.0/8") | st.ip_addresses(v=4, network="10.0.0.0/8"),
    bases=st.tuples(BASES, BASES, BASES, BASES),
    parts=st.integers(1, 4),
)
def test_whatever_inet_aton_reads_as_a_forbidden_address_is_refused(
    address: object, bases: tuple[str, str, str, str], parts: int
) -> None:
    value = int(address)  # type: ignore[call-overload]  # an IPv4Address
    numbers = [value >> 24, value >> 16 & 255, value >> 8 & 255][: parts - 1]
    numbers.append(value & (1 << 8 * (5 - parts)) - 1)
    host = ".".join(_number(number, base) for number, base in zip(numbers, bases, strict=False))
    assert socket.inet_aton(host) == value.to_bytes(4, "big")

    with pytest.raises(ForbiddenTarget):
        parse(f"https://{host}/")


@given(st.text(max_size=40))
def test_no_url_makes_the_reader_fail_otherwise_or_lets_a_line_break_through(text: str) -> None:
    try:
        target = parse(f"https://a.example/{text}")
    except ForbiddenTarget:
        return

    assert target.path.isascii()
    assert target.path.isprintable()
    assert " " not in target.path


@given(st.text(max_size=40))
def test_no_host_makes_the_reader_fail_otherwise_or_escapes_the_alphabet(text: str) -> None:
    try:
        target = parse(f"https://{text}")
    except ForbiddenTarget:
        return

    assert set(target.authority) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-_:[]")
