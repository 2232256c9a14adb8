"""The registry client against a registry that misbehaves, and what it remembers."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from connector.avro import registry as registry_module
from connector.avro.registry import (
    REFERENCES_MAX,
    SCHEMAS_MAX,
    UNKNOWN_MAX,
    RegistrationFailed,
    SchemaRegistry,
)
from connector.avro.registry_http import BadRegistrySettings, RegistrySettings
from connector.core.event import Poison
from connector.engine.ports import SchemaReady, SchemaUnknown, SchemaUnreachable
from tests.support.fake_registry import Behaviour, FakeRegistry
from tests.support.waiting import wait_until


@pytest.fixture
async def server() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry() as server:
        yield server


class Clock:
    def __init__(self) -> None:
        self.monotonic_ms = 1_000_000

    def __call__(self) -> int:
        return self.monotonic_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(server: FakeRegistry, clock: Clock) -> AsyncIterator[SchemaRegistry]:
    client = SchemaRegistry(
        RegistrySettings(urls=(server.url,), timeout_ms=2_000, retry_pause_ms=0), monotonic_ms=clock
    )
    yield client
    await client.close()


def opened(*urls: str, timeout_ms: int = 2_000, **settings: str) -> SchemaRegistry:
    return SchemaRegistry(
        RegistrySettings(urls=urls, timeout_ms=timeout_ms, retry_pause_ms=0, **settings)
    )


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("plain-404", "404 without JSON"),
        ("other-404", "404 with error_code 404"),
        ("500", "answered 500"),
        ("401", "401 with error_code 401"),
        ("not-http", "RemoteProtocolError"),
        ("html", "200 without JSON"),
        ("wrong-shape", "200 is no usable answer"),
        ("huge", "over 4194304 bytes"),
        ("compressed", "compressed though not asked to"),
        ("redirect", "answered 302"),
        ("cut", "RemoteProtocolError"),
    ],
)
async def test_every_answer_but_the_registrys_own_not_found_is_unreachable(
    server: FakeRegistry, client: SchemaRegistry, behaviour: Behaviour, said: str
) -> None:
    server.behaviour = behaviour

    answer = await client.fetch(1)

    assert isinstance(answer, SchemaUnreachable)
    assert said in answer.detail


@pytest.mark.parametrize("behaviour", ["hang", "trickle"])
async def test_a_registry_that_does_not_finish_is_given_up_at_the_deadline(
    server: FakeRegistry, behaviour: Behaviour
) -> None:
    server.behaviour = behaviour
    client = opened(server.url, timeout_ms=100)

    answer = await client.fetch(1)
    await client.close()

    assert isinstance(answer, SchemaUnreachable)
    assert "no answer within 0.1 s" in answer.detail
    assert len(server.requests) == 1


async def test_a_refused_connection_is_unreachable(server: FakeRegistry, client: SchemaRegistry) -> None:
    await server.stop()

    answer = await client.fetch(1)

    assert isinstance(answer, SchemaUnreachable)
    assert "ConnectError" in answer.detail


async def test_a_passing_fault_is_tried_three_times(server: FakeRegistry, client: SchemaRegistry) -> None:
    server.behaviour = "500"

    await client.fetch(1)

    assert server.requests == ["GET /schemas/ids/1"] * 3


async def test_an_unreachable_registry_is_asked_again_by_the_next_fetch(
    server: FakeRegistry, client: SchemaRegistry
) -> None:
    schema_id = server.add("s", '"int"')
    server.behaviour = "500"
    first = await client.fetch(schema_id)
    server.behaviour = "ok"

    second = await client.fetch(schema_id)

    assert isinstance(first, SchemaUnreachable)
    assert second == SchemaReady()


async def test_a_schema_is_fetched_once_for_ever(server: FakeRegistry, client: SchemaRegistry) -> None:
    schema_id = server.add("s", '"int"')
    await client.fetch(schema_id)
    await server.stop()

    again = await client.fetch(schema_id)

    assert again == SchemaReady()
    assert client.schema(schema_id) == '"int"'
    assert server.requests == ["GET /schemas/ids/1"]


async def test_callers_of_one_id_share_one_request(server: FakeRegistry, client: SchemaRegistry) -> None:
    schema_id = server.add("s", '"int"')

    answers = await asyncio.gather(*(client.fetch(schema_id) for _ in range(50)))

    assert answers == [SchemaReady()] * 50
    assert server.requests == ["GET /schemas/ids/1"]


async def test_a_cancelled_caller_leaves_the_request_to_the_others(
    server: FakeRegistry, client: SchemaRegistry
) -> None:
    schema_id = server.add("s", '"int"')
    server.held = asyncio.Event()
    impatient = asyncio.create_task(client.fetch(schema_id))
    patient = asyncio.create_task(client.fetch(schema_id))
    await asyncio.sleep(0)

    impatient.cancel()
    server.held.set()
    answer = await patient

    assert answer == SchemaReady()
    assert impatient.cancelled()
    assert server.requests == ["GET /schemas/ids/1"]


async def test_closing_gives_up_what_is_under_way(server: FakeRegistry) -> None:
    server.behaviour = "hang"
    client = opened(server.url, timeout_ms=60_000)
    waiting = asyncio.create_task(client.fetch(1))
    await asyncio.sleep(0)

    await client.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_unknown_id_is_not_asked_for_again_within_30_seconds(
    server: FakeRegistry, client: SchemaRegistry, clock: Clock
) -> None:
    first = await client.fetch(1)
    server.add("s", '"int"')
    clock.monotonic_ms += 29_999
    second = await client.fetch(1)
    clock.monotonic_ms += 1

    third = await client.fetch(1)

    assert isinstance(first, SchemaUnknown)
    assert second == first
    assert third == SchemaReady()
    assert server.requests == ["GET /schemas/ids/1"] * 2


async def test_schemas_are_forgotten_least_recently_used_first(
    server: FakeRegistry, client: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "SCHEMAS_MAX", 2)
    for text in ('"int"', '"long"', '"string"'):
        server.add("s", text)
    await client.fetch(1)
    await client.fetch(2)
    client.schema(1)

    await client.fetch(3)

    assert SCHEMAS_MAX == 10_000
    assert [client.schema(schema_id) for schema_id in (1, 2, 3)] == ['"int"', None, '"string"']


async def test_unknown_ids_are_forgotten_oldest_first(
    server: FakeRegistry, client: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "UNKNOWN_MAX", 2)
    for schema_id in (7, 8, 9):
        await client.fetch(schema_id)
    server.requests.clear()

    for schema_id in (9, 8, 7):
        await client.fetch(schema_id)

    assert UNKNOWN_MAX == 10_000
    assert server.requests == ["GET /schemas/ids/7"]


async def test_no_more_than_eight_requests_are_under_way(
    server: FakeRegistry, client: SchemaRegistry
) -> None:
    server.held = asyncio.Event()
    fetches = [asyncio.create_task(client.fetch(schema_id)) for schema_id in range(1, 21)]
    await asyncio.to_thread(wait_until, lambda: len(server.requests) == 8, "eight requests")

    under_way = len(server.requests)
    server.held.set()
    answers = await asyncio.gather(*fetches)

    assert under_way == 8
    assert [type(answer) for answer in answers] == [SchemaUnknown] * 20


async def test_the_next_url_is_asked_when_one_does_not_answer(server: FakeRegistry) -> None:
    async with FakeRegistry() as broken:
        broken.behaviour = "500"
        server.add("s", '"int"')
        client = opened(broken.url, server.url)

        answer = await client.fetch(1)
        await client.close()

        assert answer == SchemaReady()
        assert broken.requests == server.requests == ["GET /schemas/ids/1"]


async def test_the_url_that_answered_last_is_asked_first(server: FakeRegistry) -> None:
    async with FakeRegistry() as broken:
        broken.behaviour = "500"
        client = opened(broken.url, server.url)
        await client.fetch(1)

        await client.fetch(2)
        await client.close()

        assert broken.requests == ["GET /schemas/ids/1"]
        assert server.requests == ["GET /schemas/ids/1", "GET /schemas/ids/2"]


async def test_when_no_url_answers_each_is_named_with_its_fault(server: FakeRegistry) -> None:
    async with FakeRegistry() as other:
        server.behaviour, other.behaviour = "500", "html"
        client = opened(server.url, other.url)

        answer = await client.fetch(1)
        await client.close()

        assert answer == SchemaUnreachable(
            f"Schema registry {server.url}: it answered 500. "
            f"Schema registry {other.url}: it answered 200 without JSON."
        )


async def test_a_schema_of_another_kind_is_poison(server: FakeRegistry, client: SchemaRegistry) -> None:
    schema_id = server.add("s", 'syntax = "proto3";', schemaType="PROTOBUF")

    answer = await client.fetch(schema_id)

    assert answer == SchemaReady()
    assert client.schema(schema_id) == Poison("bad-schema", "Schema 1 is PROTOBUF, not AVRO.")


async def test_a_schema_with_too_many_references_is_poison(
    server: FakeRegistry, client: SchemaRegistry
) -> None:
    for number in range(REFERENCES_MAX + 1):
        fixed = {"type": "fixed", "name": f"F{number}", "size": 1}
        references = [{"name": f"F{number - 1}", "subject": f"f{number - 1}", "version": 1}]
        server.add(f"f{number}", json.dumps(fixed), references=references if number else [])
    last = [{"name": f"F{REFERENCES_MAX}", "subject": f"f{REFERENCES_MAX}", "version": 1}]
    schema_id = server.add("top", f'"F{REFERENCES_MAX}"', references=last)

    answer = await client.fetch(schema_id)

    assert answer == SchemaReady()
    assert client.schema(schema_id) == Poison("bad-schema", "Schema 102 refers to over 100 others.")


async def test_references_that_go_in_a_circle_end(server: FakeRegistry, client: SchemaRegistry) -> None:
    to_itself = [{"name": "F", "subject": "f", "version": 1}]
    schema_id = server.add("f", '{"type": "fixed", "name": "F", "size": 1}', references=to_itself)

    answer = await client.fetch(schema_id)

    assert answer == SchemaReady()
    assert server.requests == ["GET /schemas/ids/1", "GET /subjects/f/versions/1"]


async def test_a_reference_that_is_not_there_is_unreachable(
    server: FakeRegistry, client: SchemaRegistry
) -> None:
    schema_id = server.add("s", '"F"', references=[{"name": "F", "subject": "f/none", "version": 1}])
    server.subjects["f/none"] = [schema_id]
    server.schemas.append({"no": "schema"})
    server.subjects["f/none"] = [2]

    answer = await client.fetch(schema_id)

    assert answer == SchemaUnreachable("Schema registry: 200 is no usable answer for f/none version 1.")


async def test_a_user_name_and_password_are_sent(server: FakeRegistry) -> None:
    client = opened(server.url, username="ada", password="engine")

    await client.subjects()
    await client.close()

    assert server.credentials == "Basic YWRhOmVuZ2luZQ=="


async def test_a_bearer_token_is_sent(server: FakeRegistry) -> None:
    client = opened(server.url, bearer_token="abc.def")

    await client.subjects()
    await client.close()

    assert server.credentials == "Bearer abc.def"


async def test_subjects_of_a_registry_that_does_not_let_us_in_say_so(
    server: FakeRegistry, client: SchemaRegistry
) -> None:
    server.behaviour = "401"

    answer = await client.subjects()

    assert answer == SchemaUnreachable(
        "Schema registry: 401 with error_code 401 is no usable answer for the list of subjects."
    )


async def test_registering_at_a_registry_that_is_away_fails(
    server: FakeRegistry, client: SchemaRegistry
) -> None:
    await server.stop()

    with pytest.raises(RegistrationFailed, match="ConnectError"):
        await client.register("s", '"int"')


class TestTls:
    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    async def server(self, authority: trustme.CA) -> AsyncIterator[FakeRegistry]:
        """Asks for a client certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        async with FakeRegistry(tls=context) as server:
            yield server

    @pytest.fixture
    def ca_file(self, authority: trustme.CA, tmp_path: Path) -> str:
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        return str(tmp_path / "ca.pem")

    async def test_a_client_certificate_lets_us_in(
        self, server: FakeRegistry, authority: trustme.CA, ca_file: str, tmp_path: Path
    ) -> None:
        ours = authority.issue_cert("connector.example")
        ours.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        ours.private_key_pem.write_to_path(tmp_path / "key.pem")
        client = opened(
            server.url,
            ca_file=ca_file,
            client_certificate_file=str(tmp_path / "cert.pem"),
            client_key_file=str(tmp_path / "key.pem"),
        )

        answer = await client.subjects()
        await client.close()

        assert answer == ()

    async def test_without_one_the_registry_is_unreachable(self, server: FakeRegistry, ca_file: str) -> None:
        client = opened(server.url, ca_file=ca_file)

        answer = await client.subjects()
        await client.close()

        assert isinstance(answer, SchemaUnreachable)

    async def test_a_registry_of_an_authority_we_do_not_know_is_unreachable(
        self, server: FakeRegistry
    ) -> None:
        client = opened(server.url)

        answer = await client.subjects()
        await client.close()

        assert isinstance(answer, SchemaUnreachable)
        assert "CERTIFICATE_VERIFY_FAILED" in answer.detail


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (RegistrySettings(urls=()), "give at least one"),
        (RegistrySettings(urls=("registry:8081",)), "write it as http://host:port"),
        (RegistrySettings(urls=("http://",)), "write it as http://host:port"),
        (RegistrySettings(urls=("http://a b:c",)), "registry URL"),
        (RegistrySettings(urls=("http://ada:engine@r",)), "as settings, not in the URL"),
        (RegistrySettings(urls=("http://r/?x=1",)), "query"),
        (RegistrySettings(urls=("http://r",), username="a", bearer_token="t"), "not both"),
        (RegistrySettings(urls=("https://r",), ca_file="/no/such.pem"), "TLS files"),
        (RegistrySettings(urls=("https://r",), client_key_file="key.pem"), "needs its key"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: RegistrySettings, said: str) -> None:
    with pytest.raises(BadRegistrySettings, match=said):
        SchemaRegistry(settings)


def test_secrets_are_not_shown() -> None:
    settings = RegistrySettings(urls=("http://r",), username="ada", password="engine", bearer_token="abc")

    assert "engine" not in repr(settings)
    assert "abc" not in repr(settings)
