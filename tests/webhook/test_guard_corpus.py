"""The corpus of the address guard: every spelling we know of, each with its verdict and its reason.

A forbidden literal is refused at registration; a name that leads to a forbidden address is a failed
attempt that connects to nothing, also when other answers are fine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from connector.core.outcome import Failure
from connector.engine.ports import ForbiddenTarget
from connector.webhook.guard import Guard, Network
from connector.webhook.sender import WebhookSender
from connector.webhook.target import parse_target
from tests.support.posting import FixedLookup, post

CORPUS: dict[str, Any] = yaml.safe_load(
    Path(__file__).with_name("guard_corpus.yaml").read_text(encoding="utf-8")
)
SPECIAL: list[tuple[Network, str]] = [
    (ip_network(each["network"]), each["because"]) for each in CORPUS["special_purpose"]
]
TRANSLATED = [(ip_address(each["address"]), each["because"]) for each in CORPUS["translated"]]
GUARD = Guard()
HOUSE = Guard(
    allowed=tuple(ip_network(each) for each in CORPUS["of_a_house"]["allow_networks"]),
    forbidden=tuple(ip_network(each) for each in CORPUS["of_a_house"]["forbid_networks"]),
)
PUBLIC = [ip_address(text) for text in CORPUS["public"]]
EDGES = [(network[at], because) for network, because in SPECIAL for at in (0, -1)]


@pytest.mark.parametrize(("network", "because"), SPECIAL, ids=str)
def test_all_of_a_special_purpose_network_is_refused(network: Network, because: str) -> None:
    @given(st.integers(0, network.num_addresses - 1))
    def check(offset: int) -> None:
        assert because in GUARD.refusal(network[offset])

    check()
    assert because in GUARD.refusal(network[0])
    assert because in GUARD.refusal(network[-1])


@pytest.mark.parametrize(("address", "because"), TRANSLATED, ids=str)
def test_an_address_that_carries_another_is_refused(address: IPv6Address, because: str) -> None:
    assert because in GUARD.refusal(address)


@pytest.mark.parametrize("address", PUBLIC, ids=str)
def test_a_public_address_passes(address: IPv4Address | IPv6Address) -> None:
    assert GUARD.refusal(address) == ""


@pytest.mark.parametrize("refused", CORPUS["of_a_house"]["refused"], ids=lambda refused: refused["address"])
def test_a_house_refuses_what_it_forbids_and_what_nobody_allows(refused: dict[str, str]) -> None:
    assert refused["because"] in HOUSE.refusal(ip_address(refused["address"]))


@pytest.mark.parametrize("address", CORPUS["of_a_house"]["passed"])
def test_a_house_lets_pass_what_it_allows_and_what_is_public(address: str) -> None:
    assert HOUSE.refusal(ip_address(address)) == ""


@pytest.mark.parametrize(
    ("url", "because"),
    [
        pytest.param(url, group["because"], id=repr(url))
        for group in CORPUS["refused_urls"]
        for url in group["urls"]
    ],
)
def test_a_refused_url_is_refused_at_registration_for_its_reason(url: str, because: str) -> None:
    with pytest.raises(ForbiddenTarget) as refused:
        parse_target(url, allow_http=False, guard=GUARD)

    assert because in str(refused.value)


@pytest.mark.parametrize("case", CORPUS["accepted_urls"], ids=lambda case: case["url"])
def test_an_accepted_url_is_read_with_this_host(case: dict[str, str]) -> None:
    assert parse_target(case["url"], allow_http=False, guard=GUARD).host == case["host"]


@given(
    address=st.sampled_from([address for address, _ in EDGES if isinstance(address, IPv6Address)])
    | st.ip_addresses(v=4, network="127.0.0.0/8").map(lambda inner: IPv6Address(0xFFFF << 32 | int(inner))),
    spelling=st.sampled_from(["compressed", "exploded", "upper", "dotted"]),
)
def test_no_spelling_of_a_forbidden_ipv6_address_is_accepted(address: IPv6Address, spelling: str) -> None:
    tail = f"{IPv4Address(int(address) & 0xFFFF_FFFF)}"
    text = {
        "compressed": address.compressed,
        "exploded": address.exploded,
        "upper": address.exploded.upper(),
        "dotted": f"{address.exploded[:29]}:{tail}",
    }[spelling]

    with pytest.raises(ForbiddenTarget, match="webhooks may not be sent to this address"):
        parse_target(f"https://[{text}]/", allow_http=False, guard=GUARD)


@given(st.lists(st.sampled_from(PUBLIC), max_size=5), st.sampled_from(EDGES), st.integers(0, 5))
def test_one_forbidden_address_condemns_an_answer_wherever_it_stands(
    answer: list[IPv4Address | IPv6Address], forbidden: tuple[IPv4Address | IPv6Address, str], place: int
) -> None:
    address, because = forbidden
    answer.insert(place, address)

    assert because in GUARD.first_refusal(answer)


async def test_a_name_that_leads_to_any_of_them_is_a_forbidden_attempt() -> None:
    answers = [[str(address)] for address, _ in EDGES + TRANSLATED]
    answers += [["8.8.8.8", *answer, "2606:4700::1111"] for answer in answers]
    lookup = FixedLookup({f"name{index}.example": answer for index, answer in enumerate(answers)})
    async with _sender(lookup) as sender:
        outcomes = [await post(sender, f"https://{name}/") for name in lookup.table]

    assert {outcome.kind for outcome in outcomes if isinstance(outcome, Failure)} == {"forbidden"}
    assert len(outcomes) == len(answers) == 2 * (len(EDGES) + len(TRANSLATED))


@asynccontextmanager
async def _sender(lookup: FixedLookup) -> AsyncIterator[WebhookSender]:
    sender = WebhookSender(guard=GUARD, lookup=lookup)
    yield sender
    await sender.close()
