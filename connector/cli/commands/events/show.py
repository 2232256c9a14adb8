"""``events show``: one event type, its schema and a sample."""

from __future__ import annotations

import argparse
import json

from connector.cli.exits import CommandFailed, Exit
from connector.cli.printing import add_json_flag, print_json, print_table

HELP = "one event type: schema and sample"

EPILOGUE = """\
example:
  webhook-connector events show post.created --json

exit codes: 0 done, 2 there is no such event type
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOGUE
    parser.add_argument("type", metavar="TYPE", help="such as post.created")
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    from connector.declared.explain import nearest
    from schemas import event_types, sample, schema_text

    name = args.type
    types = {each.name: each for each in event_types()}
    if name not in types:
        raise CommandFailed(Exit.USAGE, f"the catalogue has no event type {name!r}{nearest(name, types)}")
    event_type, one, schema = types[name], sample(name), json.loads(schema_text(name))
    if args.json:
        print_json(
            {
                "type": name,
                "domain": event_type.domain,
                "guides": event_type.guides,
                "doc": event_type.doc,
                "schema": schema,
                "sample": {"key": one.key, "value": one.value, "data": one.data},
            }
        )
        return Exit.OK
    print(f"{name}: {event_type.doc}")
    print(f"Published by: {', '.join(event_type.guides)}\n")
    members = [(field["name"], _kind(field["type"]), field.get("doc", "")) for field in schema["fields"]]
    print_table(("MEMBER", "KIND", "MEANING"), members)
    print(f"\nA sample record's key: {one.key}\nIts data, as partners get it:")
    print_json(one.data)
    return Exit.OK


def _kind(avro: object) -> str:
    """An Avro type in a word or two."""
    match avro:
        case list():
            return " or ".join(_kind(branch) for branch in avro)
        case {"logicalType": str(logical)}:
            return logical
        case {"type": "array", "items": items}:
            return f"array of {_kind(items)}"
        case {"type": "map", "values": values}:
            return f"map of {_kind(values)}"
        case {"name": str(name)}:
            return name
        case {"type": inner}:
            return _kind(inner)
    return str(avro)
