"""A fast receiver in a process of its own that remembers every attempt: what proves that nothing is lost.

The process is :mod:`tests.support.receiver_process`; this is the handle a test holds. Being another
process it survives nothing of the test's own troubles, sees what really came over the wire, and takes
no processor time from the event loop that is measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

_PROGRAM = Path(__file__).with_name("receiver_process.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How a path answers.

    ``status`` after ``delay_ms``. The first ``fails_first`` attempts of an id get ``failure_status``
    instead, for ``fails_percent`` of the ids (always the same ones). ``retry_after`` goes with every
    answer from 300 on. ``hangs`` never answers; ``closes`` cuts the connection instead of answering, and
    what does not ``keep`` it ends it, in good order, after the answer.
    """

    status: int = 200
    delay_ms: int = 0
    fails_first: int = 0
    fails_percent: int = 100
    failure_status: int = 503
    retry_after: str = ""
    hangs: bool = False
    closes: bool = False
    keeps: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How the signatures of a path are checked: every ``every``-th request.

    ``body-hex`` is the hex HMAC of the body after ``prefix``, in ``header``.
    """

    secret: str
    scheme: Literal["standard-webhooks", "body-hex"] = "standard-webhooks"
    header: str = "webhook-signature"
    prefix: str = ""
    every: int = 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST: when it came (Unix ms), and the status it got: 0 for none, -1 for a cut connection."""

    at_ms: int
    status: int

    @property
    def is_accepted(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Seen:
    """All attempts of one id on one path. ``bodies_differ`` counts those whose body was not the first's."""

    attempts: tuple[Attempt, ...]
    bodies_differ: int

    @property
    def accepted(self) -> int:
        return sum(attempt.is_accepted for attempt in self.attempts)


@dataclass(frozen=True, slots=True)
class Counts:
    """One path in numbers: ``requests`` for so many ``ids``, of which so many were ``accepted`` at least
    once; ``checked`` signatures, of which ``bad_signatures`` did not verify."""

    requests: int
    ids: int
    accepted: int
    checked: int
    bad_signatures: int
    without_id: int


class Receiver:
    """A running receiver. Use it as a context manager; it ends with its owner in any case.

    ``port`` 0 asks the system for one. Every path exists and is sound until told otherwise.
    """

    def __init__(self, *, port: int = 0, host: str = "127.0.0.1") -> None:
        self._host = host
        self._process = subprocess.Popen(
            [sys.executable, str(_PROGRAM), host, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.port = int(self._answer())

    def url(self, path: str = "/") -> str:
        return f"http://{self._host}:{self.port}{path}"

    def behave(self, path: str, behaviour: Behaviour) -> None:
        """From now on; what is being answered is not touched."""
        self._ask(do="behave", path=path, behaviour=asdict(behaviour))

    def check(self, path: str, signature: Signature) -> None:
        """Check the signatures of this path from now on."""
        self._ask(do="check", path=path, signature=asdict(signature))

    def forget(self) -> None:
        """Forget every attempt; behaviours stay."""
        self._ask(do="forget")

    def counts(self, path: str) -> Counts:
        """Numbers of one path; cheap."""
        found = self._ask(do="counts").get(path)
        return Counts(**found) if found else Counts(0, 0, 0, 0, 0, 0)

    def requests(self) -> int:
        """POSTs so far, on all paths."""
        return sum(path["requests"] for path in self._ask(do="counts").values())

    def bad_signatures(self) -> int:
        """Signatures that did not verify, on all paths."""
        return sum(path["bad_signatures"] for path in self._ask(do="counts").values())

    def seen(self, path: str) -> dict[str, Seen]:
        """Everything one path has seen, by ``webhook-id``."""
        return self.all_seen().get(path, {})

    def all_seen(self) -> dict[str, dict[str, Seen]]:
        """Everything, by path and ``webhook-id``."""
        return {
            path: {
                id_: Seen(tuple(Attempt(at_ms, status) for at_ms, status in attempts), bodies_differ)
                for id_, (attempts, bodies_differ) in ids.items()
            }
            for path, ids in self._ask(do="seen").items()
        }

    def end(self) -> None:
        """End the process; open connections are cut."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _ask(self, **order: object) -> Any:  # whatever the order's answer is
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the receiver ended with {self._process.wait()}")
        return line
