"""Reading a subscription's URL: one strict reading, and a cure for everything it refuses."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.engine.ports import ForbiddenTarget
from connector.webhook.guard import parse_networks
from connector.webhook.target import Target, parse_target

ALL = parse_networks(["0.0.0.0/0", "::/0"])


def parse(url: str) -> Target:
    return parse_target(url, allow_http=True, allowed=())


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
        ("ftp://a.example/", "scheme is 'ftp': use https"),
        ("a.example/hook", "scheme is 'missing': use https"),
        ("https:///hook", "names no host"),
        ("https://:443/", "names no host"),
        ("https://user:secret@a.example/", "put credentials in a static header"),
        ("https://8.8.8.8@10.0.0.1/", "put credentials in a static header"),
        ("https://a.example/#top", "fragment"),
        ("https://a.example/#", "fragment"),
        ("https://a.example:0/", "port 0"),
        ("https://a.example:99999/", "cannot be read"),
        ("https://a.example:80:90/", "cannot be read"),
        ("https://a.example:８０/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://[fe80::1%25eth0]/", "zone|cannot be read"),
        ("https://[v1.a]/", "not an IPv6 address"),
        ("https://[8.8.8.8]/", "not an IPv6 address|cannot be read"),
        ("https://a.example\\@10.0.0.1/", "percent-encode"),
        ("https://a.example/a b", "percent-encode"),
        ("https://a.example/a\r\nX-Evil: 1", "percent-encode"),
        ("https://a.exa\tmple/", "percent-encode"),
        (" https://a.example/", "percent-encode"),
        ("https://a..example/", "not a DNS name"),
        ("https://a.example./", "not a DNS name"),
        ("https://-a.example/", "not a DNS name"),
        ("https://a%2eexample/", "not a DNS name"),
        ("https://" + "a" * 64 + ".example/", "not a DNS name"),
        ("https://" + "a.b" * 85 + ".example/", "not a DNS name"),
        ("https://xn--a-é.example/", "international name"),
        ("https://a.example/" + "x" * 8_192, "at most 8192"),
    ],
)
def test_an_unusual_url_is_refused_with_its_cure(url: str, message: str) -> None:
    with pytest.raises(ForbiddenTarget, match=message):
        parse(url)


def test_plain_http_is_refused_unless_the_deployment_allows_it() -> None:
    with pytest.raises(ForbiddenTarget, match="use https, or have the operator allow http"):
        parse_target("http://a.example/", allow_http=False, allowed=())


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1/", "https://169.254.169.254/latest", "https://[::1]/", "https://[::ffff:a00:1]/"],
)
def test_a_forbidden_address_in_the_url_is_refused_and_the_cure_named(url: str) -> None:
    with pytest.raises(ForbiddenTarget, match="allow its network"):
        parse(url)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "0x7f000001", "0x7f.1", "127.1", "127.0.1", "0177.0.0.1", "127.0.0.01", "0x7F.0.0.0x1",
        "017700000001", "256.256.256.256", "1.2.3.4.5", "a.0x7f", "example.1", "127。0。0。01", "0x",
        "127.0.0.0x",
    ],
)  # fmt: skip
def test_other_spellings_of_ipv4_are_refused_even_where_everything_is_allowed(host: str) -> None:
    with pytest.raises(ForbiddenTarget, match="unusual spelling of an IPv4 address"):
        parse_target(f"https://{host}/", allow_http=False, allowed=ALL)


def test_wide_digits_are_judged_as_the_address_that_they_become() -> None:
    with pytest.raises(ForbiddenTarget, match=r"127\.0\.0\.1 is in 127\.0\.0\.0/8"):
        parse("https://１２７.0.0.1/")


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
