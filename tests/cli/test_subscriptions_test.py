from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.cli.main import main
from connector.core.dialect import DIALECTS
from connector.core.verify import verify
from connector.webhook import ed25519
from tests.support.receiver import Behaviour, Receiver, Signature

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        running.check("/ok", Signature(secret=SECRET))
        yield running


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs ``subscriptions test`` in a folder; code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        guard = ("--allow-http", "--allow-network", "127.0.0.0/8")
        code = main(["subscriptions", "test", *words, *guard])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def declare(folder: Path, url: str, **more: Any) -> None:
    one = {"id": "partner", "url": url, "events": ["post.*"], "secrets": {"current": SECRET}, **more}
    other = {**one, "id": "other", "ladder": ["30s"]}
    (folder / "subscriptions.yaml").write_text(json.dumps({"subscriptions": [one, other]}))


def test_an_accepted_event_is_signed_and_shown_with_its_reply(
    call: Call, receiver: Receiver, tmp_path: Path
) -> None:
    declare(tmp_path, receiver.url("/ok"))

    code, out, err = call("partner")

    assert (code, err) == (0, "")
    assert f"POST {receiver.url('/ok')}" in out
    assert "webhook-id: test_" in out
    assert '{"type":"post.created","timestamp":"' in out
    assert "HTTP 200 after " in out
    assert "Accepted: in standard-webhooks, any 2xx means yes." in out
    assert "The connector would settle it" in out
    counts = receiver.counts("/ok")
    assert (counts.checked, counts.bad_signatures) == (1, 0)


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_the_query_of_the_url_is_sent_and_not_shown(
    flags: tuple[str, ...], call: Call, receiver: Receiver, tmp_path: Path
) -> None:
    declare(tmp_path, receiver.url("/ok?token=hunter2"))

    code, out, _ = call("partner", *flags)

    assert code == 0
    assert receiver.url("/ok?...") in out
    assert "hunter2" not in out


def test_the_result_as_json_names_request_reply_and_next_step(
    call: Call, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.behave("/busy", Behaviour(status=429, retry_after="600"))
    declare(tmp_path, receiver.url("/busy"))

    code, out, _ = call("partner", "--event", "post.deleted", "--json")

    shown = json.loads(out)
    assert code == 1
    assert shown["event"]["type"] == "post.deleted"
    assert shown["event"]["id"] == shown["request"]["headers"]["webhook-id"]
    assert json.loads(shown["request"]["body"])["type"] == "post.deleted"
    assert shown["reply"]["status"] == 429
    assert shown["reply"]["headers"]["retry-after"] == "600"
    assert shown["accepted"] is False
    assert shown["next_step"] == "try it again in 10m, as Retry-After asks (attempt 2 of 10)"
    assert "asked too often" in shown["hint"]
    assert SECRET not in out


@pytest.mark.parametrize(
    ("status", "more", "words"),
    [
        (500, {}, "try it again in 5s (attempt 2 of 10)"),
        (401, {}, "same secret and dialect"),
        (302, {}, "A redirect is never followed"),
        (204, {"dialect": "notify"}, "that is 200"),
        (410, {}, "webhooks.dead-letters (gone)"),
        (410, {"dialect": "bellamy"}, "try it again in 5s"),
        (500, {"ladder": []}, "webhooks.dead-letters (exhausted)"),
    ],
)
def test_what_was_not_accepted_says_what_follows_and_what_may_lie_behind_it(
    call: Call, receiver: Receiver, tmp_path: Path, status: int, more: dict[str, Any], words: str
) -> None:
    receiver.behave("/no", Behaviour(status=status))
    declare(tmp_path, receiver.url("/no"), **more)

    code, out, _ = call("partner")

    assert code == 1
    assert f"HTTP {status} after " in out
    assert "Not accepted: " in out
    assert words in out


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [("/hangs", "timeout", "answer at once"), ("/closes", "reset", "instead of answering")],
)
def test_no_reply_ends_with_3_and_the_kind_of_failure(
    call: Call, receiver: Receiver, tmp_path: Path, path: str, kind: str, words: str
) -> None:
    receiver.behave("/hangs", Behaviour(hangs=True))
    receiver.behave("/closes", Behaviour(closes=True))
    declare(tmp_path, receiver.url(path), limits={"timeout": "1s"})

    code, out, _ = call("partner")

    assert code == 3
    assert f"No reply ({kind}) after " in out
    assert "try it again in 5s" in out
    assert words in out


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_what_may_be_the_proxys_fault_or_the_receivers_is_said_to_be_just_that(
    flags: tuple[str, ...], call: Call, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.behave("http://partner.example/", Behaviour(status=407))  # a proxy is asked for the whole URL
    declare(tmp_path, "http://partner.example/", proxy=receiver.url("/"))

    code, out, _ = call("partner", *flags)

    assert code == 3
    assert "without counting this attempt: the fault may be the proxy's or the receiver's" in out
    assert "see what the proxy's own log says" in out
    assert "this side" not in out


def test_a_proxy_that_is_not_there_is_a_fault_on_this_side(call: Call, tmp_path: Path) -> None:
    declare(tmp_path, "http://partner.example/", proxy="http://127.0.0.1:1")

    code, out, _ = call("partner")

    assert code == 3
    assert "without counting this attempt: the fault is on this side" in out


def test_nobody_listening_ends_with_3_as_json_too(call: Call, tmp_path: Path) -> None:
    declare(tmp_path, "http://127.0.0.1:1/")

    code, out, _ = call("partner", "--json")

    assert code == 3
    assert json.loads(out)["failure"]["kind"] == "connect"


def test_a_name_that_points_at_a_forbidden_address_is_not_sent_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], receiver: Receiver
) -> None:
    monkeypatch.chdir(tmp_path)
    declare(tmp_path, f"http://localhost:{receiver.port}/guarded")

    code = main(["subscriptions", "test", "partner", "--allow-http"])

    out = capsys.readouterr().out
    assert code == 1
    assert "No reply (forbidden)" in out
    assert "allow_networks" in out
    assert receiver.counts("/guarded").requests == 0


def test_a_type_of_nobodys_and_a_paused_subscription_are_warned_of_and_sent(
    call: Call, receiver: Receiver, tmp_path: Path
) -> None:
    declare(tmp_path, receiver.url("/ok"), paused=True)

    code, out, err = call("partner", "--event", "order.shipped")

    assert code == 0
    assert "does not subscribe to order.shipped" in err
    assert "is paused" in err
    assert '"data":{"message":"This is a test event."}' in out


@pytest.mark.parametrize(
    ("events", "chosen"),
    [
        (["friend.**"], "friend.request.accepted"),
        (["order.*", "order.shipped"], "order.shipped"),
        (["order.*"], "webhook.test"),
    ],
)
def test_without_a_type_one_is_chosen_that_the_subscription_gets(
    call: Call, receiver: Receiver, tmp_path: Path, events: list[str], chosen: str
) -> None:
    declare(tmp_path, receiver.url("/ok"), events=events)

    shown = json.loads(call("partner", "--json")[1])

    assert shown["event"]["type"] == chosen


def test_an_ed25519_key_signs_and_its_public_half_verifies(
    call: Call, receiver: Receiver, tmp_path: Path
) -> None:
    private = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
    public = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
    declare(tmp_path, receiver.url("/keyed"), secrets={"current": private})

    code, out, _ = call("partner", "--json")

    request = json.loads(out)["request"]
    headers, body = request["headers"], request["body"].encode()
    sent_s = int(headers["webhook-timestamp"])
    assert code == 0
    assert headers["webhook-signature"].startswith("v1a,")
    verdict = verify(
        DIALECTS["standard-webhooks"], public, headers, body, sent_s, verify_ed25519=ed25519.verify
    )
    assert verdict.is_valid


def test_an_unknown_id_is_answered_with_the_nearest(call: Call, receiver: Receiver, tmp_path: Path) -> None:
    declare(tmp_path, receiver.url("/ok"))

    code, out, err = call("partnre")

    assert (code, out) == (2, "")
    assert "no subscription is called 'partnre'; did you mean partner?" in err


def test_an_unsound_file_is_named_with_its_mistakes(call: Call, tmp_path: Path) -> None:
    declare(tmp_path, "ftp://127.0.0.1/")

    code, _, err = call("partner")

    assert code == 1
    assert "the URL's scheme is 'ftp'" in err


def test_a_reply_cannot_command_the_terminal(call: Call, tmp_path: Path) -> None:
    from connector.cli.commands.subscriptions.test import _text

    assert _text(b"\x1b[2Jgone\n\xff") == "\\x1b[2Jgone\n�"
