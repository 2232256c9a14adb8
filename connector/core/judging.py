"""What an answer means: one reply or failure into one outcome, by the rules of the dialect.

What the dialect accepts is delivered, ``410 Gone`` is final where the dialect says so, a status that the
subscription calls final is refused, and everything else failed and may be tried again, redirects
included: following one would send a signed body where nobody registered it. When to try again, and
whether at all, is :mod:`connector.core.routing`'s.

``Retry-After`` counts on any status; of what is accepted it is about what comes next. It is a lower bound, so
what it says is rounded up; what cannot be read, or lies in the past, says nothing.
"""

from __future__ import annotations

import re
from calendar import timegm
from email.utils import parsedate_tz
from typing import Final

from connector.core.dialect import Accepted
from connector.core.outcome import OWN_FAULTS, Deferred, Delivered, Failure, Outcome, Refused, Reply

RETRY_AFTER_MS_MAX: Final = 31 * 24 * 3_600_000
"""No wait is longer than 31 days, whatever was asked: longer than any sensible maximum age, so that
such a delivery is tried once more and then expires, and short enough for every sum to stay small."""

FINAL_STATUSES: Final = frozenset({400, 401, 403, 404, 413, 415, 422})
"""The preset of statuses that no retry helps, for subscriptions that choose it. Not the default: a partner's
slip (a wrong token for an hour, a route missing during a roll-out) would cost all it was sent meanwhile."""

# Shared, because a frozen dataclass costs more to build than all the rest of a success.
_DELIVERED: Final = {status: Delivered(status) for status in range(200, 300)}

_SECONDS = re.compile(rb"([0-9]+)(\.[0-9]*)?")
# More digits than this are capped anyway, and endless ones would be slow, or refused, to turn into an int.
_SECONDS_DIGITS_MAX = 12
# The longest of HTTP's three date forms takes 33 bytes.
_DATE_BYTES_MAX = 64
# A line each, or joined by whoever is in between (RFC 9110, 5.3). A date has a comma as well, but the day of
# the week before it says nothing.
_BETWEEN_VALUES = re.compile(rb"[\n,]")
# A value takes one, a date two; a head could hold thousands.
_PARTS_MAX = 32


def judge(
    answer: Reply | Failure,
    *,
    accepted: Accepted,
    gone_is_final: bool,
    now_ms: int,
    final_statuses: frozenset[int] = frozenset(),
) -> Outcome:
    """The outcome of an attempt that ended with ``answer``.

    ``accepted`` and ``gone_is_final`` are the dialect's rules and stand above the subscription's
    ``final_statuses``; ``now_ms`` stands in for the reply's own ``Date`` where it has none.
    """
    if isinstance(answer, Failure):
        is_counted = answer.kind not in OWN_FAULTS
        asked_ms = 0 if answer.reply is None else retry_after_ms(answer.reply, now_ms=now_ms)
        return Deferred(
            error_class=answer.kind,
            detail=answer.detail,
            retry_after_ms=asked_ms,
            is_counted=is_counted,
            is_doubtful=answer.is_doubtful,
        )
    status = answer.status
    if status == 200 or (accepted == "2xx" and 200 <= status <= 299):
        asked_ms = 0 if answer.retry_after is None else retry_after_ms(answer, now_ms=now_ms)
        return Delivered(status, asked_ms) if asked_ms else _DELIVERED[status]
    if status == 410 and gone_is_final:
        return Refused(
            reason="gone",
            error_class="http-410",
            detail="The endpoint answered 410: it is gone for good.",
            status=410,
            retry_after_ms=retry_after_ms(answer, now_ms=now_ms),
        )
    if status in final_statuses:
        return Refused(
            reason="refused",
            error_class=f"http-{status}",
            detail=f"The endpoint answered {status}, which its subscription takes as final.",
            status=status,
            retry_after_ms=retry_after_ms(answer, now_ms=now_ms),
        )
    return Deferred(
        error_class=f"http-{status}",
        detail=_explain(status),
        status=status,
        retry_after_ms=retry_after_ms(answer, now_ms=now_ms),
    )


def retry_after_ms(reply: Reply, *, now_ms: int) -> int:
    """How long the receiver asks to be left alone: 0 (nothing asked) to :data:`RETRY_AFTER_MS_MAX`.

    A date is judged against the reply's own ``Date``, so that the receiver's clock need not agree
    with ours; against ``now_ms`` where that is missing or unreadable. Of several values, on lines of
    their own or joined by commas, the longest counts; of very many, the longest of the first.
    """
    if reply.retry_after is None:
        return 0
    parts = _BETWEEN_VALUES.split(reply.retry_after, maxsplit=_PARTS_MAX)[:_PARTS_MAX]
    return max(_asked_ms(part.strip(), date=reply.date, now_ms=now_ms) for part in parts)


def _asked_ms(text: bytes, *, date: bytes | None, now_ms: int) -> int:
    """What one value of ``Retry-After`` says; 0 for what cannot be read."""
    if seconds := _SECONDS.fullmatch(text):
        digits = seconds[1].lstrip(b"0")
        if len(digits) > _SECONDS_DIGITS_MAX:
            return RETRY_AFTER_MS_MAX
        # The grammar knows whole seconds only, but some servers send fractions.
        delay_ms = (int(digits or b"0") + bool((seconds[2] or b"").strip(b".0"))) * 1_000
    else:
        until_ms = _http_date_ms(text)
        if until_ms is None:
            return 0
        sent_ms = _http_date_ms(date.strip()) if date is not None else None
        delay_ms = until_ms - (now_ms if sent_ms is None else sent_ms)
    return min(max(delay_ms, 0), RETRY_AFTER_MS_MAX)


def _http_date_ms(text: bytes) -> int | None:
    """Unix milliseconds of an HTTP date in any of its three forms, ``None`` for anything else."""
    if len(text) > _DATE_BYTES_MAX:
        return None
    try:
        # parsedate_tz was written for mail: on garbage it answers None or raises one of these.
        parts = parsedate_tz(text.decode("ascii"))
        if parts is None:
            return None
        return (timegm(parts[:6]) - (parts[9] or 0)) * 1_000
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def _explain(status: int) -> str:
    if 200 <= status <= 299:
        return f"The endpoint answered {status}, but its dialect accepts 200 alone."
    if 300 <= status <= 399:
        return f"The endpoint answered {status}: redirects are never followed."
    return f"The endpoint answered {status}."
