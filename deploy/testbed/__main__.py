"""``python -m deploy.testbed``: the test bed for people and scripts.

``up`` keeps a cluster until Ctrl-C. ``run`` keeps one while a command runs and exits with the
command's code; ``{bootstrap}`` and ``{registry}`` in the command stand for the addresses.
``fetch`` only fills the cache, what Java learns in a first start included; ``fetched`` asks
whether everything is there that has to be fetched. ``relist`` writes
``jars.sha256`` anew after a change of versions.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from deploy.testbed.errors import TestbedError
from deploy.testbed.fetch import is_fetched, relist
from deploy.testbed.kafka import KafkaCluster, quick_kafka_options
from deploy.testbed.registry import Registry, quick_registry_options

_EXIT_FAILED = 1
_EXIT_INTERRUPTED = 130
_ENDING = (signal.SIGINT, signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks; the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        match chosen.action:
            case "fetch":
                quick_kafka_options()
                quick_registry_options()
                return 0
            case "fetched":
                return 0 if is_fetched() else _EXIT_FAILED
            case "relist":
                relist()
                return 0
            case "run":
                return _run(chosen.nodes, chosen.command, with_registry=chosen.registry)
            case _:
                return _up(chosen.nodes, with_registry=chosen.registry)
    except TestbedError as error:
        _say(str(error))
        return _EXIT_FAILED
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED


def _up(nodes: int, *, with_registry: bool) -> int:
    with _serving(nodes, with_registry=with_registry) as addresses:
        for name, address in addresses.items():
            sys.stdout.write(f"{name}: {address}\n")
        sys.stdout.flush()
        _say("Ctrl-C ends it and removes what it stored.")
        # Blocked first, so that a signal sent between here and the wait is not lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        signal.sigwait(_ENDING)
    return 0


def _run(nodes: int, command: Sequence[str], *, with_registry: bool) -> int:
    command = command[1:] if command[:1] == ["--"] else command
    if not command:
        raise TestbedError("run needs a command: python -m deploy.testbed run -- COMMAND …")
    with _serving(nodes, with_registry=with_registry) as addresses:
        filled = [_fill(word, addresses) for word in command]
        with subprocess.Popen(filled) as child:
            # The command decides what a signal means. Ctrl-C reaches it from the terminal itself.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, lambda number, _frame: child.send_signal(number))
            code = child.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _serving(nodes: int, *, with_registry: bool) -> Iterator[dict[str, str]]:
    """A cluster, and a registry if wanted; what to call them and where they are."""
    with ExitStack() as stack:
        _say(f"starting Apache Kafka ({nodes} node{'s' if nodes > 1 else ''}); the first time fetches it")
        cluster = stack.enter_context(KafkaCluster(nodes))
        addresses = {"bootstrap": cluster.bootstrap_servers}
        if with_registry:
            _say("starting the schema registry")
            addresses["registry"] = stack.enter_context(Registry()).url
        yield addresses


def _fill(word: str, addresses: dict[str, str]) -> str:
    for name, address in addresses.items():
        word = word.replace("{" + name + "}", address)
    return word


def _say(message: str) -> None:
    sys.stderr.write(f"testbed: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.testbed", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    cluster = argparse.ArgumentParser(add_help=False)
    cluster.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="Kafka nodes (default 1)")
    cluster.add_argument("--registry", action="store_true", help="start a schema registry too")
    actions.add_parser("up", parents=[cluster], help="keep a cluster until Ctrl-C")
    run = actions.add_parser("run", parents=[cluster], help="keep a cluster while a command runs")
    run.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND with {bootstrap}, {registry}")
    actions.add_parser("fetch", help="fill the cache")
    actions.add_parser("fetched", help="exit 0 if everything is fetched, so that Maven is not needed")
    actions.add_parser("relist", help="fetch anew and rewrite jars.sha256")
    return parser


if __name__ == "__main__":
    sys.exit(main())
