"""``topics list``: what is read and in which format, and the connector's own topics with their roles."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from connector.cli.commands.topics._overview import add_flags, answer, overview_of
from connector.cli.exits import Exit
from connector.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from connector.app.topic_overview import OwnTopic, SourceTopic, TopicOverview

HELP = "show the topics that are read and the connector's own"

DESCRIPTION = """\
Shows which topics the settings mean as the cluster is now, and which topics of its own the connector needs
for the subscriptions: one retry tier for each delay of a ladder, parked deliveries, dead letters and state.
"""

EPILOGUE = """\
examples:
  webhook-connector topics list --config settings.yaml
  webhook-connector topics list --bootstrap-servers kafka:9092 --topic post.created --json

exit codes:
  0   shown
  1   the subscriptions file is not sound, so nobody knows which tiers are needed
  2   the command line or the settings cannot be used
  3   Kafka did not answer
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EPILOGUE
    add_flags(parser)


def run(args: argparse.Namespace) -> int:
    sources, own = answer(_look(overview_of(args)))
    if args.json:
        print_json({"sources": sources, "own": own})
        return Exit.OK
    rows = [(each.name, str(each.partitions), each.format, each.id, each.absence) for each in sources]
    print_table(("SOURCE", "PARTITIONS", "FORMAT", "ID", ""), rows)
    print()
    own_rows = [(each.name, str(each.partitions), each.role, _delay(each), _state(each)) for each in own]
    print_table(("OWN", "PARTITIONS", "ROLE", "DELAY", ""), own_rows)
    return Exit.OK


async def _look(overview: TopicOverview) -> tuple[list[SourceTopic], list[OwnTopic]]:
    return await overview.sources(), await overview.own()


def _delay(topic: OwnTopic) -> str:
    from connector.core.units import format_duration_ms

    return format_duration_ms(topic.delay_ms) if topic.delay_ms else ""


def _state(topic: OwnTopic) -> str:
    return topic.absence or ("" if topic.is_needed else "no ladder uses it any more; it is still read")
