"""What every test under load ends with: the verdict of the checker, and of the receivers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from confluent_kafka import Message

from tests.support.checker import Rule, Verdict, check
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
