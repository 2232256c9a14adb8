"""Name look-ups: shared, bounded, briefly remembered, and never in each other's way."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from connector.core.outcome import Failure
from connector.webhook.guard import Guard
from connector.webhook.resolver import Answer, AresLookup, LookupFailed, Resolver
from connector.webhook.sender import WebhookSender
from tests.support.name_server import name_server
from tests.support.posting import LOOPBACK, kind, post
from tests.support.raw_receiver import always, ok, receiving

ONE = (ip_address("8.8.8.8"),)


class SlowLookup:
    """Answers a name when the test says so."""

    def __init__(self, ttl_s: float = 60.0) -> None:
        self.ttl_s = ttl_s
        self.asked: list[str] = []
        self.answers: dict[str, asyncio.Future[Answer]] = {}
        self.is_closed = False

    async def look_up(self, name: str) -> Answer:
        self.asked.append(name)
        self.answers[name] = asyncio.get_running_loop().create_future()
        return await self.answers[name]

    def answer(self, name: str) -> None:
        self.answers[name].set_result(Answer(ONE, self.ttl_s))

    async def close(self) -> None:
        self.is_closed = True


async def asked(lookup: SlowLookup, count: int) -> None:
    while len(lookup.asked) < count:  # noqa: ASYNC110  (turns of the loop, not time)
        await asyncio.sleep(0)


async def test_all_who_ask_for_a_name_share_one_look_up() -> None:
    lookup = SlowLookup()
    resolver = Resolver(lookup, budget_ms=5_000)
    waiting = [asyncio.create_task(resolver.resolve("a.example")) for _ in range(50)]
    await asked(lookup, 1)

    lookup.answer("a.example")

    assert await asyncio.gather(*waiting) == [ONE] * 50
    assert lookup.asked == ["a.example"]
    await resolver.close()


async def test_names_that_hang_do_not_delay_others() -> None:
    lookup = SlowLookup()
    resolver = Resolver(lookup, budget_ms=5_000)
    hanging = [asyncio.create_task(resolver.resolve(f"hang{index}.example")) for index in range(40)]
    await asked(lookup, 40)
    other = asyncio.create_task(resolver.resolve("a.example"))
    await asked(lookup, 41)

    lookup.answer("a.example")

    assert await asyncio.wait_for(other, 1) == ONE
    assert not any(task.done() for task in hanging)
    await resolver.close()
    await asyncio.gather(*hanging, return_exceptions=True)


@pytest.mark.parametrize("count", [4, 40, 400])
async def test_real_names_that_hang_do_not_delay_a_delivery_to_another(count: int) -> None:
    async with (
        receiving(always(ok())) as receiver,
        name_server({"alive.example": "127.0.0.1"}) as server,
    ):
        sender = WebhookSender(guard=LOOPBACK, allow_http=True, lookup=AresLookup(name_servers=(server,)))
        hanging = [
            asyncio.create_task(post(sender, f"http://hang{number}.example/", timeout_ms=60_000))
            for number in range(count)
        ]
        await asyncio.sleep(0)  # they ask first
        outcome = await post(sender, receiver.url(host="alive.example"), timeout_ms=2_000)
        await sender.close()
        outcomes = await asyncio.gather(*hanging)

    assert kind(outcome) == "http-200"
    assert {kind(each) for each in outcomes} == {"reset"}


async def test_a_name_with_more_addresses_than_are_judged_fails_and_one_with_as_many_does_not() -> None:
    many = [f"8.8.8.{number}" for number in range(65)]
    async with name_server({"most.example": many[:64], "more.example": many}) as server:
        lookup = AresLookup(name_servers=(server,))

        answer = await lookup.look_up("most.example")
        with pytest.raises(LookupFailed, match=r"^more\.example has 65 addresses: at most 64 ") as refused:
            await lookup.look_up("more.example")
        await lookup.close()

    assert len(answer.addresses) == 64
    assert refused.value.kind == "dns"


async def test_more_look_ups_than_the_bound_are_refused_at_once_but_for_names_under_way() -> None:
    lookup = SlowLookup()
    resolver = Resolver(lookup, budget_ms=5_000, lookups_max=2)
    hanging = [asyncio.create_task(resolver.resolve(f"hang{index}.example")) for index in range(2)]
    await asked(lookup, 2)

    with pytest.raises(LookupFailed, match=r"a\.example is not looked up: 2 others wait") as refused:
        await resolver.resolve("a.example")
    shared = asyncio.create_task(resolver.resolve("hang0.example"))
    await asyncio.sleep(0)
    lookup.answer("hang0.example")

    assert refused.value.kind == "resources"
    assert await shared == ONE
    await resolver.close()
    await asyncio.gather(*hanging, return_exceptions=True)


async def test_a_look_up_that_was_not_made_is_not_billed_to_the_receiver() -> None:
    class FullLookup(SlowLookup):
        async def look_up(self, name: str) -> Answer:
            raise LookupFailed(f"{name} is not looked up", "resources")

    sender = WebhookSender(guard=Guard(), lookup=FullLookup())

    outcome = await post(sender, "https://a.example/")

    assert outcome == Failure("resources", "a.example is not looked up")
    await sender.close()


async def test_a_name_that_hangs_fails_after_the_budget_and_is_asked_for_again() -> None:
    lookup = SlowLookup()
    resolver = Resolver(lookup, budget_ms=30)

    with pytest.raises(LookupFailed, match=r"no answer about a\.example within 30 ms"):
        await resolver.resolve("a.example")
    with pytest.raises(LookupFailed):
        await resolver.resolve("a.example")

    assert lookup.asked == ["a.example", "a.example"]
    await resolver.close()


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others() -> None:
    lookup = SlowLookup()
    resolver = Resolver(lookup, budget_ms=5_000)
    first, second = (asyncio.create_task(resolver.resolve("a.example")) for _ in range(2))
    await asked(lookup, 1)

    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    lookup.answer("a.example")

    assert await second == ONE
    await resolver.close()


async def test_an_answer_is_remembered_for_its_time_to_live() -> None:
    lookup = SlowLookup(ttl_s=60.0)
    resolver = Resolver(lookup, budget_ms=5_000)
    first = asyncio.create_task(resolver.resolve("a.example"))
    await asked(lookup, 1)
    lookup.answer("a.example")
    await first

    assert await resolver.resolve("a.example") == ONE
    assert lookup.asked == ["a.example"]
    await resolver.close()


async def test_an_answer_that_does_not_live_is_not_remembered() -> None:
    lookup = SlowLookup(ttl_s=0.0)
    resolver = Resolver(lookup, budget_ms=5_000)
    for count in (1, 2):
        task = asyncio.create_task(resolver.resolve("a.example"))
        await asked(lookup, count)
        lookup.answer("a.example")
        await task

    assert lookup.asked == ["a.example", "a.example"]
    await resolver.close()


async def test_the_memory_is_bounded_and_the_oldest_name_goes_first() -> None:
    lookup = SlowLookup()
    resolver = Resolver(lookup, budget_ms=5_000, names_max=2)
    for count, name in enumerate(["a.example", "b.example", "c.example"], start=1):
        task = asyncio.create_task(resolver.resolve(name))
        await asked(lookup, count)
        lookup.answer(name)
        await task

    assert await resolver.resolve("c.example") == ONE
    assert await resolver.resolve("b.example") == ONE
    again = asyncio.create_task(resolver.resolve("a.example"))
    await asked(lookup, 4)
    assert lookup.asked == ["a.example", "b.example", "c.example", "a.example"]
    await resolver.close()
    await asyncio.gather(again, return_exceptions=True)


async def test_a_failure_nobody_waits_for_any_more_is_silent() -> None:
    lookup = SlowLookup()
    resolver = Resolver(lookup, budget_ms=5_000)
    task = asyncio.create_task(resolver.resolve("a.example"))
    await asked(lookup, 1)

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    lookup.answers["a.example"].set_exception(LookupFailed("a.example does not resolve"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    await resolver.close()
    assert lookup.is_closed


async def test_the_hosts_file_and_localhost_are_known() -> None:
    lookup = AresLookup()

    answer = await lookup.look_up("localhost")

    assert ip_address("127.0.0.1") in answer.addresses
    await lookup.close()


@pytest.mark.parametrize("name", ["nowhere.invalid", "a..b"])
async def test_a_name_that_cannot_exist_is_named_in_the_failure(name: str) -> None:
    lookup = AresLookup()

    with pytest.raises(LookupFailed, match=f"{name} does not resolve: "):
        await lookup.look_up(name)
    await lookup.close()


async def test_name_servers_that_never_answer_hold_up_neither_localhost_nor_the_end() -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    lookup = AresLookup(name_servers=(f"127.0.0.1:{port}",))
    hanging = [asyncio.create_task(lookup.look_up(f"hang{index}.example")) for index in range(8)]

    answer = await asyncio.wait_for(lookup.look_up("localhost"), 1)

    assert ip_address("127.0.0.1") in answer.addresses
    assert not any(task.done() for task in hanging)
    await lookup.close()
    outcomes = await asyncio.gather(*hanging, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LookupFailed] * 8
    transport.close()
