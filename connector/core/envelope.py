"""The body of a POST: an event put into the JSON object that a dialect's receivers expect.

A body is a fixed point of JavaScript's ``JSON.stringify(JSON.parse(body))``, depends on nothing but the
event and the envelope, and is rendered once per event however many subscriptions share the envelope.
What depends on a secret is added by :mod:`connector.core.composer`; CloudEvents have a module of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter

import orjson

from connector.core.dialect import JsonEnvelope, MemberKind, TimeFormat
from connector.core.event import Event
from connector.core.times import iso_time

Render = Callable[[Event], bytes]


@lru_cache(maxsize=64)  # a dialect's is shared by all who speak it
def compile_envelope(envelope: JsonEnvelope) -> Render:
    """A function that gives an event's body, without the member that would hold a signature."""
    members = [(name, kind) for name, kind in envelope.members if kind != "signature"]
    template = b"{%b}" % b",".join(b'"%b":%%b' % name.replace("%", "%%").encode() for name, _ in members)
    places = [_VALUES.index(kind) for _, kind in members]
    in_order = itemgetter(*places)
    time = _TIMES[envelope.timestamp]
    cache_key = f"{envelope.timestamp}{members}"

    def render(event: Event) -> bytes:
        body = event.bodies.get(cache_key)
        if body is None:
            values = (_type_json(event.type), b'"%b"' % event.id.encode(), time(event), event.data)
            body = event.bodies[cache_key] = template % in_order(values)
        return body

    return render


_VALUES: tuple[MemberKind, ...] = ("type", "id", "time", "data")
_type_json = lru_cache(maxsize=4_096)(orjson.dumps)  # of event types there are few, and they are short


_TIMES: dict[TimeFormat, Render] = {
    "string": lambda event: b'"%d"' % (event.time_us // 1_000_000),
    "number": lambda event: b"%d" % (event.time_us // 1_000_000),
    "seconds": lambda event: b'"%b"' % iso_time(event.time_us, 0),
    "milliseconds": lambda event: b'"%b"' % iso_time(event.time_us, 3),
    "as-given": lambda event: b'"%b"' % iso_time(event.time_us, event.time_digits),
}
