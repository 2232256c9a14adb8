"""What a test under load ends with: the verdict of the checker, and of the receivers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from confluent_kafka import Message

from tests.support.checker import Rule, Verdict, check, letters_written, place_of, read_all
from tests.support.committed import Committed
from tests.support.feeding import event_id
from tests.support.names import Names
from tests.support.receiver import Receiver


def assert_nothing_lost(
    bootstrap_servers: str,
    names: Names,
    receiver: Receiver,
    *,
    topics: Sequence[str],
    rules: Sequence[Rule],
    event_id: Callable[[Message], str] = event_id,
) -> Verdict:
    """Every record of ``topics`` became of what it should, at every subscription of ``rules``, and every
    signature that the receiver looked at is right. Nothing may be producing."""
    verdict = check(
        bootstrap_servers=bootstrap_servers,
        source_topics=topics,
        prefix=names.prefix,
        tiers_group=f"{names.group}.retry",
        rules=rules,
        event_id=event_id,
        seen=receiver.all_seen(),
    )
    assert verdict.lost == []
    assert verdict.is_whole, str(verdict)
    assert receiver.bad_signatures() == 0
    for rule in rules:
        assert receiver.counts(rule.path).checked > 0, f"nobody looked at the signatures of {rule.path}"
    return verdict


def assert_not_sent_again(
    bootstrap_servers: str,
    names: Names,
    receiver: Receiver,
    *,
    committed: Sequence[Committed],
    topic: str,
    rules: Sequence[Rule],
) -> None:
    """No delivery of a record of ``topic`` was sent after the record had been ``committed``; nothing may be
    producing. Not judged is what a tier had a letter about: such a record is committed because of the letter,
    and that is sent later, though what was in flight when it was written may have been accepted."""
    with_letters = letters_written(bootstrap_servers, names.prefix)
    seen = receiver.all_seen()
    judged = 0
    again = []
    for record in read_all(bootstrap_servers, [topic]):
        place = place_of(record)
        since_ms = min((one.at_ms for one in committed if one.holds(*place[1:])), default=None)
        if since_ms is None:
            continue
        for rule in rules:
            if not rule.wants(record) or (place, rule.subscription) in with_letters:
                continue
            judged += 1
            attempts = seen[rule.path][event_id(record)].attempts
            if attempts[-1].at_ms > since_ms:
                again.append(f"{place} to {rule.path}, committed at {since_ms}: {attempts}")
    assert judged > 0, "of what was committed everything went by a tier"
    assert again == [], f"{len(again)} of {judged} deliveries were sent after they had been committed"
