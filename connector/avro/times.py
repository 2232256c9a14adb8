"""Times as text and as microseconds, exactly.

Calendar arithmetic goes through :mod:`datetime` once per second of event time; fractions
are plain integers, so nanoseconds survive and no rounding happens anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the arithmetic is in UTC throughout
_DAY_US = 86_400_000_000


class OutOfRange(ValueError):
    """A value that its logical type does not allow; the message names the type, not the value."""


@lru_cache(maxsize=4096)  # the events of a second share its text; the size bounds what a replay leaves behind
def _second_text(seconds: int) -> str:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
    except OverflowError:
        raise OutOfRange("A timestamp lies outside the years 1 to 9999.") from None


def timestamp_text(*, digits: int, suffix: str) -> Callable[[int], str]:
    """A function from a count of 10^-digits seconds since 1970 to RFC 3339 with that many digits.

    ``suffix`` is ``Z``, or empty for a local time. Raises :class:`OutOfRange` outside the years 1
    to 9999.
    """
    second = 10**digits
    template = f"%s.%0{digits}d{suffix}"

    def text(count: int) -> str:
        seconds, fraction = divmod(count, second)
        return template % (_second_text(seconds), fraction)

    return text


def time_text(*, digits: int) -> Callable[[int], str]:
    """A function from a count of 10^-digits seconds since midnight to ``HH:MM:SS.fff``."""
    second = 10**digits

    def text(count: int) -> str:
        if not 0 <= count < 86_400 * second:
            raise OutOfRange("A time of day lies outside the day.")
        seconds, fraction = divmod(count, second)
        minutes = seconds // 60
        return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds % 60:02d}.{fraction:0{digits}d}"

    return text


def date_text(days: int) -> str:
    """Days since 1970 as ``YYYY-MM-DD``."""
    try:
        return (_EPOCH + timedelta(days=days)).isoformat()[:10]
    except OverflowError:
        raise OutOfRange("A date lies outside the years 1 to 9999.") from None


Instant = tuple[int, int]
"""Unix microseconds, and how many fractional digits (0 to 6) of a second the source gave."""


def instant_of_date(days: int) -> Instant:
    """Midnight, UTC."""
    return days * _DAY_US, 0


def instant_of_integer(count: int) -> Instant | None:
    """A bare number, its unit told by its size.

    Below 10^11 seconds, below 10^14 milliseconds, below 10^17 microseconds, else nanoseconds: each
    unit so covers every time from March 1973 to the year 5138. ``None`` past the year 9999.
    """
    size = abs(count)
    if size < 10**11:
        instant = count * 1_000_000, 0
    elif size < 10**14:
        instant = count * 1_000, 3
    elif size < 10**17:
        instant = count, 6
    else:
        instant = count // 1_000, 6
    return instant if _is_on_the_calendar(instant[0]) else None


_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)"
    r"(?:[Tt ](\d\d:\d\d):(\d\d)(?:[.,](\d{1,30}))?"
    r"(?:[Zz]|([+-])(\d\d):?(\d\d))?)?",
    re.ASCII,
)


def instant_of_text(text: str) -> Instant | None:
    """An ISO 8601 time as RFC 3339 writes it, or a whole number in a string (as above).

    Without an offset it is taken as UTC, without a time as midnight. Digits past microseconds are
    cut off. A leap second counts as the second after it. ``None`` when the text is neither.
    """
    found = _RFC_3339.fullmatch(text)
    if found is None:
        is_integer = text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 20
        return instant_of_integer(int(text)) if is_integer else None
    date, clock, seconds, fraction, sign, offset_hours, offset_minutes = found.groups()
    try:
        at = datetime.fromisoformat(f"{date}T{clock or '00:00'}") - _EPOCH
    except ValueError:
        return None
    if seconds is not None and int(seconds) > 60:
        return None
    offset_s = (int(offset_hours) * 3600 + int(offset_minutes) * 60) if sign else 0
    whole_s = at.days * 86_400 + at.seconds + int(seconds or 0) - (-offset_s if sign == "-" else offset_s)
    kept = (fraction or "")[:6]
    time_us = whole_s * 1_000_000 + int(kept.ljust(6, "0"))
    return (time_us, len(kept)) if _is_on_the_calendar(time_us) else None


def _is_on_the_calendar(time_us: int) -> bool:
    return -62_135_596_800_000_000 <= time_us < 253_402_300_800_000_000
