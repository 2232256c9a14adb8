"""Durations and sizes as people write them: ``30s``, ``1h30m``, ``1MiB``.

One parser each, used for settings, subscription files and the names of retry topics, so that the same
text means the same everywhere. Inside, a duration is an int in milliseconds and a size an int in bytes; a
number without a unit is never guessed at here.
"""

from __future__ import annotations

import re

_MS_PER_UNIT = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_BYTES_PER_UNIT = {
    "B": 1,
    "kB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}

_PART = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)", re.ASCII)
_DURATION = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,15}) ?([A-Za-z]+)", re.ASCII)


def parse_duration_ms(text: str) -> int:
    """``"500ms"``, ``"30s"``, ``"5m"``, ``"2h"``, ``"1d"`` or several in a row, ``"1h30m"``, in milliseconds.

    Raises :class:`ValueError`, with an example of what would do, for anything else.
    """
    if not _DURATION.fullmatch(text):
        units = ", ".join(_MS_PER_UNIT)
        raise ValueError(f"{text!r} is not a duration; write a number with {units}, such as 30s or 1h30m")
    return sum(int(number) * _MS_PER_UNIT[unit] for number, unit in _PART.findall(text))


def format_duration_ms(duration_ms: int) -> str:
    """In the largest unit up to hours that divides it: ``90_000`` is ``"90s"``, ``86_400_000`` is ``"24h"``,
    which is how tiers are named. :func:`parse_duration_ms` reads it back."""
    assert duration_ms > 0, "a tier has a delay"
    unit = next(unit for unit in ("h", "m", "s", "ms") if duration_ms % _MS_PER_UNIT[unit] == 0)
    return f"{duration_ms // _MS_PER_UNIT[unit]}{unit}"


def parse_size_bytes(text: str) -> int:
    """``"1MiB"``, ``"64 KiB"``, ``"500kB"`` or ``"100B"`` in bytes. Raises :class:`ValueError` otherwise."""
    match = _SIZE.fullmatch(text)
    factor = _BYTES_PER_UNIT.get(match[2]) if match else None
    if match is None or factor is None:
        units = ", ".join(_BYTES_PER_UNIT)
        raise ValueError(f"{text!r} is not a size; write a number with {units}, such as 1MiB")
    return int(match[1]) * factor
