"""``webhook-connector verify``: whether a request's signature is right, and if not, exactly why not."""

from __future__ import annotations

import argparse
import time

from connector.cli.commands._signing import (
    WHY_NO_VALUE,
    add_signing_flags,
    chosen_dialect,
    given_body,
    given_secret,
    unix_seconds,
)
from connector.cli.exits import EXIT_CODES, Exit
from connector.cli.printing import print_json

HELP = "check a request's signature as a receiver would, and say why it is wrong"

DESCRIPTION = f"""\
Judges a webhook that a receiver could not verify: give it the headers and the bytes of the body as they
arrived. A signature that does not match says nothing by itself, so the usual causes are tried: a body that
was parsed and written again, a key that was or was not decoded, a timestamp left out of what is signed.

{WHY_NO_VALUE}"""

EPILOGUE = f"""\
examples:
  export SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
  webhook-connector verify --dialect standard-webhooks --secret-env SECRET \\
      --header 'webhook-id: evt_1' --header 'webhook-timestamp: 1750689600' \\
      --header 'webhook-signature: v1,…' body.json

  webhook-connector verify --dialect bellamy --secret-file secret.txt \\
      --header 'X-Webhook-Signature: 9f86…' body.json

A request kept since yesterday is too old today; --at judges it by the clock of the time it was received.

{EXIT_CODES}"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EPILOGUE
    add_signing_flags(parser)
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="'NAME: VALUE'",
        help="a header of the request (may be repeated); those the dialect does not use are ignored",
    )
    parser.add_argument(
        "--at",
        type=unix_seconds,
        metavar="SECONDS",
        help="when it was received, in UNIX seconds; now by default",
    )
    parser.add_argument(
        "--tolerance",
        type=_tolerance,
        default=300,
        metavar="SECONDS",
        help="how far a signed timestamp may be from that; 300 by default",
    )


def run(args: argparse.Namespace) -> int:
    from connector.core.verify import verify
    from connector.webhook import ed25519

    headers: dict[str, str] = {}
    for name, value in args.header:  # a repeated header means its values joined by a comma, in HTTP
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    verdict = verify(
        chosen_dialect(args),
        given_secret(args),
        headers,
        given_body(args),
        int(time.time()) if args.at is None else args.at,
        args.tolerance,
        verify_ed25519=ed25519.verify,
    )
    if args.json:
        print_json({"valid": verdict.is_valid, "cause": verdict.cause, "detail": verdict.detail})
    else:
        print(f"{'valid' if verdict.is_valid else f'not valid ({verdict.cause})'}: {verdict.detail}")
    return Exit.OK if verdict.is_valid else Exit.PROBLEMS


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition(":")
    if not separator or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not 'NAME: VALUE'")
    return name.strip().lower(), value.strip()


def _tolerance(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return int(text)
