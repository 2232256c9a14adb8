"""What must be true of a simulation, whatever the engine says of itself.

It is computed from the topics, the board, what the endpoints saw and which subscriptions there were; nothing
here reads an engine's books.

Always:

* what is committed is safe: each delivery owed by a record below a committed offset was accepted, or
  lies among the dead letters, on a tier at or above that tier's committed offset, or in the parked topic at
  or above the cursor of a backlog that is open;
* what does not exist is not committed (that no commit goes backwards, and none is asked for what is not ours,
  the cluster asks);
* no attempt is made before the ladder's step or ``Retry-After`` is over, nor before its letter may leave its
  tier, by the broker's clock, but for the skew of our own;
* nothing is sent to a URL that asked to be left alone, by whoever was asked or had the time to hear of it;
* nothing is sent but where the sending worker's view leads, and nothing for what is paused there;
* what is dead as deleted had been away for a quarter of an hour.

In the end: every delivery that was owed is accepted, or dead for a reason that happened, or parked for a
subscription that was removed; no backlog of a subscription in force is open. What was accepted twice was
there when something was killed, taken away or could not be written, or was given up while an attempt was
under way. Of what goes to an endpoint that accepts everything, no delivery is written over and over.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from connector.core.backlog import merged
from connector.core.headers import Decoded as ReadTrail
from connector.core.headers import DecodedPoison, decode_dead
from connector.core.outcome import Failure, Reply
from connector.core.record import Record
from connector.core.sharing import BacklogNews
from connector.core.sharing import decode as decode_news
from connector.core.subscription import Subscription
from connector.core.topic_names import operator_events_topic, parked_topic, tier_delay_ms
from connector.core.trail import Trail
from connector.engine.ports import Commit, TopicPartition
from tests.support.fake_board import FakeTopic
from tests.support.fake_kafka import PREFIX, Cluster
from tests.support.simulated_registry import event_type
from tests.support.simulated_subscriptions import Subscriptions
from tests.support.world import Post

HOPS_MAX = 1_000
HOPS_FOR_THE_WELL_MAX = 60
HOPS_FOR_THE_WELL_MEAN_MAX = 8
"""Of what goes to an endpoint that accepts everything, however slowly: so many letters of one delivery, and
of all on average."""
NEVER_MS = 1 << 62
WRITTEN_WITHIN_MS = 10
HEARD_WITHIN_MS = 2_000
"""So long news may take to reach all workers."""
DISTURBED_FOR_MS = 60_000
"""So long it takes until all is as it was before: until there is one leader again, above all."""
IN_DOUBT_AFTER_MS = 900_000
"""So long what is surely our own fault is not billed to an endpoint."""
DELETED_AFTER_MS = 900_000
SEEN_WITHIN_MS = 30_000
"""So long it may take until all have seen a new file."""

Owed = tuple[str, int, int, str]
"""A delivery: topic, partition, offset, subscription id."""


@dataclass(slots=True)
class _View:
    """What a worker sees: where each subscription leads, or led when it was last there, ``since_ms`` when;
    the URLs that it may send to now; and when it left."""

    urls: dict[str, str]
    active: set[str]
    since_ms: dict[str, int]
    left_ms: int = NEVER_MS


@dataclass(frozen=True, slots=True)
class _Asked:
    """An answer with ``Retry-After``."""

    worker: str
    began_ms: int
    answered_ms: int
    until_ms: int


class Verdict:
    """Is told of each commit, of each attempt and of what befalls workers, and raises ``AssertionError`` for
    what must not be.

    ``accepted`` are the POSTs that endpoints accepted, ``skew_ms_max`` is how far a worker's clock was ever
    off, ``disturbed_ms`` when something last happened for which some may be sent twice."""

    def __init__(
        self, cluster: Cluster, board: FakeTopic, accepted: list[Post], subscriptions: Subscriptions
    ) -> None:
        self._cluster = cluster
        self._board = board
        self._accepted = accepted
        self._subscriptions = subscriptions
        self.skew_ms_max = 0
        self.disturbed_ms = 0
        self.backlogs: dict[str, BacklogNews] = {}
        self._promised: set[Owed] = set()
        self._times_accepted: Counter[Owed] = Counter()
        self._ends: dict[Owed, str] = {}
        self._poisoned: set[tuple[str, int, int]] = set()
        self._on_tiers: defaultdict[Owed, list[tuple[TopicPartition, int]]] = defaultdict(list)
        self._parked: defaultdict[Owed, list[tuple[int, int]]] = defaultdict(list)
        self._flights: defaultdict[Owed, list[tuple[int, int]]] = defaultdict(list)
        self._due_ms: dict[tuple[Owed, int, int], int] = {}  # of a letter by generation and hop
        self._views: dict[str, _View] = {}  # by worker
        self._asked: defaultdict[str, list[_Asked]] = defaultdict(list)  # by URL
        self._own_since_ms: dict[str, int] = {}  # by URL: our own faults without anything else between
        self._failed: defaultdict[tuple[Owed, int], list[tuple[int, int]]] = defaultdict(list)
        self._failures: Counter[Owed] = Counter()
        self._gone: set[Owed] = set()
        self._troubled: set[str] = set()  # whose endpoint ever answered anything but that it accepts
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

    def check_end(self) -> None:
        """All has drained."""
        self._look()
        for owed in self._promised:
            is_kept = owed[3] in self._subscriptions.removed and self._is_parked(owed)
            assert owed in self._ends or is_kept, f"{owed} was lost"
        twice = [
            owed for owed, count in self._times_accepted.items() if count > 1 and not self._may_repeat(owed)
        ]
        assert not twice, f"accepted twice, though nothing was disturbed: {twice}"
        for owed, reason in self._ends.items():
            self._check_reason(owed, reason)
        for id_ in self._subscriptions.untouched - self._troubled:
            self._check_hops([owed for owed in self._promised if owed[3] == id_])

    def _check_hops(self, promised: Sequence[Owed]) -> None:
        letters = [len(self._on_tiers[owed]) for owed in promised]
        worst, total = max(letters, default=0), sum(letters)
        assert worst <= HOPS_FOR_THE_WELL_MAX, f"one of {promised[0][3]} was written {worst} times"
        assert total <= HOPS_FOR_THE_WELL_MEAN_MAX * len(letters), f"{total} letters of {len(letters)}"

    def _check_reason(self, owed: Owed, reason: str) -> None:
        match reason:
            case "accepted" | "oversize" | "poison":
                pass
            case "deleted":
                pass  # seen to when it was written
            case "gone":
                assert owed in self._gone, owed
            case "exhausted":
                tries = min(len(ladder) for ladder in self._subscriptions.ladders[owed[3]]) + 1
                assert self._failures[owed] >= tries, f"{owed} failed {self._failures[owed]} times"
            case _:
                raise AssertionError(f"{owed} is dead for the reason {reason!r}, which never happened")

    def _may_repeat(self, owed: Owed) -> bool:
        """Whether something was killed, taken away or could not be written when it was there, or it was given
        up while an attempt was under way."""
        record = self._cluster.topics[owed[0]][owed[1]][owed[2]]
        if record.timestamp_ms <= self.disturbed_ms + DISTURBED_FOR_MS:
            return True
        written_ms = [
            self._cluster.topics[tp.topic][tp.partition][at].timestamp_ms for tp, at in self._on_tiers[owed]
        ]
        return any(
            begun_ms <= at_ms <= ended_ms + WRITTEN_WITHIN_MS
            for at_ms in written_ms
            for begun_ms, ended_ms in self._flights[owed]
        )

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
            and any(pattern == "*" or _fits(pattern, event_type(record)) for pattern in one.events)
        ]

    # ── what workers see ────────────────────────────────────────────────────────────────────────

    def shown(self, worker: str, subscriptions: Sequence[Subscription]) -> None:
        """These are in force for ``worker`` from now on."""
        now_ms = self._now_ms()
        before = self._views.get(worker)
        since_ms = {} if before is None else before.since_ms
        for one in subscriptions:
            if before is None or before.urls.get(one.id) != one.url:
                since_ms[one.id] = now_ms
        urls = {one.id: one.url for one in subscriptions}
        active = {one.url for one in subscriptions if not one.paused}
        self._views[worker] = _View(urls if before is None else before.urls | urls, active, since_ms)

    def leaves(self, worker: str) -> None:
        """It is stopped or killed: what it learns from now on need not be known to others."""
        self._views[worker].left_ms = self._now_ms()

    # ── at each attempt ─────────────────────────────────────────────────────────────────────────

    def posted(
        self, worker: str, post: Post, *, letter: Trail | None, after_s: float, answer: Reply | Failure
    ) -> None:
        """An attempt begins, of what a ``letter`` told, or of a fresh event: where it should, and not before
        its time. How it will end says when others may begin."""
        owed = self._owed_by_post(post)
        began_ms, ends_ms = post.at_ms, post.at_ms + round(after_s * 1_000)
        assert post.url in self._views[worker].active, f"{worker} sends to {post.url}, not so in its view"
        if letter is not None:
            self._check_time(owed, letter, began_ms)
        self._check_asked(worker, post)
        self._flights[owed].append((began_ms, ends_ms))
        made = letter.attempt if letter is not None else 0
        retry_after_ms = 0
        if isinstance(answer, Reply):
            retry_after_ms = int(answer.retry_after or b"0") * 1_000
            if retry_after_ms:
                self._asked[post.url].append(_Asked(worker, began_ms, ends_ms, ends_ms + retry_after_ms))
            if answer.status == 410:
                self._gone.add(owed)
        if retry_after_ms or not isinstance(answer, Reply) or not 200 <= answer.status < 300:
            self._troubled.add(owed[3])
        if isinstance(answer, Failure) and answer.is_ours:
            since_ms = self._own_since_ms.setdefault(post.url, began_ms)
            is_counted = ends_ms - since_ms >= IN_DOUBT_AFTER_MS
        else:
            self._own_since_ms.pop(post.url, None)
            is_counted = not isinstance(answer, Reply) or not 200 <= answer.status < 300
        if is_counted:
            self._failures[owed] += 1
            self._failed[owed, made + 1].append((ends_ms, retry_after_ms))

    def _check_time(self, owed: Owed, letter: Trail, now_ms: int) -> None:
        leeway_ms = 2 * self.skew_ms_max
        if letter.attempt:
            early_ms = self._may_go_at_ms(owed, letter.attempt) - now_ms
            assert early_ms <= leeway_ms, f"attempt {letter.attempt + 1} of {owed} is {early_ms} ms early"
        self._look()
        early_ms = self._due_ms[owed, letter.generation, letter.hop] - now_ms
        assert early_ms <= leeway_ms, f"{owed} leaves its tier {early_ms} ms early"

    def _check_asked(self, worker: str, post: Post) -> None:
        """Nobody who knows has asked for a pause."""
        asked = self._asked[post.url]
        asked[:] = [one for one in asked if one.until_ms > post.at_ms + 2 * self.skew_ms_max]
        for one in asked:
            if self._must_know(worker, post, one):
                raise AssertionError(f"{worker} sends to {post.url} at {post.at_ms}, in spite of {one}")

    def _must_know(self, worker: str, post: Post, asked: _Asked) -> bool:
        """Whether it holds for ``worker``: it has heard it itself, or had the time to hear of it, and neither
        of them has forgotten it for another URL."""
        id_ = self._subscriptions.id_of[post.url]
        view, teller = self._views[worker], self._views[asked.worker]
        if (
            teller.since_ms[id_] > asked.began_ms
            or teller.urls[id_] != post.url
            or teller.left_ms <= asked.answered_ms
        ):
            return False
        if worker == asked.worker:
            return asked.answered_ms < post.at_ms
        heard_by_ms = max(asked.answered_ms, view.since_ms[id_]) + HEARD_WITHIN_MS
        return heard_by_ms < min(post.at_ms, teller.left_ms)

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
            owed = self._owed_by_post(post)
            self._times_accepted[owed] += 1
            self._ends[owed] = "accepted"
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
        hop = read.trail.hop
        assert hop < HOPS_MAX, f"{owed} hops without end"
        if tier_ms := tier_delay_ms(PREFIX, letter.topic):
            self._on_tiers[owed].append((TopicPartition(letter.topic, letter.partition), letter.offset))
            due_ms = max(letter.timestamp_ms + tier_ms, read.trail.not_before_ms)
            named = owed, read.trail.generation, hop
            self._due_ms[named] = min(self._due_ms.get(named, due_ms), due_ms)
        elif letter.topic == parked_topic(PREFIX):
            self._parked[owed].append((letter.partition, letter.offset))
        else:
            assert read.trail.reason is not None
            self._ends.setdefault(owed, read.trail.reason)
            if read.trail.reason == "deleted":
                self._check_absence(owed, letter.timestamp_ms)

    def _check_absence(self, owed: Owed, now_ms: int) -> None:
        """It was deleted as its subscription has been away for long."""
        absences = self._subscriptions.absences[owed[3]]
        assert any(
            since_ms + DELETED_AFTER_MS <= now_ms
            and (until_ms is None or now_ms <= until_ms + SEEN_WITHIN_MS)
            for since_ms, until_ms in absences
        ), f"{owed} is deleted at {now_ms}, away only {absences}"

    def _owed_by_post(self, post: Post) -> Owed:
        topic, partition, offset = post.webhook_id.rsplit("-", 2)
        return topic.replace("_", "."), int(partition), int(offset), self._subscriptions.id_of[post.url]

    def _now_ms(self) -> int:
        return self._cluster.clock.now_ms()


def _owed_by_letter(letter: Record) -> Owed:
    read = decode_dead(letter.headers)
    assert isinstance(read, ReadTrail), read
    origin = read.trail.origin
    return origin.topic, origin.partition, origin.offset, read.trail.subscription_id


def _fits(pattern: str, type_: str) -> bool:
    if "*" not in pattern:
        return pattern == type_
    prefix, _, stars = pattern.rpartition(".")
    dots = type_.removeprefix(prefix).count(".")
    return type_.startswith(f"{prefix}.") and (stars == "**" or (stars == "*" and dots == 1))
