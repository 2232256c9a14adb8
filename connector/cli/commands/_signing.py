"""What ``sign`` and ``verify`` share: a dialect, a secret that is not on the command line, and a body."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from connector.cli.exits import CommandFailed, Exit
from connector.cli.printing import add_json_flag

if TYPE_CHECKING:
    from connector.core.dialect import Dialect

BODY_BYTES_MAX = 64 << 20
"""The largest body the connector can be set to send."""

WHY_NO_VALUE = """\
The secret comes from an environment variable or a file, never from the command line itself: there every
process of the machine can read it, and the shell keeps it in its history.
"""


def add_signing_flags(parser: argparse.ArgumentParser) -> None:
    """``--dialect``, ``--config``, ``--secret-env`` or ``--secret-file``, ``--json`` and ``BODY``."""
    parser.add_argument(
        "body", metavar="BODY", help="the file with the exact bytes of the body; - reads standard input"
    )
    parser.add_argument(
        "--dialect", metavar="NAME", required=True, help="such as standard-webhooks, or one of --config"
    )
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="a settings file that declares dialects of its own"
    )
    secret = parser.add_mutually_exclusive_group(required=True)
    secret.add_argument("--secret-env", metavar="NAME", help="the environment variable that holds the secret")
    secret.add_argument(
        "--secret-file", metavar="PATH", help="the file that holds the secret; a line end after it is dropped"
    )
    add_json_flag(parser)


def chosen_dialect(args: argparse.Namespace) -> Dialect:
    """Raises :class:`CommandFailed` for a name that is none, SettingsError for an unusable ``--config``."""
    from connector.core.dialect import DIALECTS
    from connector.declared.explain import nearest
    from connector.settings import load_settings

    dialects = load_settings(config_file=args.config).all_dialects if args.config else DIALECTS
    name: str = args.dialect
    if name not in dialects:
        raise CommandFailed(Exit.USAGE, f"no dialect is called {name!r}{nearest(name, dialects)}")
    return dialects[name]


def given_secret(args: argparse.Namespace) -> str:
    """Raises :class:`CommandFailed`, which quotes no secret, when there is none to read."""
    from connector.declared.secret import FromEnvironment, FromFile, read_secret

    source = FromEnvironment(args.secret_env) if args.secret_env else FromFile(args.secret_file)
    try:
        return read_secret(source, folder=Path())
    except ValueError as error:
        raise CommandFailed(Exit.USAGE, f"the secret: {error}") from None


def given_body(args: argparse.Namespace) -> bytes:
    """The bytes as they are. Raises :class:`CommandFailed` when they cannot be read."""
    try:
        if args.body == "-":
            body = sys.stdin.buffer.read(BODY_BYTES_MAX + 1)
        else:
            with Path(args.body).open("rb") as opened:
                body = opened.read(BODY_BYTES_MAX + 1)
    except OSError as error:
        raise CommandFailed(Exit.USAGE, f"the body: {args.body} cannot be read: {error.strerror}") from None
    if len(body) > BODY_BYTES_MAX:
        raise CommandFailed(Exit.USAGE, f"the body: {args.body} is larger than {BODY_BYTES_MAX >> 20} MiB")
    return body


def unix_seconds(text: str) -> int:
    """For ``type=``: a UNIX time, in seconds."""
    if not (text.isascii() and text.isdigit() and len(text) <= 11):
        raise argparse.ArgumentTypeError(f"{text!r} is not UNIX seconds such as 1750689600")
    return int(text)
