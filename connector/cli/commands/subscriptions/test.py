"""``subscriptions test``: one signed test event to one endpoint, and what it replied."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from connector.cli.commands.subscriptions._loading import add_file, chosen_file, sound_subscriptions
from connector.cli.commands.subscriptions._shared import named
from connector.cli.exits import Exit
from connector.cli.printing import print_json, print_problem, printable

if TYPE_CHECKING:
    from connector.app.trial import Trial
    from connector.core.outcome import Reply
    from connector.core.subscription import Subscription

HELP = "send one signed test event to a subscription's endpoint and show the reply"

DESCRIPTION = """\
Sends one event, signed and sent exactly as a delivery would be (address guard, timeout and all), and shows
what came back, what it means in the subscription's dialect, and what the connector would do next. Kafka is
not involved, and the event is not tried again. Its id begins with test_ and is new every time.
"""

EPILOGUE = """\
examples:
  webhook-connector subscriptions test partner-7 subscriptions.yaml
  webhook-connector subscriptions test partner-7 --config settings.yaml --event post.created --json

exit codes:
  0   the endpoint accepted it
  1   the endpoint answered and did not accept it, or its address is refused
  2   there is no such subscription, or the settings cannot be used
  3   no answer
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EPILOGUE
    parser.add_argument("id", metavar="ID", help="the subscription's id")
    add_file(parser)
    parser.add_argument(
        "--event",
        metavar="TYPE",
        help="the event's type, with the sample of the catalogue if it has one (events list); by default one "
        "that the subscription gets",
    )


def run(args: argparse.Namespace) -> int:
    import time

    from connector.app.loop import run_on_loop
    from connector.app.trial import chosen_type, is_wanted, sample_event, try_out
    from connector.core.outcome import Delivered, Failure
    from connector.settings.flags import settings_from

    settings = settings_from(args)
    subscriptions = sound_subscriptions(chosen_file(args, settings), settings)
    subscription = named(args.id, subscriptions)
    event_type = args.event or chosen_type(subscription)
    if not is_wanted(subscription, event_type):
        print_problem(f"warning: {subscription.id} does not subscribe to {event_type}; sent all the same")
    if subscription.paused:
        print_problem(f"warning: {subscription.id} is paused, so it gets no events but this one")
    event = sample_event(event_type, now_ms=time.time_ns() // 1_000_000)
    trial = run_on_loop(try_out(settings, subscription, event, all_subscriptions=subscriptions))
    if args.json:
        print_json(_as_json(trial, subscription))
    else:
        _print(trial, subscription)
    match trial.outcome, trial.answer:
        case Delivered(), _:
            return Exit.OK
        case _, Failure(kind=kind) if kind != "forbidden":
            return Exit.UNREACHABLE
        case _:
            return Exit.PROBLEMS


def _print(trial: Trial, subscription: Subscription) -> None:
    from connector.app.reply_hints import hint
    from connector.core.outcome import Delivered, Reply

    print(f"POST {subscription.shown_url}")
    for name, value in trial.headers.items():
        print(f"  {name}: {value}")
    print(f"  {_text(trial.body)}\n")
    match trial.answer:
        case Reply() as reply:
            print(f"HTTP {reply.status} after {trial.took_ms} ms")
            for name, value in _headers(reply).items():
                print(f"  {name}: {value}")
            if reply.body:
                print(f"  {_text(reply.body)}")
        case failure:
            print(f"No reply ({failure.kind}) after {trial.took_ms} ms: {failure.detail}")
    is_accepted = isinstance(trial.outcome, Delivered)
    rule = "200" if subscription.dialect.accepted == "200" else "any 2xx"
    verdict = "Accepted" if is_accepted else "Not accepted"
    print(f"\n{verdict}: in {subscription.dialect.name}, {rule} means yes.")
    print(f"The connector would {trial.next_step}.")
    if not is_accepted and (why := hint(trial.answer)):
        print(why)


def _as_json(trial: Trial, subscription: Subscription) -> dict[str, Any]:  # Any: JSON
    from connector.app.reply_hints import hint
    from connector.core.outcome import Delivered, Failure

    answer = trial.answer
    is_accepted = isinstance(trial.outcome, Delivered)
    shown: dict[str, Any] = {
        "subscription": subscription.id,
        "url": subscription.shown_url,
        "dialect": subscription.dialect.name,
        "event": {"type": trial.event.type, "id": trial.event.id},
        "request": {"headers": trial.headers, "body": _text(trial.body)},
        "took_ms": trial.took_ms,
        "accepted": is_accepted,
        "next_step": trial.next_step,
    }
    if isinstance(answer, Failure):
        shown["failure"] = {"kind": answer.kind, "detail": answer.detail}
    else:
        shown["reply"] = {"status": answer.status, "headers": _headers(answer), "body": _text(answer.body)}
    if not is_accepted:
        shown["hint"] = hint(answer)
    return shown


def _headers(reply: Reply) -> dict[str, str]:
    given = (
        ("content-type", reply.content_type),
        ("date", reply.date),
        ("retry-after", reply.retry_after),
    )
    return {name: value.decode("latin-1").replace("\n", ", ") for name, value in given if value}


def _text(raw: bytes) -> str:
    return printable(raw.decode("utf-8", "replace"))
