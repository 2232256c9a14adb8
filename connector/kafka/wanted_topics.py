"""The topics a member is to read: begun once each, then subscribed to by name.

A topic is begun (its entries are in the sources topic) before the group hears that we want it, so that no
partition of it is given to us too early. One that is missing or forbidden is told at every look, and the
others flow on.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from confluent_kafka import Consumer

from connector.engine.ports import Reading
from connector.kafka.bridge import Bridge
from connector.kafka.cluster import TopicLook
from connector.kafka.errors import KafkaTrouble
from connector.kafka.opening import Opener
from connector.kafka.rebalancing import Callbacks
from connector.kafka.troubles import Troubles


class WantedTopics:
    """Of one member; used by its polling thread only."""

    def __init__(
        self,
        *,
        consumer: Consumer,
        opener: Opener,
        callbacks: Callbacks,
        troubles: Troubles,
        bridge: Bridge,
        reading: Reading,
    ) -> None:
        self._consumer = consumer
        self._opener = opener
        self._callbacks = callbacks
        self._troubles = troubles
        self._bridge = bridge
        self._reading = reading
        self._wanted: frozenset[str] = frozenset()
        self._begun: set[str] = set()
        self._subscribed: frozenset[str] = frozenset()
        self._absent: frozenset[str] = frozenset()

    @property
    def is_subscribed(self) -> bool:
        return bool(self._subscribed)

    def want(self, topics: frozenset[str]) -> None:
        """Read these from now on, and no others."""
        self._wanted = topics
        self.begin()

    def looked(self, looks: Mapping[str, TopicLook]) -> None:
        """The topics as they are now: tell of those that have gone."""
        for look in looks.values():
            if look.absence and look.topic in self._begun:
                self._troubles.complain(look.complaint)
        self._tell_absent(looks)

    def begin(self) -> None:
        """Begin the wanted topics that are not begun yet, then subscribe to all that are."""
        try:
            looks = self._opener.look(self._wanted - self._begun)
        except KafkaTrouble as trouble:
            self._troubles.meet(trouble)
        else:
            self._tell_absent(looks)
            for look in looks.values():
                if look.absence:
                    self._troubles.complain(look.complaint)
                else:
                    self._begin_one(look)
        topics = self._wanted & self._begun
        if topics == self._subscribed:
            return
        self._subscribed = topics
        if topics:
            self._consumer.subscribe(sorted(topics), **self._callbacks)
        else:
            self._consumer.unsubscribe()

    def _begin_one(self, look: TopicLook) -> None:
        try:
            self._opener.begin(look)
            self._begun.add(look.topic)
        except KafkaTrouble as trouble:
            self._troubles.meet(trouble)

    def _tell_absent(self, looks: Mapping[str, TopicLook]) -> None:
        """Those not looked at are as they were."""
        known = {topic for topic in self._absent & self._wanted if topic not in looks}
        absent = frozenset(known | {topic for topic in looks.keys() & self._wanted if looks[topic].absence})
        if absent != self._absent:
            self._absent = absent
            self._bridge.tell(partial(self._reading.absent, absent))
