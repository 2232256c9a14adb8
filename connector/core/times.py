"""Times as receivers read them: UTC, RFC 3339, digits cut off and never rounded up.

Total: any integer has a text, since producers do write microseconds where milliseconds belong, and a
clock gone wrong must cost nobody an event. Years that need more than four digits are written as
ECMAScript does, with a sign and at least six.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

_SECOND_US = 1_000_000
_DAY_S = 86_400
_CYCLE_DAYS = 146_097  # 400 Gregorian years, after which the calendar repeats to the day
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


def iso_time(time_us: int, digits: int) -> bytes:
    """``time_us`` (UNIX microseconds) as ``2026-01-15T12:30:00.123Z`` with exactly ``digits`` (0 to 6)
    fractional digits."""
    seconds, micros = divmod(time_us, _SECOND_US)
    if not digits:
        return b"%bZ" % _whole_second(seconds)
    return b"%b.%bZ" % (_whole_second(seconds), (b"%06d" % micros)[:digits])


# Records arrive roughly in order of time: neighbours share a second, and all but a few share a day.
@lru_cache(maxsize=1024)
def _whole_second(seconds: int) -> bytes:
    days, second = divmod(seconds, _DAY_S)
    return b"%bT%02d:%02d:%02d" % (_day(days), second // 3600, second // 60 % 60, second % 60)


@lru_cache(maxsize=64)
def _day(days: int) -> bytes:
    cycles, day = divmod(days, _CYCLE_DAYS)
    on = date.fromordinal(_EPOCH_ORDINAL + day)
    year = on.year + 400 * cycles
    year_text = b"%04d" % year if 0 <= year <= 9999 else b"%+07d" % year
    return b"%b-%02d-%02d" % (year_text, on.month, on.day)
