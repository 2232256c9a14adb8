"""What goes wrong in the polling thread: told to an operator, and tried again.

Trouble that lasts is told once a look and tried again every second. A fatal one ends the member, and so
does a fault of our own: it is never gone on from, since the call that failed may have thrown away what
it had fetched.
"""

from __future__ import annotations

import time

from confluent_kafka import KafkaError, KafkaException

from connector.kafka.access import LOGGER, Access
from connector.kafka.errors import Complain, KafkaTrouble, error_of, is_out_of_reach, words

RETRY_S = 1.0


class Troubles:
    """Of one member; used by its polling thread only. ``tell`` takes a fault to the engine. ``is_over``
    once a fatal one was told."""

    def __init__(self, *, tell: Complain, access: Access, group: str, tell_every_ms: int) -> None:
        self._tell = tell
        self._access = access
        self._group = group
        self._tell_every_s = tell_every_ms / 1000
        self._told = ""
        self._tell_again_at_s = 0.0
        self._try_at_s = float("inf")
        self.is_over = False

    # ── telling ─────────────────────────────────────────────────────────────────────────────────

    def complain(self, what: str, *, is_fatal: bool = False) -> None:
        """Tell what an operator must know; a fatal one ends this member."""
        self._tell(what, is_fatal=is_fatal)
        self.is_over = self.is_over or is_fatal

    def complain_of(self, error: KafkaError, where: str = "") -> None:
        """Tell what the client reports by itself."""
        is_fatal = error.fatal() or error.code() == KafkaError._FATAL
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            self.complain(f"group {self._group} may not be joined by this user: grant READ on it")
        elif is_fatal or not is_out_of_reach(error):
            self.complain(where + self.words(error), is_fatal=is_fatal)

    def end(self, error: Exception) -> None:
        """The polling thread failed: the member ends."""
        if isinstance(error, KafkaException):
            self.complain(self.words(error_of(error)), is_fatal=True)
        else:
            LOGGER.exception("a fault in the polling thread")
            self.complain(f"a fault in the polling thread: {error!r}", is_fatal=True)

    def words(self, error: KafkaError) -> str:
        """``error`` for people, without secrets."""
        return self._access.redact(words(error))

    # ── trying again ────────────────────────────────────────────────────────────────────────────

    def meet(self, trouble: KafkaTrouble) -> None:
        """Told once a look while it lasts, but what failed is tried again every second."""
        now_s = time.monotonic()
        if trouble.is_fatal or trouble.what != self._told or now_s >= self._tell_again_at_s:
            self._told = trouble.what
            self._tell_again_at_s = now_s + self._tell_every_s
            self.complain(trouble.what, is_fatal=trouble.is_fatal)
        self.try_soon()

    def try_soon(self) -> None:
        self._try_at_s = min(self._try_at_s, time.monotonic() + RETRY_S)

    def try_now(self) -> None:
        """At the next turn: something is new."""
        self._try_at_s = time.monotonic()

    def is_time_to_try(self) -> bool:
        """Whether something is to be tried in this turn; once true, false until it is asked for again."""
        if time.monotonic() < self._try_at_s:
            return False
        self._try_at_s = float("inf")
        return True
