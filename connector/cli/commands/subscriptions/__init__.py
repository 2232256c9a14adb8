"""``subscriptions``: the subscriptions file, and what running workers know of its endpoints."""

HELP = "the subscriptions file, and what running workers know of its endpoints"
EXAMPLES = """\
  webhook-connector subscriptions check subscriptions.yaml
  webhook-connector subscriptions list --config settings.yaml --json
  webhook-connector subscriptions status --config settings.yaml
"""
