"""The command ``webhook-connector``: one module in :mod:`connector.cli.commands` per command."""
