"""What is known of a parked backlog: which of two pieces of news holds, and where its replay begins.

A backlog is *opened* whenever a worker begins to park for a subscription, and *done* when everything parked
in the openings known then has been replayed. Both are told on a board where a later record takes the place
of an earlier one, by workers that hear of each other a moment late. So an opening has a number: a *done*
that knows of fewer openings says nothing of the letters parked since, and must not close the backlog.
"""

from __future__ import annotations

from dataclasses import replace

from connector.core.sharing import BacklogNews


def opened(known: BacklogNews | None, subscription_id: str, *, now_ms: int) -> BacklogNews:
    """One opening more than is ``known``: something may lie at or above its cursor from now on."""
    return BacklogNews(
        subscription_id=subscription_id,
        at_ms=now_ms,
        openings=known.openings + 1 if known is not None else 1,
        topic_id=known.topic_id if known is not None else "",
        cursor=known.cursor if known is not None else {},
        is_done=False,
    )


def merged(known: BacklogNews | None, news: BacklogNews) -> BacklogNews:
    """What holds once ``news`` is heard. It is ``news`` itself when it is not out of date; else what is
    ``known``, whose cursor it may still have moved: whoever told it had replayed everything below."""
    if known is None or (news.openings, news.is_done) >= (known.openings, known.is_done):
        return news
    return known if known.is_done else replace(known, topic_id=news.topic_id, cursor=news.cursor)


def begin_at(backlog: BacklogNews, partition: int, *, topic_id: str, start: int, end: int) -> int:
    """Where the replay of a partition begins whose log now reaches from ``start`` to ``end``: at the cursor,
    or at the log's start where the cursor lies outside of it (the log was cut) or is of another topic of the
    same name."""
    offset = backlog.cursor.get(partition, start)
    return offset if start <= offset <= end and not is_of_another(backlog, topic_id) else start


def is_of_another(backlog: BacklogNews, topic_id: str) -> bool:
    """Whether its cursor is of another topic than the one of this id; without ids that cannot be told."""
    return bool(backlog.topic_id and topic_id) and backlog.topic_id != topic_id
