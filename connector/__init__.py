"""Webhook connector: Kafka events in, signed webhooks out, nothing lost in between.

The layout is the architecture. Imports point inwards, never sideways:

``cli > app > adapters (kafka, avro, webhook, subscriptions, http, telemetry) > engine > core``

``core`` decides and is pure; ``engine`` arranges and knows only its ports; each adapter is the
only home of one outside world; ``app`` is the one place where concrete classes meet.
"""

__version__ = "0.1.0"
