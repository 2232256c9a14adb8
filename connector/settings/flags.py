"""Settings on the command line: a flag of its own for what is set by hand most, ``--set`` for all others."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from connector.settings.load import Flag, load_settings
from connector.settings.model import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    name: str
    path: str
    help: str
    metavar: str = ""
    is_list: bool = False

    @property
    def dest(self) -> str:
        return f"set:{self.path}"


_NAMED = (
    _Named(
        name="--bootstrap-servers",
        path="kafka.bootstrap_servers",
        metavar="HOST:PORT,…",
        help="Kafka brokers",
    ),
    _Named(name="--registry-url", path="registry.urls", metavar="URL", help="schema registry", is_list=True),
    _Named(name="--group", path="group", metavar="NAME", help="consumer group"),
    _Named(name="--prefix", path="prefix", metavar="NAME", help="begins the connector's own topics"),
    _Named(
        name="--topic", path="topics", metavar="NAME", help="a topic to read (may be repeated)", is_list=True
    ),
    _Named(
        name="--start",
        path="start",
        metavar="WHERE",
        help="where a topic never read before is begun: earliest, latest or a time",
    ),
    _Named(name="--subscriptions", path="subscriptions_file", metavar="FILE", help="the subscriptions file"),
    _Named(name="--allow-shrink", path="allow_shrink", help="take a file that drops most subscriptions"),
    _Named(
        name="--allow-single-replica",
        path="own_topics.allow_single_replica",
        help="accept own topics on fewer than 3 replicas",
    ),
    _Named(name="--allow-http", path="guard.allow_http", help="accept http:// endpoints"),
    _Named(
        name="--allow-network",
        path="guard.allow_networks",
        metavar="CIDR",
        help="a network that may be sent to although it is not public (may be repeated)",
        is_list=True,
    ),
    _Named(name="--http-port", path="http.port", metavar="PORT", help="serves probes and metrics"),
    _Named(name="--log-format", path="log.format", metavar="FORMAT", help="json or console"),
    _Named(name="--log-level", path="log.level", metavar="LEVEL", help="debug, info, warning or error"),
)


def add_settings_flags(parser: argparse.ArgumentParser) -> None:
    """Give a command the flags that :func:`settings_from` reads."""
    group = parser.add_argument_group(
        "settings",
        "Flags come before the environment (WEBHOOK_CONNECTOR_…), which comes before the settings file.",
    )
    group.add_argument("--config", metavar="FILE", type=Path, help="the settings file (YAML)")
    group.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="set",
        type=_assignment,
        help="any setting by its name in the file, such as delivery.in_flight_max=512 (may be repeated)",
    )
    for named in _NAMED:
        if named.is_list:
            group.add_argument(
                named.name, dest=named.dest, metavar=named.metavar, action="append", help=named.help
            )
        elif named.metavar:
            group.add_argument(named.name, dest=named.dest, metavar=named.metavar, help=named.help)
        else:
            group.add_argument(
                named.name, dest=named.dest, action="store_true", default=None, help=named.help
            )


def settings_from(args: argparse.Namespace, *, needs: Sequence[str] = ()) -> Settings:
    """The settings of a command that has these flags. Raises :class:`SettingsError`."""
    given = [
        Flag(name=named.name, path=named.path, value=value)
        for named in _NAMED
        if (value := getattr(args, named.dest)) is not None
    ]
    given += [Flag(name=f"--set {path}", path=path, value=value) for path, value in args.set]
    return load_settings(given, config_file=args.config, needs=needs)


def _assignment(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
