"""The schema that fastavro is given: the same bytes, read raw.

Logical types are left out, so that values come as the integers and bytes they are: converting them
ourselves is faster, keeps nanoseconds, and makes a value out of range a finding instead of an
exception. Names are replaced by numbered ones, so that no rule of namespaces is applied twice.

A union whose branches would look alike once decoded gets each of its branches wrapped in a record of
one field, named by the branch's number. A record adds no bytes of its own, so this reads exactly what
was written, and the value then tells its branch. The null branch is never wrapped: it is ``None``.
"""

from __future__ import annotations

from connector.avro.nodes import Array, Enum, Fixed, Json, Map, Node, Primitive, Record, Union, is_null

WRAPPER_FIELD = "value"


def binary_layout(root: Node) -> Json:
    """The schema for ``fastavro.parse_schema``, in the form of parsed JSON.

    It is always a record, since fastavro would parse anything else anew for each value: a type that
    is none becomes the field :data:`WRAPPER_FIELD` of one.
    """
    layout = _Writer().write(root)
    if isinstance(root, Record):
        return layout
    return {"type": "record", "name": "wrapper", "fields": [{"name": WRAPPER_FIELD, "type": layout}]}


class _Writer:
    """Writes one schema; owns the names given out so far."""

    def __init__(self) -> None:
        self._names: dict[Node, str] = {}
        self._wrappers = 0

    def write(self, node: Node) -> Json:
        if node in self._names:
            return self._names[node]
        match node:
            case Primitive(kind):
                return kind
            case Fixed():
                return {"type": "fixed", "name": self._name(node), "size": node.size_bytes}
            case Enum():
                return {"type": "enum", "name": self._name(node), "symbols": list(node.symbols)}
            case Array(items):
                return {"type": "array", "items": self.write(items)}
            case Map(values):
                return {"type": "map", "values": self.write(values)}
            case Record():
                name = self._name(node)
                fields = [{"name": field.name, "type": self.write(field.type)} for field in node.fields]
                return {"type": "record", "name": name, "fields": fields}
            case Union(branches, is_tagged):
                if not is_tagged:
                    return [self.write(branch) for branch in branches]
                return [self._wrapped(branch, tag) for tag, branch in enumerate(branches)]

    def _wrapped(self, branch: Node, tag: int) -> Json:
        if is_null(branch):
            return "null"
        self._wrappers += 1
        name = f"branch{self._wrappers}"
        return {"type": "record", "name": name, "fields": [{"name": str(tag), "type": self.write(branch)}]}

    def _name(self, node: Node) -> str:
        name = self._names[node] = f"type{len(self._names)}"
        return name
