"""Everything a dialect sends is accepted by its guide's own receiver, in JavaScript and in Python.

The receivers under ``receivers/`` are users' code: they know nothing of the connector, and the README
prints them. The events are drawn with awkward texts, numbers and names, the same ones in every run.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from connector.core.composer import compile_composer
from connector.core.derive import derive
from connector.core.dialect import DIALECTS
from connector.core.event import Event
from connector.core.subscription import Secrets
from connector.webhook import ed25519
from tests.support.awkward_events import awkward_events
from tests.support.node_receivers import Request, ask_node

_RECEIVERS = Path(__file__).parent / "receivers"

TEXT = "whsec_abc123"
OTHER_TEXT = "your-webhook-secret"
STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_STANDARD = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
PRIVATE = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="


@dataclass(frozen=True, kw_only=True)
class Case:
    """One dialect as sent, and the receiver and secret it is checked with."""

    name: str
    dialect: str
    options: dict[str, Any] = field(default_factory=dict)
    secrets: Secrets
    receiver: str
    secret: str


def _single(dialect: str) -> Case:
    return Case(name=dialect, dialect=dialect, secrets=Secrets(current=TEXT), receiver=dialect, secret=TEXT)


CASES = [
    _single("networked"),
    _single("webhooks-v1"),
    _single("notify"),
    _single("bellamy"),
    _single("netasampark"),
    Case(
        name="standard-webhooks",
        dialect="standard-webhooks",
        secrets=Secrets(current=STANDARD),
        receiver="standard-webhooks",
        secret=STANDARD,
    ),
    Case(
        name="cloudevents",
        dialect="cloudevents",
        secrets=Secrets(current=STANDARD),
        receiver="cloudevents",
        secret=STANDARD,
    ),
    Case(
        name="cloudevents-binary",
        dialect="cloudevents",
        options={"mode": "binary"},
        secrets=Secrets(current=STANDARD),
        receiver="cloudevents",
        secret=STANDARD,
    ),
    Case(
        name="networked-number",
        dialect="networked",
        options={"timestamp": "number"},
        secrets=Secrets(current=TEXT),
        receiver="networked",
        secret=TEXT,
    ),
    Case(
        name="networked-signed-timestamp",
        dialect="networked",
        options={"signature": {"timestamp": "signed"}},
        secrets=Secrets(current=TEXT),
        receiver="networked-signed-timestamp",
        secret=TEXT,
    ),
    Case(
        name="bellamy-while-rotating-with-the-old-secret",
        dialect="bellamy",
        secrets=Secrets(current=OTHER_TEXT, previous=TEXT, sign_with="old"),
        receiver="bellamy",
        secret=TEXT,
    ),
    Case(
        name="netasampark-while-rotating-with-the-new-secret",
        dialect="netasampark",
        secrets=Secrets(current=TEXT, previous=OTHER_TEXT, sign_with="new"),
        receiver="netasampark",
        secret=TEXT,
    ),
    Case(
        name="standard-webhooks-while-rotating-seen-with-the-new-secret",
        dialect="standard-webhooks",
        secrets=Secrets(current=STANDARD, previous=OTHER_STANDARD),
        receiver="standard-webhooks",
        secret=STANDARD,
    ),
    Case(
        name="standard-webhooks-while-rotating-seen-with-the-old-secret",
        dialect="standard-webhooks",
        secrets=Secrets(current=OTHER_STANDARD, previous=STANDARD),
        receiver="standard-webhooks",
        secret=STANDARD,
    ),
]
ED25519 = Case(
    name="standard-webhooks-ed25519",
    dialect="standard-webhooks",
    secrets=Secrets(current=PRIVATE),
    receiver="standard-webhooks-ed25519",
    secret=PUBLIC,
)


def _sent(case: Case, events: list[Event]) -> list[Request]:
    dialect = derive(DIALECTS[case.dialect], **case.options)
    composer = compile_composer(dialect, case.secrets, sign_ed25519=ed25519.sign)
    requests = []
    for event in events:
        lines, body = composer.compose(event, int(time.time()))
        headers = {"content-type": composer.content_type}
        for line in lines.decode("ascii").removesuffix("\r\n").split("\r\n"):
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        requests.append(Request(receiver=case.receiver, headers=headers, body=body, secret=case.secret))
    return requests


def _python_receiver(name: str) -> ModuleType:
    path = _RECEIVERS / f"{name.replace('-', '_')}.py"
    spec = spec_from_file_location(f"receiver_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return awkward_events(seed=20_260_115, count=300)


def test_every_javascript_receiver_accepts_everything_sent(events: list[Event]) -> None:
    requests = [request for case in [*CASES, ED25519] for request in _sent(case, events)]

    answers = ask_node(requests)

    refused = [
        (request.receiver, answer, request.body)
        for request, answer in zip(requests, answers, strict=True)
        if answer["verified"] is not True
    ]
    assert refused == []


def test_javascript_writes_every_body_as_it_was_sent(events: list[Event]) -> None:
    requests = [request for case in CASES for request in _sent(case, events)]

    answers = ask_node(requests)

    changed = [
        request.body
        for request, answer in zip(requests, answers, strict=True)
        if answer["unchanged"] is not True
    ]
    assert changed == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_python_receiver_accepts_everything_sent(case: Case, events: list[Event]) -> None:
    receiver = _python_receiver(case.receiver)

    refused = [
        request
        for request in _sent(case, events)
        if not receiver.verify(request.headers, request.body, request.secret)
    ]

    assert refused == []


def test_the_signature_inside_a_bellamy_body_verifies_in_python(events: list[Event]) -> None:
    receiver = _python_receiver("bellamy")

    refused = [
        request.body
        for request in _sent(_single("bellamy"), events)
        if not receiver.verify_payload(request.body, TEXT)
    ]

    assert refused == []


def test_every_javascript_receiver_refuses_a_changed_body(events: list[Event]) -> None:
    requests = [request for case in [*CASES, ED25519] for request in _sent(case, events[:1])]
    forged = [
        Request(receiver=each.receiver, headers=each.headers, body=b'{"forged":1}', secret=each.secret)
        for each in requests
    ]

    answers = ask_node(forged)

    assert [answer["verified"] for answer in answers] == [False] * len(forged)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_python_receiver_refuses_a_changed_body(case: Case, events: list[Event]) -> None:
    receiver = _python_receiver(case.receiver)
    [request] = _sent(case, events[:1])

    assert not receiver.verify(request.headers, b'{"forged":1}', request.secret)


@pytest.mark.parametrize("options", [{}, {"mode": "binary"}], ids=["structured", "binary"])
def test_a_cloudevents_receiver_reads_the_same_event_in_both_languages(
    options: dict[str, Any], events: list[Event]
) -> None:
    case = Case(
        name="", dialect="cloudevents", options=options, secrets=Secrets(current=STANDARD),
        receiver="cloudevents", secret=STANDARD,
    )
    requests = _sent(case, events)
    receiver = _python_receiver("cloudevents")

    answers = ask_node(requests)

    for event, request, answer in zip(events, requests, answers, strict=True):
        read = receiver.read(request.headers, request.body)
        assert read["type"] == answer["event"]["type"] == event.type
        assert read["source"] == answer["event"]["source"] == event.source
        assert read["data"] == json.loads(event.data)
