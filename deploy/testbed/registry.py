"""A schema registry on this machine that speaks Confluent's API: Apicurio Registry.

Schemas are stored in a file, so their ids outlive a kill and a restart.
"""

from __future__ import annotations

import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from deploy.testbed.fetch import registry_home
from deploy.testbed.guard import Guard
from deploy.testbed.java import java_command, java_environment
from deploy.testbed.ports import free_port
from deploy.testbed.process import Process
from deploy.testbed.startup_cache import startup_options

_HEAP_MB_MAX = 384


class Registry:
    """One registry. Use it as a context manager, or pair :meth:`start` with :meth:`end`.

    It keeps its port and its schemas while it is down.
    """

    def __init__(self, *, java_options: Sequence[str] | None = None) -> None:
        """``java_options`` replace those that make it start quicker."""
        home = registry_home()
        if java_options is None:
            java_options = quick_registry_options()
        self.port = free_port()
        self._management_port = free_port()
        folder = Path(tempfile.mkdtemp(prefix="testbed-registry-"))
        options = ["-XX:TieredStopAtLevel=1", *java_options]
        self._guard = Guard(folder)
        self._process = Process(
            name="the schema registry",
            command=[
                *java_command(folder=folder, heap_mb_max=_HEAP_MB_MAX, options=options),
                "-Dquarkus.http.host=127.0.0.1",
                f"-Dquarkus.http.port={self.port}",
                "-Dquarkus.management.host=127.0.0.1",
                f"-Dquarkus.management.port={self._management_port}",
                f"-Dapicurio.datasource.url=jdbc:h2:file:{folder}/schemas;WRITE_DELAY=0",
                "-jar",
                str(home / "quarkus-run.jar"),
            ],
            environment=java_environment(),
            log=folder / "registry.log",
            guard=self._guard,
            is_ready=lambda _logged: self._is_healthy(),
        )

    @property
    def url(self) -> str:
        """Base of the Confluent API: what a client is configured with."""
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    @property
    def is_running(self) -> bool:
        return self._process.is_running

    def start(self) -> None:
        """Start, with the schemas it had, and return when it answers."""
        self._process.start()

    def stop(self) -> None:
        """End in good order; :meth:`start` brings it back."""
        self._process.stop()

    def kill(self) -> None:
        """End as by a power cut; :meth:`start` brings it back."""
        self._process.kill()

    def pause(self) -> None:
        """Freeze: connections are taken and nothing answers."""
        self._process.pause()

    def resume(self) -> None:
        self._process.resume()

    def mend(self) -> None:
        """Running again, whatever was done to it."""
        self._process.mend()

    def end(self) -> None:
        """End for good and remove what it stored."""
        self._process.kill()
        self._guard.end()

    def __enter__(self) -> Registry:
        try:
            self.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _is_healthy(self) -> bool:
        address = f"http://127.0.0.1:{self._management_port}/health/ready"
        try:
            with urllib.request.urlopen(address, timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False


def quick_registry_options() -> list[str]:
    """Java options that make it start quicker; found by a start of its own the first time."""
    return startup_options(registry_home(), _rehearse)


def _rehearse(options: list[str]) -> None:
    with Registry(java_options=options) as registry:
        registry.stop()
