"""``webhook-connector sign``: the headers that this connector would send with a body."""

from __future__ import annotations

import argparse
import re
import time
from binascii import hexlify
from typing import TYPE_CHECKING

from connector.cli.commands._signing import (
    WHY_NO_VALUE,
    add_signing_flags,
    chosen_dialect,
    given_body,
    given_secret,
    unix_seconds,
)
from connector.cli.exits import EXIT_CODES, CommandFailed, Exit
from connector.cli.printing import print_json, print_problem

if TYPE_CHECKING:
    from connector.core.dialect import Dialect
    from connector.core.subscription import Secrets

HELP = "sign a body as the connector would, to try out a receiver"

DESCRIPTION = f"""\
Prints the headers that belong to a body, as the connector would send them: what a receiver under
development needs to be tried out without a connector. The bytes are signed as they are, a line end at
the end of the file included, so send the same ones (curl: --data-binary).

{WHY_NO_VALUE}"""

EPILOGUE = f"""\
examples:
  export SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
  webhook-connector sign --dialect standard-webhooks --secret-env SECRET body.json
  printf '{{"type":"a"}}' | webhook-connector sign --dialect webhooks-v1 --secret-file secret.txt -

  webhook-connector sign --dialect notify --secret-env SECRET body.json > headers.txt
  curl -H @headers.txt -H 'Content-Type: application/json' --data-binary @body.json http://localhost:3000/hook

{EXIT_CODES}"""

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def add(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EPILOGUE
    add_signing_flags(parser)
    parser.add_argument(
        "--id", type=_event_id, default="evt_test", metavar="ID", help="the event's id; evt_test by default"
    )
    parser.add_argument(
        "--timestamp",
        type=unix_seconds,
        metavar="SECONDS",
        help="when it is sent, in UNIX seconds; now by default",
    )


def run(args: argparse.Namespace) -> int:
    from connector.core.dialect import DialectError
    from connector.core.signing import compile_signer
    from connector.core.subscription import Secrets
    from connector.webhook import ed25519

    dialect, secrets, body = chosen_dialect(args), Secrets(current=given_secret(args)), given_body(args)
    try:
        sign = compile_signer(dialect, secrets, sign_ed25519=ed25519.sign)
    except DialectError as error:
        raise CommandFailed(Exit.USAGE, f"the secret cannot be used: {error}") from None
    now_s = int(time.time()) if args.timestamp is None else args.timestamp
    lines = sign(args.id.encode(), now_s, body).decode().splitlines()
    if args.json:
        print_json(dict(line.split(": ", 1) for line in lines))
    else:
        print("\n".join(lines))
    if problem := _missing_member(dialect, secrets, body):
        print_problem(problem)
        return Exit.PROBLEMS
    return Exit.OK


def _missing_member(dialect: Dialect, secrets: Secrets, body: bytes) -> str:
    """What to add to a body that should carry a signature of its own and does not; empty otherwise."""
    from connector.core.dialect import JsonEnvelope
    from connector.core.signing import text_digest

    envelope = dialect.envelope
    if not (isinstance(envelope, JsonEnvelope) and envelope.is_signed):
        return ""
    member = envelope.members[-1][0]
    if re.search(rb',"%b":"[0-9a-f]{64}"\}$' % re.escape(member.encode()), body):
        return ""
    seal = hexlify(text_digest(secrets)(body)).decode()
    return (
        f"the dialect {dialect.name} signs inside the body too, and a receiver that checks both wants it to "
        f'end with ,"{member}":"{seal}"}} instead of the last }}. Write that, and sign the new body'
    )


def _event_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an id: 1 to 128 letters, digits, '_' and '-'")
    return text
