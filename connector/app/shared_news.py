"""What the workers know of their endpoints, for somebody who is none of them: read, and forgotten on purpose.

Every call raises :class:`~connector.kafka.errors.KafkaTrouble` when the cluster does not answer, and
:class:`~connector.app.refusal.Refusal` when there is no topic to read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from connector.app.adapters import access_of
from connector.app.refusal import Refusal
from connector.core.sharing import Fault, WorkerNews, encode
from connector.core.standing import Known, Standing, known, reset, standing
from connector.core.subscription import Subscription
from connector.core.topic_names import shared_topic
from connector.engine.ports import Capabilities
from connector.engine.presence import SILENT_MS
from connector.kafka.board_visit import read_board, write_board
from connector.kafka.cluster import APACHE_KAFKA, Cluster
from connector.kafka.tools import tool_options
from connector.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedView:
    """One look at the board at ``now_ms`` (Unix): who is alive, and how each subscription stands."""

    now_ms: int
    alive: Sequence[WorkerNews]
    standings: Sequence[Standing]
    faults: Sequence[Fault]


class SharedNews:
    """The shared topic of one connector."""

    def __init__(self, settings: Settings, capabilities: Capabilities = APACHE_KAFKA) -> None:
        self._topic = shared_topic(settings.prefix)
        self._access = access_of(settings.own_cluster)
        self._cluster = Cluster(self._access, capabilities)

    async def view(self, subscriptions: Sequence[Subscription]) -> SharedView:
        """How ``subscriptions`` stand now."""
        return _view(subscriptions, *await self._read())

    async def reset(self, subscriptions: Sequence[Subscription], *, only_trouble: bool) -> SharedView:
        """Have every worker forget what was learnt of these endpoints, or only of those that are in trouble.

        Returns how those that were reset stood before, once the broker has the news.
        """
        board, alive = await self._read()
        view = _view(subscriptions, board, alive)
        chosen = [one for one in view.standings if one.has_trouble or not only_trouble]
        urls = {one.id: one.url for one in subscriptions}
        ids = [one.subscription_id for one in chosen]
        news = [reset(id_, urls[id_], board.endpoints.get(id_), now_ms=view.now_ms) for id_ in ids]
        await write_board(self._topic, self._access, map(encode, news))
        return SharedView(now_ms=view.now_ms, alive=view.alive, standings=chosen, faults=view.faults)

    async def _read(self) -> tuple[Known, list[WorkerNews]]:
        """What is known, and the workers that are alive: those heard of while we listened. Whose clock says
        what does not matter."""
        await asyncio.to_thread(self._cluster.brokers)  # whose complaint is the clearer one
        looks = await asyncio.to_thread(self._cluster.look, [self._topic])
        options = tool_options(self._access)
        match looks[self._topic].absence:
            case "missing":
                raise Refusal(
                    f"topic {self._topic}, where workers share what they learn, does not exist: no worker "
                    "has run with this prefix yet, or prefix is not the one that they use"
                )
            case "forbidden":
                raise Refusal(
                    f"topic {self._topic}: this user may not see it. Mend it with: kafka-acls.sh {options} "
                    "--add --allow-principal User:<user> --operation Read --operation Describe "
                    f"--operation Write --topic {self._topic}"
                )
        visit = await read_board(
            self._topic,
            self._cluster,
            awaited=lambda newest: known(newest.items()).staying().keys(),
            listen_ms=SILENT_MS,
        )
        board = known(visit.newest.items())
        return board, [one for key, one in board.staying().items() if key in visit.fresh]


def _view(subscriptions: Sequence[Subscription], board: Known, alive: Sequence[WorkerNews]) -> SharedView:
    now_ms = time.time_ns() // 1_000_000
    return SharedView(
        now_ms=now_ms,
        alive=alive,
        standings=[standing(one, board, alive) for one in subscriptions],
        faults=board.faults,
    )
