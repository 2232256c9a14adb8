"""From a record's bytes to an event: wire formats, schemas, registry. The only home of fastavro."""
