from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from connector.core.composer import compile_composer
from connector.core.derive import derive
from connector.core.dialect import DIALECTS, Dialect, StandardSignature
from connector.core.event import Event
from connector.core.subscription import Secrets
from connector.demo import receiver as receiver_module
from connector.demo.behaviours import Behaviour, Down, Flaky, Hanging, Sound, parse_behaviour
from connector.demo.receiver import Counters, Receiver
from connector.demo.receivers import BODY_BYTES_MAX, ReceiverApp, main, receivers_from

NOW_S = 1_768_480_201
TEXT = "whsec_abc123"
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BINARY = derive(DIALECTS["cloudevents"], mode="binary")


def secret_of(dialect: Dialect) -> str:
    return STANDARD if isinstance(dialect.signature, StandardSignature) else TEXT


def sent(dialect: Dialect, event_id: str = "evt_1", now_s: int = NOW_S) -> tuple[dict[str, str], bytes]:
    data = '{"n":1e-7,"text":"Grüße"}'.encode()
    event = Event("post.created", event_id, 1_768_480_200_000_000, 0, data, source="urn:kafka:social")
    composer = compile_composer(dialect, Secrets(current=secret_of(dialect)))
    lines, body = composer.compose(event, now_s)
    pairs = (line.split(": ") for line in lines.decode().split("\r\n") if line)
    return {**dict(pairs), "content-type": composer.content_type}, body


@asynccontextmanager
async def client_of(receivers: dict[str, Receiver]) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(ReceiverApp(receivers, now_s=lambda: NOW_S))
    async with httpx.AsyncClient(transport=transport, base_url="http://partner") as client:
        yield client


def bellamy(behaviour: Behaviour | None = None) -> Receiver:
    return Receiver(guide="bellamy", secret=TEXT, behaviour=behaviour or Sound())


# ── verifying ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dialect", [*DIALECTS.values(), BINARY], ids=lambda dialect: dialect.content_type)
async def test_a_receiver_accepts_what_its_dialect_sends(dialect: Dialect) -> None:
    receiver = Receiver(guide=dialect.name, secret=secret_of(dialect))
    headers, body = sent(dialect)

    async with client_of({"/hook": receiver}) as client:
        reply = await client.post("/hook", headers=headers, content=body)

    assert (reply.status_code, reply.text) == (200, "")
    assert receiver.counters == Counters(received=1, accepted=1)


@pytest.mark.parametrize("dialect", [*DIALECTS.values(), BINARY], ids=lambda dialect: dialect.content_type)
async def test_a_receiver_rejects_a_changed_body(dialect: Dialect) -> None:
    receiver = Receiver(guide=dialect.name, secret=secret_of(dialect))
    headers, body = sent(dialect)

    async with client_of({"/hook": receiver}) as client:
        reply = await client.post("/hook", headers=headers, content=body + b" ")

    assert reply.status_code == 401
    assert receiver.counters.rejected == 1
    assert receiver.counters.last_fault == reply.text != ""


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
async def test_a_receiver_rejects_a_request_without_headers(dialect: Dialect) -> None:
    receiver = Receiver(guide=dialect.name, secret=secret_of(dialect))

    async with client_of({"/hook": receiver}) as client:
        reply = await client.post("/hook", content=b"{}")

    assert reply.status_code == 401


@pytest.mark.parametrize("name", ["networked", "standard-webhooks", "cloudevents"])
@pytest.mark.parametrize("age_s", [-301, 301])
async def test_a_receiver_with_a_window_rejects_an_old_or_future_timestamp(name: str, age_s: int) -> None:
    receiver = Receiver(guide=name, secret=secret_of(DIALECTS[name]))
    headers, body = sent(DIALECTS[name], now_s=NOW_S - age_s)

    async with client_of({"/hook": receiver}) as client:
        reply = await client.post("/hook", headers=headers, content=body)

    assert (reply.status_code, reply.text) == (401, "the timestamp is more than 5 minutes off")


async def test_the_signature_inside_a_bellamy_body_is_verified_too() -> None:
    receiver = bellamy()
    dialect = derive(DIALECTS["bellamy"], members={"event": "type", "data": "data"})
    headers, body = sent(dialect)

    async with client_of({"/bellamy": receiver}) as client:
        reply = await client.post("/bellamy", headers=headers, content=body)

    assert (reply.status_code, reply.text) == (401, "inside the body: the signature does not match")


async def test_one_signature_of_a_rotation_is_enough() -> None:
    receiver = Receiver(guide="standard-webhooks", secret=STANDARD)
    headers, body = sent(DIALECTS["standard-webhooks"])
    headers["webhook-signature"] = f"v1,AAAA {headers['webhook-signature']}"

    async with client_of({"/hook": receiver}) as client:
        reply = await client.post("/hook", headers=headers, content=body)

    assert reply.status_code == 200


# ── duplicates ──────────────────────────────────────────────────────────────────────────────────


async def test_an_id_accepted_before_counts_as_a_duplicate() -> None:
    receiver = bellamy()

    async with client_of({"/bellamy": receiver}) as client:
        for event_id in ("evt_1", "evt_2", "evt_1", "evt_1"):
            headers, body = sent(DIALECTS["bellamy"], event_id)
            await client.post("/bellamy", headers=headers, content=body)

    assert receiver.counters == Counters(received=4, accepted=4, duplicates=2)


async def test_a_retry_of_a_failed_delivery_is_no_duplicate() -> None:
    receiver = bellamy(Flaky(every=2, seed=1))
    headers, body = sent(DIALECTS["bellamy"])

    async with client_of({"/bellamy": receiver}) as client:
        replies = [await client.post("/bellamy", headers=headers, content=body) for _ in range(2)]

    assert [reply.status_code for reply in replies] == [503, 200]
    assert receiver.counters == Counters(received=2, accepted=1, failed=1)


def test_a_receiver_remembers_a_bounded_number_of_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "IDS_MAX", 2)
    receiver = bellamy()

    statuses = [receiver.answer(event_id) for event_id in ("evt_1", "evt_2", "evt_3", "evt_1", "evt_1")]

    assert statuses == [200] * 5
    assert receiver.counters.duplicates == 1


# ── behaviours ──────────────────────────────────────────────────────────────────────────────────


def test_a_flaky_receiver_fails_the_same_requests_in_every_run() -> None:
    first = bellamy(Flaky(every=3))
    headers, body = sent(DIALECTS["bellamy"])

    statuses = []
    for _ in range(7):
        first.verify(headers, body, NOW_S)
        statuses.append(first.answer("evt_1"))

    assert statuses == [200, 200, 503, 200, 200, 503, 200]


def test_a_seed_moves_the_first_failure() -> None:
    assert [Flaky(every=3, seed=1).fails(number) for number in range(1, 7)] == [
        False, True, False, False, True, False,
    ]


async def test_a_receiver_that_is_down_answers_500_to_everything_verified() -> None:
    receiver = bellamy(Down())
    headers, body = sent(DIALECTS["bellamy"])

    async with client_of({"/bellamy": receiver}) as client:
        statuses = [
            (await client.post("/bellamy", headers=headers, content=body)).status_code,
            (await client.post("/bellamy", headers=headers, content=b"{}")).status_code,
        ]

    assert statuses == [500, 401]
    assert receiver.counters.failed == 1
    assert receiver.counters.rejected == 1


async def test_a_hanging_receiver_never_answers_and_ends_when_the_sender_leaves() -> None:
    receiver = bellamy(Hanging())
    headers, body = sent(DIALECTS["bellamy"])
    arriving: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    arriving.put_nowait({"type": "http.request", "body": body})
    answers: list[object] = []

    async def send(message: object) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/bellamy",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    request = asyncio.create_task(ReceiverApp({"/bellamy": receiver})(scope, arriving.get, send))  # type: ignore[arg-type]
    arriving.put_nowait({"type": "http.disconnect"})
    await request

    assert answers == []
    assert receiver.counters == Counters(received=1, hung=1)


# ── HTTP ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_body_beyond_the_limit_is_refused_unread() -> None:
    receiver = bellamy()

    async with client_of({"/bellamy": receiver}) as client:
        reply = await client.post("/bellamy", content=b"x" * (BODY_BYTES_MAX + 1))

    assert reply.status_code == 413
    assert receiver.counters == Counters()


async def test_a_sender_that_leaves_early_is_not_counted() -> None:
    receiver = bellamy()
    arriving: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    arriving.put_nowait({"type": "http.request", "body": b"{", "more_body": True})
    arriving.put_nowait({"type": "http.disconnect"})
    scope = {"type": "http", "method": "POST", "path": "/bellamy", "headers": []}

    async def send(message: object) -> None:
        raise AssertionError(message)

    await ReceiverApp({"/bellamy": receiver})(scope, arriving.get, send)  # type: ignore[arg-type]

    assert receiver.counters == Counters()


async def test_counters_and_health_can_be_read_over_http() -> None:
    async with client_of({"/bellamy": bellamy()}) as client:
        counters = json.loads((await client.get("/")).text)
        health = await client.get("/healthz")

    assert counters == {
        "/bellamy": {
            "received": 0,
            "accepted": 0,
            "duplicates": 0,
            "rejected": 0,
            "failed": 0,
            "hung": 0,
            "last_fault": "",
        }
    }
    assert health.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/nobody", 404), ("PUT", "/bellamy", 405), ("GET", "/bellamy", 404)],
)
async def test_other_paths_and_methods_are_answered_plainly(method: str, path: str, status: int) -> None:
    async with client_of({"/bellamy": bellamy()}) as client:
        reply = await client.request(method, path)

    assert reply.status_code == status


# ── by itself ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "behaviour"),
    [
        ("sound", Sound()),
        ("down", Down()),
        ("hanging", Hanging()),
        ("flaky:3", Flaky(every=3)),
        ("flaky:3:2", Flaky(every=3, seed=2)),
    ],
)
def test_a_behaviour_is_read_from_text(text: str, behaviour: Behaviour) -> None:
    assert parse_behaviour(text) == behaviour


@pytest.mark.parametrize("text", ["", "flaky", "flaky:x", "flaky:3:x", "slow", "down:1"])
def test_a_behaviour_that_does_not_exist_is_refused_with_those_that_do(text: str) -> None:
    with pytest.raises(ValueError, match="there are sound, flaky:3"):
        parse_behaviour(text)


def test_a_flaky_receiver_needs_a_number_from_one_up() -> None:
    with pytest.raises(ValueError, match="give a number from 1 up"):
        parse_behaviour("flaky:0")


def test_each_secret_in_the_environment_makes_a_receiver() -> None:
    receivers = receivers_from(
        {"RECEIVER_SECRET_WEBHOOKS_V1": TEXT, "RECEIVER_SECRET_BELLAMY": TEXT, "PATH": "/bin"},
        {"bellamy": Flaky(every=3)},
    )

    assert receivers["/bellamy"] == bellamy(Flaky(every=3))
    assert receivers["/webhooks-v1"] == Receiver(guide="webhooks-v1", secret=TEXT)
    assert TEXT not in repr(receivers)


def test_no_secret_at_all_is_refused_with_the_variables_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--port", "1"])

    assert "set one of RECEIVER_SECRET_NETWORKED" in capsys.readouterr().err


def test_a_behaviour_without_its_receiver_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no receiver 'notify' to behave so"):
        receivers_from({"RECEIVER_SECRET_BELLAMY": TEXT}, {"notify": Down()})
