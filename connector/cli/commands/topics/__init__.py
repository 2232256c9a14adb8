"""``topics``: what is read, and the connector's own topics."""

HELP = "the topics that are read, and the connector's own: look, create, check"
EXAMPLES = """\
  webhook-connector topics list --config settings.yaml
  webhook-connector topics check --config settings.yaml && webhook-connector run --config settings.yaml
  webhook-connector topics create --bootstrap-servers kafka:9092 --topic post.created
"""
