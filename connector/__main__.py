"""``python -m connector`` and the installed command ``webhook-connector``."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; the exit code."""
    from connector.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
