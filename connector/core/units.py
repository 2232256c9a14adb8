"""Durations and sizes as people write them: ``30s``, ``1h30m``, ``1MiB``.

One parser each, used for settings, subscription files and the names of retry topics, so that the
same text means the same everywhere. Inside, a duration is an int in milliseconds and a size an int
in bytes; a number without a unit is never guessed at here.
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
        raise ValueError(f"{text!r} is not a duration; write a number with ms, s, m, h or d, such as 30s or 1h30m")
    return sum(int(number) * _MS_PER_UNIT[unit] for number, unit in _PART.findall(text))


def format_duration_ms(duration_ms: int) -> str:
    """The shortest text with one unit that is exactly ``duration_ms``: ``5m``, ``24h``, ``90s``.

    Hours are the largest unit, as in the published ladders (``24h``, never ``1d``). The result parses
    back to the same number, and equal durations have equal texts: retry topics are named by it.
    """
    assert duration_ms >= 0
    for unit in ("h", "m", "s"):
        if duration_ms and duration_ms % _MS_PER_UNIT[unit] == 0:
            return f"{duration_ms // _MS_PER_UNIT[unit]}{unit}"
    return f"{duration_ms}ms"


def parse_size_bytes(text: str) -> int:
    """``"1MiB"``, ``"64 KiB"``, ``"500kB"`` or ``"100B"`` in bytes. Raises :class:`ValueError` otherwise."""
    match = _SIZE.fullmatch(text)
    factor = _BYTES_PER_UNIT.get(match[2]) if match else None
    if match is None or factor is None:
        raise ValueError(f"{text!r} is not a size; write a number with {', '.join(_BYTES_PER_UNIT)}, such as 1MiB")
    return int(match[1]) * factor


def format_size_bytes(size_bytes: int) -> str:
    """The shortest text with one binary unit that is exactly ``size_bytes``: ``1MiB``, ``1000B``."""
    assert size_bytes >= 0
    for unit in ("GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % _BYTES_PER_UNIT[unit] == 0:
            return f"{size_bytes // _BYTES_PER_UNIT[unit]}{unit}"
    return f"{size_bytes}B"
