"""One server process: its own process group, its log in a file, ended by a guard if not by us."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy.testbed.errors import TestbedError
from deploy.testbed.guard import Guard

_POLL_S = 0.02
_LOG_LINES_SHOWN = 25


class Process:
    """A server that can be started, stopped, killed, frozen and started again.

    ``is_ready`` is asked until it says yes; it gets what the server logged since this start.
    """

    def __init__(
        self,
        *,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        guard: Guard,
        is_ready: Callable[[str], bool],
        ready_timeout_s: float = 60,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = dict(environment)
        self._guard = guard
        self._is_ready = is_ready
        self._ready_timeout_s = ready_timeout_s
        self._log_start = 0
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Number of the running process."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended; a frozen process runs."""
        return self._child is not None and self._child.poll() is None

    def launch(self) -> None:
        """Start without waiting until it is ready."""
        assert not self.is_running, f"{self.name} runs already"
        self._reap()
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        self._guard.watch(self._child.pid)

    def await_ready(self) -> None:
        """Return once it is ready; raises TestbedError with the end of its log if it never is."""
        deadline = time.monotonic() + self._ready_timeout_s
        while not self._is_ready(self._logged()):
            if not self.is_running:
                raise TestbedError(f"{self.name} ended while starting:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise TestbedError(
                    f"{self.name} was not ready after {self._ready_timeout_s:.0f} s:\n{self._log_tail()}"
                )
            time.sleep(_POLL_S)

    def start(self) -> None:
        """Start and wait until it is ready."""
        self.launch()
        self.await_ready()

    def stop(self, *, timeout_s: float = 120) -> None:
        """End in good order (SIGTERM). Nothing happens if it has already ended. The time is for a busy
        machine, and for a Java that writes a start-up cache last of all."""
        if not self.is_running:
            self._reap()
            return
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a frozen process takes the first signal only when it thaws
        try:
            self._running().wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TestbedError(
                f"{self.name} did not stop in {timeout_s:.0f} s:\n{self._log_tail()}"
            ) from error
        self._reap()

    def kill(self) -> None:
        """End at once (SIGKILL), as a power cut would; works on a frozen process too."""
        if self.is_running:
            self._signal(signal.SIGKILL)
        self._reap()

    def pause(self) -> None:
        """Freeze (SIGSTOP): connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after :meth:`pause`."""
        self._signal(signal.SIGCONT)

    def mend(self) -> None:
        """Running again, whatever was done to it; returns when it is ready."""
        if self.is_running:
            self.resume()
        else:
            self.launch()
        self.await_ready()

    def _signal(self, number: signal.Signals) -> None:
        os.killpg(self._running().pid, number)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._child is not None, f"{self.name} was never started"
        return self._child

    def _reap(self) -> None:
        if self._child is None:
            return
        self._child.wait()
        self._guard.forget(self._child.pid)
        self._child = None

    def _logged(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _log_tail(self) -> str:
        return "\n".join(self._logged().splitlines()[-_LOG_LINES_SHOWN:])
