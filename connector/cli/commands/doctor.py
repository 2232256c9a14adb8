"""``webhook-connector doctor``: what is wrong, and how to mend it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from connector.cli.exits import CommandFailed, Exit
from connector.cli.printing import add_json_flag, print_json
from connector.settings.flags import add_settings_flags, settings_from

if TYPE_CHECKING:
    from connector.app.doctor.finding import Finding, Verdict
    from connector.app.doctor.rounds import Rounds

HELP = "look at everything the connector depends on and say how to mend what is wrong"

DESCRIPTION = """\
Connects to Kafka and to the schema registry and looks at topics, permissions, group, subscriptions,
secrets, clock and limits. It changes nothing: no topic is created, no group joined, nothing is written,
committed or sent. It has done within 30 seconds even when nothing answers.

  ✓  as it should be        !  works, and may bite
  ✗  must be mended         -  could not be looked at
"""

EPILOGUE = """\
examples:
  webhook-connector doctor --config settings.yaml
  webhook-connector doctor --config settings.yaml --endpoints
  webhook-connector doctor --bootstrap-servers kafka:9092 --topic post.created --json

exit codes:
  0   nothing must be mended
  1   something must be
  2   the command line or the settings cannot be used
  3   Kafka or the schema registry did not answer
"""

_MARKS: dict[Verdict, str] = {"ok": "✓", "warning": "!", "problem": "✗", "unreachable": "✗", "unknown": "-"}


def add(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EPILOGUE
    parser.add_argument(
        "--endpoints",
        action="store_true",
        help="also open a connection to every receiver (name, address guard, TLS), and send nothing",
    )
    add_json_flag(parser)
    add_settings_flags(parser)


def run(args: argparse.Namespace) -> int:
    from connector.app.adapters import tool_login_of
    from connector.app.doctor.rounds import Rounds
    from connector.app.loop import run_on_loop
    from connector.app.refusal import Refusal, refusing

    settings = settings_from(args, needs=("kafka.bootstrap_servers", "topics"))
    try:
        with refusing():
            rounds = Rounds(settings, with_endpoints=args.endpoints)
    except Refusal as refusal:
        raise CommandFailed(Exit.USAGE, str(refusal)) from None
    findings = run_on_loop(_tell(rounds, is_silent=args.json))
    login = tool_login_of(settings, [finding.cure for finding in findings])
    if args.json:
        print_json({"findings": findings, "tool_login": login})
    else:
        if login:
            print(f"\n{login}")
        print(f"\n{_summary(findings)}")
    return exit_code(findings)


def exit_code(findings: list[Finding]) -> Exit:
    """Who does not answer comes first: the rest may look different once they do."""
    verdicts = {finding.verdict for finding in findings}
    if "unreachable" in verdicts:
        return Exit.UNREACHABLE
    return Exit.PROBLEMS if "problem" in verdicts else Exit.OK


async def _tell(rounds: Rounds, *, is_silent: bool) -> list[Finding]:
    """Show each finding as it comes; on a terminal also that something is being waited for."""
    from rich.console import Console

    from connector.app.doctor.examine import examine

    findings = []
    console = Console(stderr=True)
    with console.status("looking…") if sys.stderr.isatty() and not is_silent else _Nothing():
        async for finding in examine(rounds.examinations()):
            findings.append(finding)
            if not is_silent:
                _print(finding)
    return findings


class _Nothing:
    """Shows nothing, where a status line would."""

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def _print(finding: Finding) -> None:
    lines = finding.text.splitlines()
    print(f"{_MARKS[finding.verdict]} {finding.subject}: {lines[0]}", *lines[1:], sep="\n    ", flush=True)
    if finding.cure:
        print(f"    → {finding.cure}", flush=True)


def _summary(findings: list[Finding]) -> str:
    count = {verdict: sum(each.verdict == verdict for each in findings) for verdict in _MARKS}
    wrong = count["problem"] + count["unreachable"]
    if not wrong and not count["warning"]:
        return "Nothing is wrong."
    return f"{wrong} to be mended, {count['warning']} to be looked at."
