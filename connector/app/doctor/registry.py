"""The schema registry: within reach, how quick, and what its clock says about ours."""

from __future__ import annotations

import time
from collections.abc import Sequence

from connector.app.adapters import decoder_of, framed_topics, registry_of
from connector.app.doctor.finding import Finding
from connector.avro.registry_http import BadRegistrySettings
from connector.avro.topic_format import BadTopicFormat
from connector.engine.ports import SchemaUnreachable
from connector.settings import Settings

SLOW_MS = 1_000
SKEW_WARNING_S = 5
"""``Date`` has whole seconds, and the answer takes time: less than this proves nothing."""
SKEW_PROBLEM_S = 120
"""Receivers refuse a signed timestamp that is five minutes off; half of that leaves them no room."""

_SUBJECT = "schema registry"


async def registry(settings: Settings) -> list[Finding]:
    """Also whether topics and formats go together."""
    try:
        client = registry_of(settings)
        if client is None and (framed := framed_topics(settings)):
            return [_none_set(framed), clock(None, now_s=0)]
        try:
            decoder_of(settings, client)
        except (BadTopicFormat, OSError) as error:
            return [Finding(_SUBJECT, "problem", str(error))]
        if client is None:
            return [Finding(_SUBJECT, "ok", "none is set, and no topic needs one"), clock(None, now_s=0)]
    except BadRegistrySettings as error:
        return [Finding(_SUBJECT, "problem", str(error))]
    started_ns = time.monotonic_ns()
    try:
        subjects = await client.subjects()
        took_ms = (time.monotonic_ns() - started_ns) // 1_000_000
        if isinstance(subjects, SchemaUnreachable):
            cure = "until it answers, topics that need it are held and nothing is lost"
            return [Finding(_SUBJECT, "unreachable", subjects.detail, cure)]
        clock_s = await client.clock_s()
    finally:
        await client.close()
    text = f"answers in {took_ms} ms, shows {len(subjects)} subjects"
    speed = Finding(_SUBJECT, "ok" if took_ms < SLOW_MS else "warning", text)
    return [speed, clock(clock_s, now_s=int(time.time()))]


def _none_set(framed: Sequence[str]) -> Finding:
    text = f"none is set, and {', '.join(framed)}, of format confluent, cannot be read without one"
    return Finding(_SUBJECT, "problem", text, "set registry.urls, or another format under topics")


def clock(other_s: int | None, *, now_s: int) -> Finding:
    """Our clock against another one, in UNIX seconds."""
    if other_s is None:
        why = "not checked: nothing here tells its time unless it is written to"
        return Finding("clock", "unknown", why)
    skew_s = now_s - other_s
    if abs(skew_s) < SKEW_WARNING_S:
        return Finding("clock", "ok", "agrees with the registry's")
    side = "ahead of" if skew_s > 0 else "behind"
    text = f"{abs(skew_s)} s {side} the registry's; if ours is wrong, so are signed timestamps and waits"
    return Finding(
        "clock",
        "problem" if abs(skew_s) >= SKEW_PROBLEM_S else "warning",
        text,
        "synchronise this machine's clock (chrony, systemd-timesyncd)",
    )
