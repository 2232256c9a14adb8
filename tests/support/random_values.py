"""Random JSON documents and Avro schemas with values, the same for the same seed."""

from __future__ import annotations

import json
import math
import struct
from random import Random
from typing import Any

_TEXTS = (
    "",
    "a",
    "Grüße 😀",
    '"\\/\b\f\n\r\t',
    "\x00\x1f\x7f\x80\u2028\u2029\ufeff\uffff",
    "x:y,{z}",
    "1.0",
    "\U0010ffff",
)
_NAMES = (
    "a",
    "b",
    "Z",
    "",
    "0",
    "1",
    "01",
    "10",
    "9",
    "-1",
    "1.5",
    "4294967294",
    "4294967295",
    "99999999999",
    "__proto__",
    "constructor",
    "²",
    "٣",
    "é:",
)
_INTEGERS = (
    0,
    -1,
    2**31,
    2**53 - 1,
    2**53,
    1 - 2**53,
    -(2**53),
    2**63 - 1,
    -(2**63),
    2**64,
    -(2**70),
    10**30,
)
_DOUBLES = (
    0.0,
    -0.0,
    1.0,
    -2.5,
    1e15,
    1e16,
    9007199254740992.0,
    9999999999999998.0,
    1e20,
    1e21,
    1.5e300,
    1e-5,
    1.5e-6,
    1e-6,
    9.999999e-7,
    1e-7,
    5e-324,
    1.7976931348623157e308,
)


def doubles(random: Random, count: int) -> list[float]:
    """Random bit patterns, every power of ten and two, and the neighbours of every boundary."""
    patterns = [struct.unpack("<d", random.randbytes(8))[0] for _ in range(count)]
    powers = [float(f"1e{exponent}") for exponent in range(-324, 309)]
    powers += [math.ldexp(1.0, exponent) for exponent in range(-1074, 1024)]
    found = [*patterns, *powers, *_DOUBLES]
    found += [math.nextafter(x, toward) for x in powers for toward in (0.0, math.inf)]
    found += [random.random() * 10.0 ** random.randint(-9, 23) for _ in range(count)]
    found += [float(random.randint(-(10**22), 10**22)) for _ in range(count)]
    return found + [-x for x in found]


def document(random: Random, depth: int = 0) -> bytes:
    """A valid JSON document as some producer may write it."""
    value = json_value(random, depth)
    return json.dumps(
        value,
        ensure_ascii=random.random() < 0.5,
        separators=random.choice(((",", ":"), (", ", ": "))),
        indent=random.choice((None, None, 2)),
    ).encode()


def json_value(random: Random, depth: int = 0) -> Any:
    kind = random.randrange(7 if depth < 4 else 5)
    match kind:
        case 0:
            return random.choice((None, True, False))
        case 1:
            return random.choice(_INTEGERS) + random.randint(-1, 1)
        case 2:
            return random.choice(_DOUBLES) if random.random() < 0.5 else random.uniform(-1e6, 1e6)
        case 3 | 4:
            return random.choice(_TEXTS)
        case 5:
            return [json_value(random, depth + 1) for _ in range(random.randrange(4))]
        case _:
            names = random.sample(_NAMES, random.randrange(6))
            return {name: json_value(random, depth + 1) for name in names}


class AvroMaker:
    """Makes one random schema, and values of it in their plain Avro form (no logical conversion)."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._named = 0

    def schema(self, depth: int = 0) -> Any:
        random = self._random
        kind = random.randrange(20 if depth < 4 else 14)
        if kind < 14:
            return (self._plain if kind < 8 else self._logical)(kind)
        if kind < 15:
            return {"type": "array", "items": self.schema(depth + 1)}
        if kind < 16:
            return {"type": "map", "values": self.schema(depth + 1)}
        if kind < 18:
            return self._union(depth)
        return self.record(depth)

    def record(self, depth: int = 0) -> Any:
        fields = [{"name": f"f{i}", "type": self.schema(depth + 1)} for i in range(self._random.randrange(6))]
        return {"type": "record", "name": self._name(), "fields": fields}

    def value(self, schema: Any) -> Any:
        """A value of ``schema``; in a union, with the number of its branch: ``(branch, value)``."""
        random = self._random
        if isinstance(schema, list):
            branch = random.randrange(len(schema))
            return branch, self.value(schema[branch])
        kind = schema["type"] if isinstance(schema, dict) else schema
        match kind:
            case "null":
                return None
            case "boolean":
                return random.random() < 0.5
            case "int" | "long":
                return self._integer(schema, kind)
            case "float":
                return struct.unpack("<f", random.randbytes(4))[0]
            case "double":
                return random.choice(_DOUBLES) if random.random() < 0.5 else random.gauss(0, 1e8)
            case "string":
                logical = isinstance(schema, dict)
                return "123e4567-e89b-12d3-a456-426614174000" if logical else random.choice(_TEXTS)
            case "bytes":
                return random.randbytes(random.randrange(1, 4))
            case "fixed":
                return random.randbytes(schema["size"])
            case "enum":
                return random.choice(schema["symbols"])
            case "array":
                return [self.value(schema["items"]) for _ in range(random.randrange(4))]
            case "map":
                names = random.sample(_NAMES, random.randrange(5))
                return {name: self.value(schema["values"]) for name in names}
            case _:
                return {field["name"]: self.value(field["type"]) for field in schema["fields"]}

    def _plain(self, kind: int) -> Any:
        return ("null", "boolean", "int", "long", "float", "double", "string", "bytes")[kind]

    def _logical(self, kind: int) -> Any:
        place = self._random.choice(("", "local-"))
        unit = self._random.choice(("millis", "micros", "nanos"))
        match kind:
            case 8:
                return {"type": "long", "logicalType": f"{place}timestamp-{unit}"}
            case 9:
                return {"type": "int", "logicalType": self._random.choice(("date", "time-millis"))}
            case 10:
                return {"type": "string", "logicalType": "uuid"}
            case 11:
                return {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3}
            case 12:
                size, logical = self._random.choice(((16, "uuid"), (12, "duration"), (3, "none")))
                return {"type": "fixed", "name": self._name(), "size": size, "logicalType": logical}
            case _:
                return {"type": "enum", "name": self._name(), "symbols": ["A", "B"]}

    def _union(self, depth: int) -> Any:
        branches: dict[str, Any] = {}
        for _ in range(self._random.randrange(1, 5)):
            branch = self.schema(depth + 1)
            if not isinstance(branch, list):
                kind = branch["type"] if isinstance(branch, dict) else branch
                branches.setdefault(branch["name"] if kind in ("record", "enum", "fixed") else kind, branch)
        return list(branches.values()) or ["null"]

    def _integer(self, schema: Any, kind: str) -> int:
        if isinstance(schema, dict):
            return self._random.randrange(2_000_000 if schema["logicalType"] == "date" else 86_400_000)
        if kind == "int":
            return self._random.randint(-(2**31), 2**31 - 1)
        return max(-(2**63), min(2**63 - 1, self._random.choice(_INTEGERS)))

    def _name(self) -> str:
        self._named += 1
        return f"t{self._named}"


def encode(schema: Any, value: Any) -> bytes:
    """Avro's binary encoding, written independently of the code under test."""
    if isinstance(schema, list):
        branch, inner = value
        return integer(branch) + encode(schema[branch], inner)
    kind = schema["type"] if isinstance(schema, dict) else schema
    match kind:
        case "null":
            return b""
        case "boolean":
            return bytes([value])
        case "int" | "long":
            return integer(value)
        case "float":
            return struct.pack("<f", value)
        case "double":
            return struct.pack("<d", value)
        case "string":
            text: bytes = value.encode()
            return integer(len(text)) + text
        case "bytes":
            return integer(len(value)) + bytes(value)
        case "fixed":
            return bytes(value)
        case "enum":
            return integer(schema["symbols"].index(value))
        case "array":
            items = b"".join(encode(schema["items"], item) for item in value)
            return (integer(len(value)) + items if value else b"") + b"\x00"
        case "map":
            members = b"".join(encode("string", n) + encode(schema["values"], v) for n, v in value.items())
            return (integer(len(value)) + members if value else b"") + b"\x00"
        case _:
            return b"".join(encode(field["type"], value[field["name"]]) for field in schema["fields"])


def integer(number: int) -> bytes:
    """A zigzag integer."""
    bits = (number << 1) ^ (number >> 63)
    encoded = bytearray()
    while bits > 127:
        encoded.append(bits & 127 | 128)
        bits >>= 7
    encoded.append(bits)
    return bytes(encoded)
