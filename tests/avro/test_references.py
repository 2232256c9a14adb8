"""Schemas that refer to others become one text."""

from __future__ import annotations

import json
from typing import Any

import fastavro

from connector.avro.references import inline
from connector.core.event import Poison


def whole(schema: Any, *referred: Any) -> Any:
    text = inline(json.dumps(schema), [json.dumps(each) for each in referred])
    assert isinstance(text, str)
    return json.loads(text)


MONEY = {"type": "record", "name": "Money", "namespace": "common", "fields": [{"name": "n", "type": "long"}]}


def test_a_type_is_written_out_where_it_is_first_named() -> None:
    order = {
        "type": "record",
        "name": "Order",
        "namespace": "shop",
        "fields": [
            {"name": "total", "type": "common.Money"},
            {"name": "tip", "type": ["null", "common.Money"], "default": None},
        ],
    }

    result = whole(order, MONEY)

    assert result["fields"][0]["type"] == MONEY
    assert result["fields"][1]["type"] == ["null", "common.Money"]
    parsed: Any = fastavro.parse_schema(result)
    assert parsed["name"] == "shop.Order"


def test_a_name_without_namespace_is_looked_for_in_its_surroundings() -> None:
    wallet = {
        "type": "record",
        "name": "Wallet",
        "namespace": "common",
        "fields": [{"name": "all", "type": {"type": "array", "items": "Money"}}],
    }

    result = whole(wallet, MONEY)

    assert result["fields"][0]["type"]["items"] == MONEY


def test_a_type_without_namespace_keeps_having_none() -> None:
    order = {
        "type": "record",
        "name": "Order",
        "namespace": "shop",
        "fields": [{"name": "flag", "type": {"type": "map", "values": "Flag"}}],
    }

    result = whole(order, {"type": "enum", "name": "Flag", "symbols": ["on"]})

    assert result["fields"][0]["type"]["values"]["namespace"] == ""


def test_a_type_that_is_named_only_inside_another_is_found() -> None:
    payment = {
        "type": "record",
        "name": "Payment",
        "namespace": "common",
        "fields": [{"name": "money", "type": "Money"}],
    }

    result = whole(["null", "common.Payment"], MONEY, payment)

    assert result[1]["fields"][0]["type"] == MONEY


def test_a_type_that_names_itself_is_written_out_once() -> None:
    node = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}

    result = whole("Node", node)

    assert result["fields"][0]["type"] == ["null", "Node"]


def test_a_type_that_the_schema_defines_itself_is_not_written_out_again() -> None:
    pair = {
        "type": "record",
        "name": "Pair",
        "fields": [{"name": "a", "type": MONEY}, {"name": "b", "type": "common.Money"}],
    }

    result = whole(pair, MONEY)

    assert result == pair


def test_what_is_not_a_schema_is_left_for_the_compiler_to_judge() -> None:
    odd = {"type": "record", "name": "Odd", "fields": [7, {"name": "x"}]}

    assert whole(odd, MONEY) == odd


def test_a_text_that_is_not_json_is_poison() -> None:
    assert inline('"F"', ["{"]) == Poison(
        "bad-schema", "The schema, or one that it refers to, is not JSON."
    )


def test_a_schema_that_nests_too_deep_is_poison() -> None:
    schema: Any = "common.Money"
    for _ in range(65):
        schema = {"type": "array", "items": schema}

    result = inline(json.dumps(schema), [json.dumps(MONEY)])

    assert result == Poison("bad-schema", "The schema, with those it refers to, nests over 64 levels.")
