"""``subscriptions``: the subscriptions file, looked at without starting anything."""

HELP = "the subscriptions file, read as the connector would, secrets included"
EXAMPLES = """\
  webhook-connector subscriptions check subscriptions.yaml
  webhook-connector subscriptions list --config settings.yaml --json
"""
