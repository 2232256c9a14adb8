"""Logs that changed under us: cut, overtaken by retention, or another topic of the same name.

The client's own reset is ``error``: it never moves by itself, and what it cannot read is decided by
:func:`~connector.core.start.after_reset`. It says so once and is then silent for ever, so what cannot be
decided yet stays here and is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from connector.core.start import BeyondEnd, MadeAnew, Overtaken, Readable, after_reset, cut, uncut
from connector.engine.ports import Reading, TopicPartition
from connector.kafka.bridge import Bridge
from connector.kafka.cluster import Cluster, TopicLook
from connector.kafka.epochs import Epochs
from connector.kafka.errors import KafkaTrouble
from connector.kafka.holdings import Holding, Holdings
from connector.kafka.opening import Opened, Opener
from connector.kafka.tools import tool_options
from connector.kafka.troubles import Troubles


class ChangedLogs:
    """Of one member; used by its polling thread only."""

    def __init__(
        self,
        *,
        holdings: Holdings,
        epochs: Epochs,
        opener: Opener,
        cluster: Cluster,
        group: str,
        troubles: Troubles,
        bridge: Bridge,
        reading: Reading,
    ) -> None:
        self._holdings = holdings
        self._epochs = epochs
        self._opener = opener
        self._cluster = cluster
        self._group = group
        self._troubles = troubles
        self._bridge = bridge
        self._reading = reading
        self._told: frozenset[TopicPartition] = frozenset()
        self._unreadable: dict[TopicPartition, bool] = {}  # whether the log was cut

    # ── noticing ────────────────────────────────────────────────────────────────────────────────

    def unreadable(self, tp: TopicPartition, *, is_cut: bool) -> None:
        """The client cannot read at our position. ``is_cut``: it found the log cut."""
        self._unreadable[tp] = is_cut
        self._troubles.try_now()

    def begun(self, opened: Sequence[Opened]) -> None:
        """These are read from now on, but for those whose log an earlier assignment found cut."""
        for one in opened:
            if one.place.cut_at is not None:
                self.unreadable(one.tp, is_cut=True)

    def looked(self, looks: Mapping[str, TopicLook]) -> None:
        """The topics as they are now: notice those made anew."""
        for held in self._holdings:
            found = looks.get(held.tp.topic)
            if found is not None and held.topic_id and found.id and held.topic_id != found.id:
                self._unreadable[held.tp] = False

    def regressed(self, tp: TopicPartition, offset: int) -> None:
        """An offset came that is not above the last one, and nothing of ours explains it: the log was
        cut or made anew. What was known of the old one must not be applied to it; and what was in hand of
        it, below ``offset`` too, is read again, since that work ends with its epoch. Should the log begin
        only later, the client says so next."""
        held = self._holdings.of(tp)
        assert held is not None, "only what is held can regress"
        self._epochs.renew(held, position=min(offset, held.settled))

    def forget(self, tp: TopicPartition) -> None:
        """It is ours no longer."""
        self._unreadable.pop(tp, None)

    # ── mending ─────────────────────────────────────────────────────────────────────────────────

    def mend(self) -> None:
        """Decide for each unreadable position; what cannot be decided, or waits for an operator, stays."""
        for tp, is_cut in list(self._unreadable.items()):
            held = self._holdings.of(tp)
            try:
                if held is None or self._mend(held, is_cut=is_cut):
                    del self._unreadable[tp]
            except KafkaTrouble as trouble:
                self._troubles.meet(trouble)
        holding = frozenset(held.tp for held in self._holdings if held.cut_at is not None)
        if holding != self._told:
            self._told = holding
            self._bridge.tell(partial(self._reading.holding, holding))

    def _mend(self, held: Holding, *, is_cut: bool) -> bool:
        """Whether the partition is read again."""
        tp = held.tp
        look = self._opener.look([tp.topic])[tp.topic]
        if look.absence:
            raise KafkaTrouble(look.complaint)
        log_start, log_end = self._cluster.log_range(tp)
        verdict = after_reset(
            position=held.position,
            log_start=log_start,
            log_end=log_end,
            known_id=held.topic_id,
            found_id=look.id,
            is_cut=is_cut or held.cut_at is not None,
        )
        match verdict:
            case BeyondEnd():
                self._hold(held, log_end)
                return False
            case MadeAnew():
                opened = self._opener.open([tp])
                if not opened:
                    raise KafkaTrouble(f"{tp} is gone")
                self._epochs.begin_anew(opened)
            case Overtaken(offset, lost):
                if held.cut_at is not None:
                    lost += held.position - held.cut_at  # rewritten, and never read
                self._release(held)
                self._epochs.tell_jump(
                    tp, from_offset=held.position, to_offset=offset, reason="retention", lost=lost
                )
                held.position = offset
                self._holdings.reread(held)
            case Readable():
                self._holdings.reread(held)
        return True

    def _hold(self, held: Holding, log_end: int) -> None:
        """Read nothing until an operator has said where to go on, after a restart and on any worker too. That
        the log may grow past our position changes nothing: what was rewritten below it would be skipped."""
        if held.cut_at is None:
            held.cut_at = min(held.position, log_end)
        entry = held.entry
        if entry is not None and entry.cut_at is None:
            entry = cut(entry, at=held.cut_at, position=held.position, settled=held.settled)
            self._opener.keep(entry)
            held.entry = entry
        # Told again at every look, so that the alert is not a single line in the past.
        self._troubles.complain(self._cure(held))

    def _release(self, held: Holding) -> None:
        if held.entry is not None and held.entry.cut_at is not None:
            entry = uncut(held.entry)
            self._opener.keep(entry)
            held.entry = entry
        held.cut_at = None

    def _cure(self, held: Holding) -> str:
        assert held.cut_at is not None
        # Not above what is settled: what is still in hand may be given back when the workers stop.
        to_offset = min(held.cut_at, held.settled)
        return (
            f"{held.tp} is held: the group is at offset {held.position}, but its log ended at "
            f"{held.cut_at}. Stop all workers and say where to go on: kafka-consumer-groups.sh "
            f"{tool_options(self._cluster.access)} --group {self._group} "
            f"--topic {held.tp.topic}:{held.tp.partition} "
            f"--reset-offsets --to-offset {to_offset} --execute"
        )
