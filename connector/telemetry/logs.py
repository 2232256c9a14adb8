"""Log lines: one JSON object per line for collectors, or columns for people.

A line is built only for what happens rarely; a delivery that goes well writes none. As a last resort, what
looks like a secret is covered and what looks like a body is cut: whoever writes a line is still the one to
leave both out.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, BinaryIO, Literal

import orjson
import structlog

from connector.engine.ports import Log

Level = Literal["debug", "info", "warning", "error"]

TEXT_CHARS_MAX = 2_000
"""Of one value. Long enough for a list of mistakes, too short for a body."""

DEPTH_MAX = 4
"""Facts are flat; what nests deeper than this is an object that has no place in a log."""

COVERED = "***"

_SECRET_NAMES = re.compile(r"secret|password|passwd|token|authorization|cookie|credential|api_?key", re.I)
_SECRET_TEXTS = (
    (re.compile(r"\bwh(sec|sk)_[A-Za-z0-9+/=_-]+"), r"wh\1_" + COVERED),
    (re.compile(r"\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]{4,}", re.I), r"\1 " + COVERED),
    (re.compile(r"//[^/@\s]+@"), f"//{COVERED}@"),
)


def make_log(*, format: Literal["json", "console"], level: Level, stream: BinaryIO | None = None) -> Log:
    """A log that writes to ``stream``, standard output by default. Nothing global changes."""
    raw = stream or sys.stdout.buffer
    log: Log = structlog.wrap_logger(
        structlog.BytesLogger(raw),
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            _cover,
            *(_console(raw) if format == "console" else [_in_order, _json]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_number_of(level)),
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return log


def forward_stdlib(log: Log) -> logging.Handler:
    """Send what libraries log (warnings and worse) to ``log``, and return the handler that does. Call once,
    where the process is put together; a library's own words come as the fact ``said``."""
    handler = Forward(log)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    return handler


REPEAT_S = 30
"""A library that says the same again (but for its numbers) within this time is not repeated: a broker that
is away is news once, not five times a second."""

REPEATS_MAX = 200


class Forward(logging.Handler):
    """Hands a library's warnings to our log; see :func:`forward_stdlib`."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._said_at_s: dict[str, float] = {}

    @property
    def remembered(self) -> int:
        """How many different things are remembered as said; at most :data:`REPEATS_MAX`."""
        return len(self._said_at_s)

    def _is_repeated(self, said: str, at_s: float) -> bool:
        likeness = re.sub(r"[0-9]+", "#", said)[:TEXT_CHARS_MAX]
        if at_s - self._said_at_s.get(likeness, 0) < REPEAT_S:
            return True
        self._said_at_s.pop(likeness, None)
        self._said_at_s[likeness] = at_s
        if len(self._said_at_s) > REPEATS_MAX:
            del self._said_at_s[next(iter(self._said_at_s))]
        return False

    def emit(self, record: logging.LogRecord) -> None:
        say = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        try:
            said = record.getMessage()
            if self._is_repeated(said, record.created):
                return
            if record.exc_info and record.exc_info[1] is not None:
                say(f"{record.name} has something to say", said=said, exc_info=record.exc_info)
            else:
                say(f"{record.name} has something to say", said=said)
        except Exception:  # a handler that raises would break the library that logged
            self.handleError(record)


def _number_of(level: Level) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


Facts = MutableMapping[str, Any]  # Any: a fact can be anything


def _cover(logger: object, method: str, facts: Facts) -> Facts:
    del logger, method
    return {name: _covered(name, value, DEPTH_MAX) for name, value in facts.items()}


def _covered(name: str, value: Any, depth: int) -> Any:  # Any: as above
    if _SECRET_NAMES.search(name) and value not in (None, "", 0, False):
        return COVERED
    match value:
        case bool() | float() | None:
            return value
        case int() if abs(value) < 1 << 63:
            return value
        case dict() if depth:
            return {str(key): _covered(str(key), each, depth - 1) for key, each in value.items()}
        case list() | tuple() | set() | frozenset() if depth:
            return [_covered("", each, depth - 1) for each in value]
    return _covered_text(value if isinstance(value, str) else str(value))


def _covered_text(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate must not cost the line
    for pattern, replacement in _SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return text if len(text) <= TEXT_CHARS_MAX else f"{text[:TEXT_CHARS_MAX]}… ({len(text)} characters)"


def _in_order(logger: object, method: str, facts: Facts) -> Facts:
    """Time, level and event first: lines are also read by people."""
    del logger, method
    first = {name: facts.pop(name) for name in ("time", "level", "event") if name in facts}
    return {**first, **facts}


def _json(logger: object, method: str, facts: Facts) -> bytes:
    del logger, method
    return orjson.dumps(facts, default=str, option=orjson.OPT_NON_STR_KEYS)


def _console(raw: BinaryIO) -> list[Any]:  # Any: structlog's processors have no common type
    return [structlog.dev.ConsoleRenderer(colors=raw.isatty(), timestamp_key="time"), _encoded]


def _encoded(logger: object, method: str, line: str) -> bytes:
    del logger, method
    return line.encode()
