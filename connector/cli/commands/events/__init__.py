"""``events``: the catalogue of event types that ships with the connector."""

HELP = "the catalogue of event types, each with its schema and a sample"
EXAMPLES = """\
  webhook-connector events list --guide bellamy
  webhook-connector events show post.created
"""
