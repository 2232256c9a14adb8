"""Events that trip receivers: every escape, every number layout, names that JavaScript reorders."""

from __future__ import annotations

import json
import struct
from random import Random
from typing import Any

from connector.core.event import Event, Poison
from connector.core.jsonjs import render

_CHARACTERS = [
    *map(chr, range(0x20)), *' "\\/%&<>.:;,{}[]', *"azAZ09", *map(chr, range(0x7F, 0xA1)),
    "ä", "é", "\u0301", "\u200d", "\u2028", "\u2029", "\ufeff", "\ufffd", "\uffff", "漢", "😀", "\U0010ffff",
]
_NAMES = [
    "id", "content", "authorId", "0", "1", "10", "2", "007", "-1", "1e3", "4294967294", "4294967295",
    "__proto__", "constructor", "toString", "", " ", "ключ", "a.b", "signature", "timestamp", "event",
]
_NUMBERS: list[float] = [
    0, -0.0, 1, -1, 1.0, 0.1, 1.5e-6, 1e-6, 9.99e-7, 1e-7, 1e15, 1e16, 123456789012345680000.0, 1e20, 1e21,
    1.7976931348623157e308, 5e-324, -1e-9, 2**53 - 1, -(2**53 - 1), 2**53, 2**63, float("nan"), float("inf"),
]


def awkward_events(seed: int, count: int) -> list[Event]:
    """``count`` events, the same for the same seed."""
    chance = Random(seed)
    return [_event(chance, number) for number in range(count)]


def _event(chance: Random, number: int) -> Event:
    data = render({_name(chance): _value(chance, depth=3) for _ in range(chance.randrange(6))})
    assert not isinstance(data, Poison)
    return Event(
        type=chance.choice(["post.created", "friend.request.sent", f"odd.{_text(chance)}"]),
        id=f"evt_{number:06}",
        time_us=chance.choice([0, 1_768_480_200_123_456, chance.randrange(-(2**50), 2**51)]),
        time_digits=chance.randrange(7),
        data=data,
        source=chance.choice(["urn:kafka:posts", "/" + _text(chance)]),
        subject=chance.choice(["", _text(chance)]),
        attributes=chance.choice([(), _attributes(chance)]),
    )


def _attributes(chance: Random) -> tuple[tuple[str, bytes], ...]:
    names = chance.sample(["dataschema", "traceparent", "5", "12", "x1"], 3)
    return tuple((name, json.dumps(_text(chance), ensure_ascii=False).encode()) for name in names)


def _value(chance: Random, depth: int) -> Any:
    match chance.randrange(8 if depth else 5):
        case 0:
            return _text(chance)
        case 1:
            return chance.choice(_NUMBERS)
        case 2:
            return struct.unpack("<d", chance.randbytes(8))[0]
        case 3:
            return chance.randrange(-(2**70), 2**70)
        case 4:
            return chance.choice([None, True, False])
        case 5:
            return [_value(chance, depth - 1) for _ in range(chance.randrange(4))]
        case _:
            return {_name(chance): _value(chance, depth - 1) for _ in range(chance.randrange(5))}


def _name(chance: Random) -> str:
    return chance.choice([chance.choice(_NAMES), _text(chance), str(chance.randrange(2**33))])


def _text(chance: Random) -> str:
    return "".join(chance.choices(_CHARACTERS, k=chance.randrange(9)))
