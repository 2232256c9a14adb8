"""``webhook-connector demo``: the main job, shown on this machine in half a minute."""

from __future__ import annotations

import argparse
from pathlib import Path

from connector.cli.exits import CommandFailed, Exit
from connector.settings.load import Flag, load_settings

HELP = "show the main job on this machine, in half a minute"

DESCRIPTION = """\
Fills the domain topics of five webhook guides with Avro records, delivers them to receivers that verify
every signature, and shows what happens: one receiver is flaky, one is down, one hangs. Retries come after
seconds instead of hours. Ends by itself with a summary; exits 0 only if nothing was lost, every signature
verified and the books add up.

Without --bootstrap-servers it runs on the small cluster built into the Kafka client, inside this process.
"""

EPILOGUE = """\
example:
  webhook-connector demo
  webhook-connector demo --bootstrap-servers localhost:9092
  webhook-connector demo --seed-only --bootstrap-servers kafka:9092 --registry-url http://registry:8081
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EPILOGUE
    parser.add_argument(
        "--bootstrap-servers",
        metavar="HOST:PORT,…",
        help="a real Kafka; topics and groups get names of their own and are removed afterwards",
    )
    parser.add_argument(
        "--registry-url",
        metavar="URL",
        help="a real schema registry for it, which keeps the schemas as webhook-connector-demo.*; the demo "
        "brings its own otherwise",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="a settings file: how to reach Kafka and the registry is taken from it, and nothing else",
    )
    parser.add_argument(
        "--keep-topics", action="store_true", help="leave the topics on the real Kafka, to look at"
    )
    parser.add_argument(
        "--seed-only",
        action="store_true",
        help="only create the domain topics, under their plain names, and fill those that are empty",
    )


def run(args: argparse.Namespace) -> int:
    from connector.demo.failed import DemoFailed
    from connector.demo.program import run_demo, run_seed

    needs = ["kafka.bootstrap_servers", *(["registry.urls"] if args.seed_only else [])]
    reach = None
    if args.seed_only or args.bootstrap_servers is not None or args.config is not None:
        reach = load_settings(_flags(args), config_file=args.config, needs=needs)
    elif args.registry_url is not None or args.keep_topics:
        text = "--registry-url and --keep-topics go with a real Kafka: give --bootstrap-servers too"
        raise CommandFailed(Exit.USAGE, text)
    try:
        if args.seed_only:
            assert reach is not None  # loaded above
            run_seed(reach)
            return Exit.OK
        return Exit.OK if run_demo(reach, keep_topics=args.keep_topics) else Exit.PROBLEMS
    except DemoFailed as failure:
        raise CommandFailed(Exit.UNREACHABLE, str(failure)) from None


def _flags(args: argparse.Namespace) -> list[Flag]:
    flags = []
    if args.bootstrap_servers is not None:
        flags.append(
            Flag(name="--bootstrap-servers", path="kafka.bootstrap_servers", value=args.bootstrap_servers)
        )
    if args.registry_url is not None:
        flags.append(Flag(name="--registry-url", path="registry.urls", value=[args.registry_url]))
    return flags
