"""What every registry must do for our client: one suite, run over the fake and the real one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest

import schemas
from connector.avro.decoder import TopicDecoders
from connector.avro.registry import RegistrationFailed, SchemaRegistry
from connector.avro.registry_http import RegistrySettings
from connector.core.event import Event, NeedsSchema
from connector.engine.ports import SchemaReady, SchemaUnknown, SchemaUnreachable
from tests.support.avro_records import avro_bytes, framed, record, sample_data, sample_framed
from tests.support.names import Names


class RegistryContract:
    """Subclasses give the fixture ``registry_url``."""

    @pytest.fixture
    async def client(self, registry_url: str) -> AsyncIterator[SchemaRegistry]:
        client = SchemaRegistry(RegistrySettings(urls=(registry_url,), retry_pause_ms=0))
        yield client
        await client.close()

    async def test_a_registered_schema_is_at_hand_after_one_fetch(
        self, client: SchemaRegistry, names: Names
    ) -> None:
        text = schemas.schema_text("post.created")
        schema_id = await client.register(f"{names.stem}-value", text)

        before = client.schema(schema_id)
        answer = await client.fetch(schema_id)
        after = client.schema(schema_id)

        assert before is None
        assert answer == SchemaReady()
        assert isinstance(after, str)
        assert [field["name"] for field in json.loads(after)["fields"]] == [
            "id", "content", "authorId", "title", "user_id", "feed_id"
        ]  # fmt: skip

    async def test_the_same_schema_has_the_same_id(self, client: SchemaRegistry, names: Names) -> None:
        text = schemas.schema_text("post.updated")

        first = await client.register(f"{names.stem}-value", text)
        second = await client.register(f"{names.stem}-value", text)

        assert first == second

    async def test_an_id_that_does_not_exist_is_unknown(self, client: SchemaRegistry) -> None:
        answer = await client.fetch(2_000_000_000)

        assert isinstance(answer, SchemaUnknown)
        assert "40403" in answer.detail

    async def test_subjects_are_listed(self, client: SchemaRegistry, names: Names) -> None:
        await client.register(f"{names.stem}-value", schemas.schema_text("post.deleted"))

        subjects = await client.subjects()

        assert isinstance(subjects, tuple)
        assert f"{names.stem}-value" in subjects

    async def test_a_text_that_is_no_schema_is_not_taken(
        self, client: SchemaRegistry, names: Names
    ) -> None:
        with pytest.raises(RegistrationFailed, match="42201"):
            await client.register(f"{names.stem}-value", '{"type": "wreckord"}')

    async def test_a_wrong_base_path_is_unreachable_and_not_unknown(self, registry_url: str) -> None:
        client = SchemaRegistry(RegistrySettings(urls=(registry_url + "/nowhere",), retry_pause_ms=0))

        answer = await client.fetch(1)
        subjects = await client.subjects()
        await client.close()

        assert isinstance(answer, SchemaUnreachable)
        assert isinstance(subjects, SchemaUnreachable)

    async def test_a_schema_that_refers_to_another_is_made_whole(
        self, client: SchemaRegistry, registry_url: str, names: Names
    ) -> None:
        space = names.stem.replace("-", "_")
        money = {
            "type": "record", "name": "Money", "namespace": f"{space}.common",
            "fields": [{"name": "amount", "type": "long"}, {"name": "currency", "type": "string"}],
        }  # fmt: skip
        order = {
            "type": "record", "name": "Order", "namespace": f"{space}.shop",
            "fields": [
                {"name": "total", "type": f"{space}.common.Money"},
                {"name": "discount", "type": ["null", f"{space}.common.Money"], "default": None},
            ],
        }  # fmt: skip
        await client.register(f"{names.stem}-money", json.dumps(money))
        async with httpx.AsyncClient() as http:
            posted = await http.post(
                f"{registry_url}/subjects/{names.stem}-order/versions",
                json={
                    "schema": json.dumps(order),
                    "references": [
                        {"name": f"{space}.common.Money", "subject": f"{names.stem}-money", "version": 1}
                    ],
                },
            )
        schema_id = posted.json()["id"]

        answer = await client.fetch(schema_id)
        text = client.schema(schema_id)

        assert answer == SchemaReady()
        assert isinstance(text, str)
        value = {"total": {"amount": 5, "currency": "EUR"}, "discount": None}
        assert avro_bytes(text, value) == b"\x0a\x06EUR\x00"

    async def test_a_framed_record_becomes_its_event(self, client: SchemaRegistry, names: Names) -> None:
        decoders = TopicDecoders((), source_name="test", registry=client)
        schema_id = await client.register(f"{names.stem}-value", schemas.schema_text("user.registered"))
        read = record(sample_framed("user.registered", schema_id), topic="user.registered")

        first = decoders.decode(read)
        answer = await decoders.fetch(schema_id)
        second = decoders.decode(read)

        assert first == NeedsSchema(schema_id)
        assert answer == SchemaReady()
        assert isinstance(second, Event)
        assert second.data == sample_data("user.registered")

    async def test_a_framed_record_of_an_unknown_schema_waits_for_a_schema(
        self, client: SchemaRegistry
    ) -> None:
        decoders = TopicDecoders((), source_name="test", registry=client)
        read = record(framed(2_000_000_001, b"\x00"))

        first = decoders.decode(read)
        answer = await decoders.fetch(2_000_000_001)
        second = decoders.decode(read)

        assert first == second == NeedsSchema(2_000_000_001)
        assert isinstance(answer, SchemaUnknown)
