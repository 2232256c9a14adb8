"""The body of a POST: an event put into the JSON object that a dialect's receivers expect.

A body is a fixed point of JavaScript's ``JSON.stringify(JSON.parse(body))``, depends on nothing but the
event and the envelope, and is rendered once per event however many subscriptions share the envelope.
What depends on a secret is added by :mod:`connector.core.composer`; CloudEvents have a module of their own.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from connector.core.dialect import JsonEnvelope, TimeFormat
from connector.core.event import Event
from connector.core.times import iso_time

Render = Callable[[Event], bytes]


def compile_envelope(envelope: JsonEnvelope) -> Render:
    """A function that gives an event's body, without the member that would hold a signature."""
    members = [(name, kind) for name, kind in envelope.members if kind != "signature"]
    template = b"{%b}" % b",".join(b'"%b":%%(%b)b' % (name.encode(), kind.encode()) for name, kind in members)
    time = _TIMES[envelope.timestamp]
    cache_key = f"{envelope.timestamp}{members}"

    def render(event: Event) -> bytes:
        body = event.bodies.get(cache_key)
        if body is None:
            body = event.bodies[cache_key] = template % {
                b"type": orjson.dumps(event.type),
                b"id": b'"%b"' % event.id.encode(),
                b"time": time(event),
                b"data": event.data,
            }
        return body

    return render


_TIMES: dict[TimeFormat, Render] = {
    "string": lambda event: b'"%d"' % (event.time_us // 1_000_000),
    "number": lambda event: b"%d" % (event.time_us // 1_000_000),
    "seconds": lambda event: b'"%b"' % iso_time(event.time_us, 0),
    "milliseconds": lambda event: b'"%b"' % iso_time(event.time_us, 3),
    "as-given": lambda event: b'"%b"' % iso_time(event.time_us, event.time_digits),
}
