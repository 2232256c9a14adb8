"""The wire formats a topic may use, one file each.

A new one is a file with a class that has the method of :class:`~connector.avro.formats.port.WireFormat`,
a name in :class:`~connector.avro.topic_format.TopicFormat` and a line in :mod:`connector.avro.decoder`.
"""
