"""The demo as a program: where it runs, where its log goes, how it ends."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from connector.app.adapters import registry_of
from connector.app.loop import run_on_loop
from connector.app.refusal import Refusal
from connector.avro.registry import RegistrationFailed
from connector.avro.registry_http import BadRegistrySettings
from connector.demo.cluster import BuiltInCluster, DemoCluster, RealCluster
from connector.demo.failed import DemoFailed
from connector.demo.scenario import Scenario, full_scenario
from connector.demo.seed import seed
from connector.demo.show import Outcome, perform
from connector.demo.stage import Run
from connector.demo.view.lines import LineScreen
from connector.demo.view.screen import screen_for
from connector.demo.view.summary import print_summary
from connector.engine.ports import Log
from connector.kafka.access import BadProperty
from connector.kafka.errors import KafkaTrouble
from connector.kafka.mock_cluster import MockUnavailable
from connector.settings import Settings
from connector.telemetry.logs import forward_stdlib, make_log

_TROUBLE = (BadProperty, BadRegistrySettings, MockUnavailable, Refusal, RegistrationFailed)
"""What else can be wrong around the demo; each says what, and most how to mend it."""


def run_demo(
    reach: Settings | None = None, *, keep_topics: bool = False, scenario: Scenario | None = None
) -> bool:
    """Show the demo on standard output; whether everything was as it should be.

    ``reach`` says how to get to a real Kafka, and to a registry if it names one; nothing else in it is
    used. Without it the demo runs on the built-in cluster. Raises
    :class:`~connector.demo.failed.DemoFailed`.
    """
    name = f"demo-{secrets.token_hex(3)}"
    console = Console()
    folder = _folder()
    with _log_in(folder) as log, _translated(reach):
        run = Run(
            name=name,
            cluster=_cluster(reach, name, keep_topics=keep_topics),
            registry=reach.registry if reach else None,
            scenario=scenario or full_scenario(),
            folder=folder,
        )
        outcome = run_on_loop(_shown(run, console, log))
    print_summary(console, outcome.picture, outcome.findings, folder)
    return outcome.is_good


def run_seed(reach: Settings) -> None:
    """Fill the domain topics of the Kafka that ``reach`` names, and say so on standard output. Raises
    :class:`~connector.demo.failed.DemoFailed`."""
    console = Console()
    with _translated(reach):
        count = run_on_loop(_seeded(reach, LineScreen(console)))
    said = f"{count} records written" if count else "there are records already: nothing is written"
    console.print(said, highlight=False)


# ── one run ─────────────────────────────────────────────────────────────────────────────────────


def _cluster(reach: Settings | None, name: str, *, keep_topics: bool) -> DemoCluster:
    if reach is None:
        return BuiltInCluster()
    return RealCluster(reach.kafka, topic_prefix=f"{name}.", keep_topics=keep_topics)


async def _shown(run: Run, console: Console, log: Log) -> Outcome:
    # SIGTERM ends it as Ctrl-C does: what was made on a real cluster is removed in any case.
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
    try:
        with screen_for(console) as screen:
            return await perform(run, screen=screen, log=log)
    finally:
        await asyncio.to_thread(_put_away, run.cluster, run.groups, log)


def _put_away(cluster: DemoCluster, groups: Sequence[str], log: Log) -> None:
    try:
        cluster.close(groups=groups)
    except KafkaTrouble as trouble:
        log.warning("the demo's topics are still there", why=trouble.what)


async def _seeded(reach: Settings, screen: LineScreen) -> int:
    registry = registry_of(reach)
    assert registry is not None  # asked for when the settings were loaded
    cluster = RealCluster(reach.kafka, topic_prefix="", keep_topics=True)
    try:
        return await seed(
            cluster,
            registry,
            full_scenario(),
            name=f"seed-{secrets.token_hex(3)}",
            progress=screen.preparing,
            faulted=screen.say,
        )
    finally:
        await registry.close()


# ── around it ───────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _translated(reach: Settings | None) -> Iterator[None]:
    """What is wrong around the demo, as :class:`DemoFailed`."""
    try:
        yield
    except KafkaTrouble as trouble:
        where = f"Kafka at {reach.kafka.bootstrap_servers}" if reach else "the built-in cluster"
        raise DemoFailed(f"{where}: {trouble}") from None
    except _TROUBLE as trouble:
        raise DemoFailed(str(trouble)) from None


@contextmanager
def _log_in(folder: Path) -> Iterator[Log]:
    """The connector's log, and what libraries log, in a file of ``folder``."""
    with (folder / "connector.log").open("ab", buffering=0) as stream:
        log = make_log(format="json", level="info", stream=stream)
        handler = forward_stdlib(log)
        try:
            yield log
        except DemoFailed as failure:
            raise DemoFailed(f"{failure}\nThe connector's log is in {folder}") from None
        finally:
            logging.getLogger().removeHandler(handler)


def _folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="webhook-connector-demo-"))
    except OSError as error:
        raise DemoFailed(f"there is no room for the demo's files: {error}; set TMPDIR") from None
