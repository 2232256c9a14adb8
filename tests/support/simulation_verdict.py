"""What must be true of a simulation, whatever the engine says of itself.

It is computed from the topics, the board, what the endpoints saw and which subscriptions there were; nothing
here reads an engine's books.

Always:

* what is committed is safe: each delivery owed by a record below a committed offset was accepted, or
  lies among the dead letters, on a tier at or above that tier's committed offset, or in the parked topic at
  or above the cursor of a backlog that is open;
* what does not exist is not committed (that no commit goes backwards, and none is asked for what is not ours,
  the cluster asks);
* no attempt is made before the ladder's step or ``Retry-After`` is over, by the broker's clock, but for
  the skew of our own.

In the end: every delivery that was owed is accepted, or dead for a reason that happened, or parked for a
subscription that was removed; no backlog of a subscription in force is open; and where nothing was killed,
taken away or given up, nothing was accepted twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from connector.core.backlog import merged
from connector.core.headers import Decoded as ReadTrail
from connector.core.headers import DecodedPoison, decode_dead
from connector.core.outcome import Failure, Reply
from connector.core.record import Record
from connector.core.sharing import BacklogNews
from connector.core.sharing import decode as decode_news
from connector.core.topic_names import operator_events_topic, parked_topic, tier_delay_ms
from connector.engine.ports import Commit, TopicPartition
from tests.support.fake_board import FakeTopic
from tests.support.fake_kafka import PREFIX, Cluster
from tests.support.simulated_subscriptions import Subscriptions
from tests.support.world import Post

HOPS_MAX = 1_000

Owed = tuple[str, int, int, str]
"""A delivery: topic, partition, offset, subscription id."""


class Verdict:
    """Is told of each commit and of each attempt, and raises ``AssertionError`` for what must not be.

    ``accepted`` are the POSTs that endpoints accepted, ``skew_ms_max`` is how far a worker's clock was ever
    off."""

    def __init__(
        self, cluster: Cluster, board: FakeTopic, accepted: list[Post], subscriptions: Subscriptions
    ) -> None:
        self._cluster = cluster
        self._board = board
        self._accepted = accepted
        self._subscriptions = subscriptions
        self.skew_ms_max = 0
        self.backlogs: dict[str, BacklogNews] = {}
        self._promised: set[Owed] = set()
        self._times_accepted: Counter[Owed] = Counter()
        self._ends: dict[Owed, str] = {}
        self._poisoned: set[tuple[str, int, int]] = set()
        self._on_tiers: defaultdict[Owed, list[tuple[TopicPartition, int]]] = defaultdict(list)
        self._parked: defaultdict[Owed, list[tuple[int, int]]] = defaultdict(list)
        self._failed: defaultdict[tuple[Owed, int], list[tuple[int, int]]] = defaultdict(list)
        self._failures: Counter[Owed] = Counter()
        self._gone: set[Owed] = set()
        self._read: Counter[Any] = Counter()  # how far each log was looked through

    # ── at the end ──────────────────────────────────────────────────────────────────────────────

    def backlogs_open(self) -> list[str]:
        """Of which subscriptions in force what was parked is not replayed yet."""
        self._look()
        return [
            f"the backlog of {id_} is at {self.backlogs[id_].cursor}"
            for id_ in self._subscriptions.current
            if id_ in self.backlogs and not self.backlogs[id_].is_done
        ]

    def check_end(self, *, may_repeat: bool) -> None:
        """All has drained. ``may_repeat``: something was killed, taken away or given up."""
        self._look()
        for owed in self._promised:
            is_kept = owed[3] in self._subscriptions.removed and self._is_parked(owed)
            assert owed in self._ends or is_kept, f"{owed} was lost"
        if not may_repeat:
            twice = [owed for owed, count in self._times_accepted.items() if count > 1]
            assert not twice, f"accepted twice, though nothing was disturbed: {twice}"
        for owed, reason in self._ends.items():
            self._check_reason(owed, reason)

    def _check_reason(self, owed: Owed, reason: str) -> None:
        match reason:
            case "accepted" | "oversize" | "poison":
                pass
            case "deleted":
                assert owed[3] in self._subscriptions.ever_removed, owed
            case "gone":
                assert owed in self._gone, owed
            case "exhausted":
                assert self._failures[owed] >= 2, owed
            case _:
                raise AssertionError(f"{owed} is dead for the reason {reason!r}, which never happened")

    # ── at each commit ──────────────────────────────────────────────────────────────────────────

    def committed(self, group: str, commit: Commit) -> None:
        """Everything below the offset must be safe."""
        self._look()
        log = self._cluster.topics[commit.tp.topic][commit.tp.partition]
        assert commit.offset <= len(log), "what does not exist is not committed"
        cursor = (group, commit.tp)
        for record in log[self._read[cursor] : commit.offset]:
            owed = [_owed_by_letter(record)] if group == "g.retry" else self._owed_by(record)
            for one in owed:
                assert self._is_safe(one), f"{group} committed {record}, but {one} is not safe"
            if group == "g":
                self._promised.update(owed)
        self._read[cursor] = commit.offset

    def _is_safe(self, owed: Owed) -> bool:
        return (
            owed in self._ends
            or self._is_parked(owed)
            or any(
                offset >= self._cluster.committed.get(("g.retry", tp), (0, ""))[0]
                for tp, offset in self._on_tiers[owed]
            )
        )

    def _is_parked(self, owed: Owed) -> bool:
        backlog = self.backlogs.get(owed[3])
        return (
            backlog is not None
            and not backlog.is_done
            and any(offset >= backlog.cursor.get(partition, 0) for partition, offset in self._parked[owed])
        )

    def _owed_by(self, record: Record) -> list[Owed]:
        named = (record.topic, record.partition, record.offset)
        if record.value == b"skip" or named in self._poisoned:
            return []
        assert record.value != b"poison", f"{record} is poison and in no dead letter"
        return [
            (*named, one.id)
            for one in self._subscriptions.current.values()
            if self._subscriptions.constant_since_ms[one.id] <= record.timestamp_ms
            and any(pattern in ("*", record.topic) or _fits(pattern, record.topic) for pattern in one.events)
        ]

    # ── at each attempt ─────────────────────────────────────────────────────────────────────────

    def posted(self, post: Post, *, made: int, after_s: float, answer: Reply | Failure) -> None:
        """An attempt begins, after as many as its letter says were ``made``: not before its time. How it will
        fail says when the next one may."""
        owed = _owed_by_post(post)
        now_ms = post.at_ms
        if made:
            early_ms = self._may_go_at_ms(owed, made) - now_ms
            assert early_ms <= 2 * self.skew_ms_max, f"attempt {made + 1} of {owed} is {early_ms} ms early"
        if isinstance(answer, Reply) and 200 <= answer.status < 300:
            return
        self._failures[owed] += 1
        retry_after_ms = 0
        if isinstance(answer, Reply):
            retry_after_ms = int(answer.retry_after or b"0") * 1_000
            if answer.status == 410:
                self._gone.add(owed)
        self._failed[owed, made + 1].append((now_ms + round(after_s * 1_000), retry_after_ms))

    def _may_go_at_ms(self, owed: Owed, made: int) -> int:
        """When the next attempt may begin at the earliest, after as many as were made. Each of them may
        have been made more than once, and under any ladder that its subscription ever had."""
        ladders = self._subscriptions.ladders[owed[3]]
        step_ms = min(ladder[made - 1] for ladder in ladders if made <= len(ladder))
        return min(ended_ms + max(step_ms, asked_ms) for ended_ms, asked_ms in self._failed[owed, made])

    # ── what is looked at ───────────────────────────────────────────────────────────────────────

    def _look(self) -> None:
        """Take in what was accepted and written since the last look."""
        for post in self._fresh("accepted", self._accepted):
            self._times_accepted[_owed_by_post(post)] += 1
            self._ends[_owed_by_post(post)] = "accepted"
        for key, value in self._fresh("board", self._board.appended):
            news = decode_news(key, value)
            if isinstance(news, BacklogNews):
                self.backlogs[news.subscription_id] = merged(self.backlogs.get(news.subscription_id), news)
        for topic, logs in list(self._cluster.topics.items()):
            if topic.startswith(PREFIX) and topic != operator_events_topic(PREFIX):
                for partition, log in list(logs.items()):
                    for letter in self._fresh((topic, partition), log):
                        self._look_at(letter)

    def _fresh(self, cursor: Any, log: list[Any]) -> list[Any]:
        fresh = log[self._read[cursor] :]
        self._read[cursor] = len(log)
        return fresh

    def _look_at(self, letter: Record) -> None:
        read = decode_dead(letter.headers)
        if isinstance(read, DecodedPoison):
            origin = read.trail.origin
            self._poisoned.add((origin.topic, origin.partition, origin.offset))
            return
        assert isinstance(read, ReadTrail), read
        owed = _owed_by_letter(letter)
        assert read.trail.hop < HOPS_MAX, f"{owed} hops without end"
        if tier_delay_ms(PREFIX, letter.topic):
            self._on_tiers[owed].append((TopicPartition(letter.topic, letter.partition), letter.offset))
        elif letter.topic == parked_topic(PREFIX):
            self._parked[owed].append((letter.partition, letter.offset))
        else:
            assert read.trail.reason is not None
            self._ends.setdefault(owed, read.trail.reason)


def _owed_by_post(post: Post) -> Owed:
    topic, partition, offset = post.webhook_id.rsplit("-", 2)
    return topic.replace("_", "."), int(partition), int(offset), post.url.split("//")[1].split(".")[0]


def _owed_by_letter(letter: Record) -> Owed:
    read = decode_dead(letter.headers)
    assert isinstance(read, ReadTrail), read
    origin = read.trail.origin
    return origin.topic, origin.partition, origin.offset, read.trail.subscription_id


def _fits(pattern: str, event_type: str) -> bool:
    prefix, _, stars = pattern.rpartition(".")
    dots = event_type.removeprefix(prefix).count(".")
    return event_type.startswith(f"{prefix}.") and (stars == "**" or (stars == "*" and dots == 1))
