"""A subscriptions file with mistakes: each is told, with its place and its cure, and none tells a secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connector.declared.document import parse_document
from connector.subscriptions.file import Unusable, load_subscriptions
from connector.subscriptions.form import formed
from connector.subscriptions.model import (
    SUBSCRIPTIONS_MAX,
    LimitsDeclared,
    SecretsDeclared,
    SubscriptionDeclared,
    SubscriptionsFile,
)
from tests.support.subscription_files import RULES, file_of

_MEMBERS = (*SubscriptionDeclared.model_fields, *SecretsDeclared.model_fields, *LimitsDeclared.model_fields)
_TEXTS = st.text("ab.*-:{", max_size=8)
_KEYS = st.sampled_from(_MEMBERS) | _TEXTS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "subscriptions.yaml"


def _mistakes(file: Path, text: str) -> list[str]:
    file.write_text(text)
    result = load_subscriptions(file, RULES)
    assert isinstance(result, Unusable)
    return str(result.mistakes).replace(f"{file}:", "").splitlines()


def test_a_missing_file_is_unusable(file: Path) -> None:
    result = load_subscriptions(file, RULES)

    assert isinstance(result, Unusable)
    assert str(result.mistakes) == f"{file}: cannot be read: No such file or directory; check the path"


def test_every_mistake_of_form_is_told_at_once_with_line_column_and_cure(file: Path) -> None:
    mistakes = _mistakes(
        file,
        """\
subscriptions:
- id: a
  url: https://receiver.example/
  evnts: [x]
  events: ["post.**.x", post.created]
  secrets: {curent: hunter2hunter2}
  headers: {Host: x, "b d": y}
  ladder: [30, 5x, 0s]
  limits: {in_flight: 0, timeout: 20}
  paused: 5
- id: 12
""",
    )

    assert mistakes == [
        "4:3: subscriptions[0].evnts: there is no such key; did you mean events?",
        "5:12: subscriptions[0].events[0]: In the pattern 'post.**.x' a star may only be the whole last "
        "segment, as in post.* or friend.**",
        "6:12: subscriptions[0].secrets.current: is missing; add 'current:' here",
        "6:13: subscriptions[0].secrets.curent: there is no such key; did you mean current?",
        "7:13: subscriptions[0].headers.Host: the header Host is set by the connector itself; remove it",
        "7:22: subscriptions[0].headers.b d: 'b d' is not a header name; use letters, digits and dashes",
        "8:12: subscriptions[0].ladder[0]: must be a number with its unit, such as 30s",
        "8:16: subscriptions[0].ladder[1]: '5x' is not a duration; write a number with ms, s, m, h, d, "
        "such as 30s or 1h30m",
        "8:20: subscriptions[0].ladder[2]: must be at least 1000 (it is '0s')",
        "9:23: subscriptions[0].limits.in_flight: must be at least 1 (it is 0)",
        "9:35: subscriptions[0].limits.timeout: must be a number with its unit, such as 30s",
        "10:11: subscriptions[0].paused: must be true or false (it is 5)",
        "11:3: subscriptions[1].url: is missing; add 'url:' here",
        "11:3: subscriptions[1].events: is missing; add 'events:' here",
        "11:3: subscriptions[1].secrets: is missing; add 'secrets:' here",
        "11:7: subscriptions[1].id: must be text; put it in quotes (it is 12)",
    ]


def test_every_mistake_of_meaning_is_told_at_once(file: Path) -> None:
    mistakes = _mistakes(
        file,
        """\
subscriptions:
- id: a
  url: http://receiver.example/
  events: [post.created]
  dialect: belamy
  secrets: {current: {env: NOT_SET_ANYWHERE}, previous: {file: none}}
  headers: {Authorization: "two\\nlines"}
- id: a
  url: https://receiver.example/
  events: [post.created]
  dialect: {base: notify, signature: {header: X-Mine}}
  secrets: {current: short}
  headers: {X-Mine: mine}
""",
    )

    assert mistakes == [
        "3:8: subscriptions[0].url: use https",
        "5:12: subscriptions[0].dialect: there is no dialect 'belamy'; did you mean bellamy?",
        "6:22: subscriptions[0].secrets.current: the environment variable NOT_SET_ANYWHERE is not set; "
        "set it, or name another",
        f"6:57: subscriptions[0].secrets.previous: the file {file.parent}/none cannot be read: "
        "No such file or directory",
        "7:28: subscriptions[0].headers.Authorization: a header value must be printable ASCII on one "
        "line, not empty, without blanks around it",
        f"8:7: subscriptions[1].id: a is already the id of the one at {file}:2:7; give it another".replace(
            f"{file}:", ""
        ),
        "12:22: subscriptions[1].secrets.current: the secret is too short; this dialect needs at least 8 "
        "bytes",
        mistakes[-1],
    ]
    assert mistakes[-1].startswith("13:21: subscriptions[1].headers.X-Mine: the dialect notify-")


def test_mistakes_of_form_and_of_meaning_are_told_together_by_line(file: Path) -> None:
    mistakes = _mistakes(
        file,
        """\
subscriptions:
- id: a
  url: http://receiver.example/
  events: [post.created]
  dialect: notify
  secrets: {current: {env: NOT_SET_ANYWHERE}, previus: x}
  paused: 5
- id: a
  url: https://receiver.example/
  events: [post.created, 7]
  dialect: 7
  secrets: {current: short}
- hello
- id: a
  url: https://receiver.example/
  events: [post.created]
  dialect: belamy
  secrets: {current: {file: none}, previous: [x]}
  headers: {Host: x, X-A: "two\\nlines"}
extra: 1
""",
    )

    assert mistakes == [
        "3:8: subscriptions[0].url: use https",
        "6:22: subscriptions[0].secrets.current: the environment variable NOT_SET_ANYWHERE is not set; "
        "set it, or name another",
        "6:47: subscriptions[0].secrets.previus: there is no such key; did you mean previous?",
        "7:11: subscriptions[0].paused: must be true or false (it is 5)",
        "8:7: subscriptions[1].id: a is already the id of the one at 2:7; give it another",
        "10:26: subscriptions[1].events[1]: must be text; put it in quotes (it is 7)",
        "11:12: subscriptions[1].dialect: must be a dialect's name, or {base: NAME} with the options that "
        "differ",
        "13:3: subscriptions[2]: must hold members, such as 'name: value'",
        "14:7: subscriptions[3].id: a is already the id of the one at 2:7; give it another",
        "17:12: subscriptions[3].dialect: there is no dialect 'belamy'; did you mean bellamy?",
        f"18:22: subscriptions[3].secrets.current: the file {file.parent}/none cannot be read: No such file "
        "or directory",
        "18:46: subscriptions[3].secrets.previous: must be the text itself, {env: NAME} or {file: PATH}",
        "19:13: subscriptions[3].headers.Host: the header Host is set by the connector itself; remove it",
        "19:27: subscriptions[3].headers.X-A: a header value must be printable ASCII on one line, not empty, "
        "without blanks around it",
        "20:1: extra: there is no such key; known: subscriptions",
    ]


def test_of_what_cannot_be_read_nothing_more_is_said(file: Path) -> None:
    mistakes = _mistakes(
        file,
        """\
subscriptions:
- {}
- id: unread
  url: [https://receiver.example/]
  events: {}
  secrets: []
  headers: {X-A: b, x-a: c, Host: d}
""",
    )

    assert mistakes == [
        "2:3: subscriptions[0].id: is missing; add 'id:' here",
        "2:3: subscriptions[0].url: is missing; add 'url:' here",
        "2:3: subscriptions[0].events: is missing; add 'events:' here",
        "2:3: subscriptions[0].secrets: is missing; add 'secrets:' here",
        "4:8: subscriptions[1].url: must be text; put it in quotes",
        "5:11: subscriptions[1].events: must be a list, such as [a, b]",
        "6:12: subscriptions[1].secrets: must hold members, such as 'name: value'",
        "7:12: subscriptions[1].headers: x-a is declared twice; header names do not depend on case",
        "7:29: subscriptions[1].headers.Host: the header Host is set by the connector itself; remove it",
    ]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | _TEXTS,
        lambda each: st.lists(each, max_size=3) | st.dictionaries(_KEYS, each, max_size=4),
        max_leaves=30,
    )
)
def test_whatever_it_holds_a_file_is_judged(declared: object) -> None:
    subscriptions = [declared, {"secrets": declared, "headers": declared}, {"id": declared}]
    text = json.dumps({"subscriptions": subscriptions}, ensure_ascii=False)

    form = formed(parse_document(text.encode(), name="f"))

    assert form.problems
    assert len(form.declared.subscriptions) == 3


def test_a_file_that_was_missing_is_still_named_so_that_it_can_be_watched(file: Path) -> None:
    file.write_text(file_of("a").replace("correct-horse", "{file: mounted/secret}"))

    result = load_subscriptions(file, RULES)

    assert isinstance(result, Unusable)
    assert result.files == (file.parent / "mounted/secret",)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[]", "1:1: must begin with 'subscriptions:' and list them below it"),
        ("hello", "1:1: must begin with 'subscriptions:' and list them below it"),
        ("subscription: []", "1:1: subscriptions: is missing; add 'subscriptions:' here"),
        ("subscriptions: {}", "1:16: subscriptions: must be a list, such as [a, b]"),
        ("subscriptions: [5]", "1:17: subscriptions[0]: must hold members, such as 'name: value'"),
        ("subscriptions:\n- id: a\n  id: b\n", "3:3: the key 'id' stands twice, first in line 2; remove one"),
    ],
)
def test_a_file_of_another_shape_is_refused(file: Path, text: str, mistake: str) -> None:
    assert _mistakes(file, text)[0] == mistake


@pytest.mark.parametrize(
    "declared",
    ["secrets: hunter2hunter2", "secrets: [hunter2hunter2]", "secrets: {current: [hunter2hunter2]}",
     "secrets: {current: {value: hunter2hunter2}}", "headers: hunter2hunter2", "dialect: {x: hunter2hunter2}",
     "secrets: {current: hunter2}", "headers: {X-A: [hunter2hunter2]}"],
)  # fmt: skip
def test_no_message_ever_holds_what_could_be_a_secret(file: Path, declared: str) -> None:
    rest = "" if declared.startswith("secrets") else "  secrets: {current: correct-horse}\n"
    text = "subscriptions:\n- id: a\n  url: https://a.example/\n  events: [x]\n  dialect: bellamy\n"
    if declared.startswith("dialect"):
        text = text.replace("  dialect: bellamy\n", "")

    mistakes = _mistakes(file, f"{text}  {declared}\n{rest}")

    assert mistakes
    assert "hunter2" not in "\n".join(mistakes)


def test_a_header_may_not_be_declared_twice_in_other_letters(file: Path) -> None:
    assert _mistakes(file, file_of("a") + "  headers: {X-A: b, x-a: c}\n") == [
        "8:12: subscriptions[0].headers: x-a is declared twice; header names do not depend on case"
    ]


@pytest.mark.parametrize("id_", ["", "-a", "a b", "a/b", "é", "x" * 65])
def test_an_id_is_a_short_word(file: Path, id_: str) -> None:
    (mistake,) = _mistakes(file, file_of("a").replace("id: a", f'id: "{id_}"'))

    assert mistake.startswith("2:7: subscriptions[0].id: must match ")


def test_no_list_is_endless(file: Path) -> None:
    many = ", ".join(f"e.{n}" for n in range(1_001))
    headers = ", ".join(f"X-{n}: a" for n in range(51))
    text = file_of("a").replace("[post.created]", f"[{many}]") + f"  headers: {{{headers}}}\n"

    assert _mistakes(file, text) == [
        "4:11: subscriptions[0].events: must not have more than 1000 entries",
        "8:12: subscriptions[0].headers: must not have more than 50 entries",
    ]


def test_more_subscriptions_than_any_deployment_has_are_a_mistake() -> None:
    one = {"id": "a", "url": "https://a.example/", "events": ["*"], "secrets": {"current": "correct-horse"}}

    with pytest.raises(ValidationError, match="at most 20000 items"):
        SubscriptionsFile.model_validate({"subscriptions": [one] * (SUBSCRIPTIONS_MAX + 1)})


def test_bounds_of_lists_are_told(file: Path) -> None:
    assert _mistakes(file, file_of("a").replace("[post.created]", "[]")) == [
        "4:11: subscriptions[0].events: must have at least 1 entry"
    ]
    assert _mistakes(file, file_of("a") + f"  ladder: [{', '.join(['5s'] * 31)}]\n") == [
        "8:11: subscriptions[0].ladder: must not have more than 30 entries"
    ]


@pytest.mark.parametrize(
    ("declared", "mistake"),
    [
        ("usual", "must be none, standard, or a list of statuses such as [400, 422]"),
        ("422", "must be none, standard, or a list of statuses such as [400, 422]"),
        ("~", "must be none, standard, or a list of statuses such as [400, 422]"),
        ("[399]", "only statuses from 400 to 499 can be final: the others may pass; leave them out"),
        ("[404, 500]", "only statuses from 400 to 499 can be final: the others may pass; leave them out"),
        ("[4xx]", "only statuses from 400 to 499 can be final: the others may pass; leave them out"),
        ("[true]", "only statuses from 400 to 499 can be final: the others may pass; leave them out"),
        ("[429]", "429 cannot be final: it says that a request comes too often; leave it out"),
        ("[425]", "425 cannot be final: it says that a request is too early; leave it out"),
        ("[408]", "408 cannot be final: it says that a request timed out; leave it out"),
    ],
)
def test_a_status_that_may_pass_is_never_final(file: Path, declared: str, mistake: str) -> None:
    assert _mistakes(file, file_of("a") + f"  final_statuses: {declared}\n") == [
        f"8:19: subscriptions[0].final_statuses: {mistake}"
    ]


@pytest.mark.parametrize(
    ("declared", "mistake"),
    [
        ("0", "must be at least 0.001 (it is 0)"),
        (".nan", "must be a number (it is '.nan')"),
        ("100001", "must be at most 100000.0 (it is 100001)"),
        (".inf", "must be a number (it is '.inf')"),
        ("10/s", "must be a number (it is '10/s')"),
        ("true", "must be a number (it is True)"),
    ],
)
def test_a_rate_that_is_none_is_refused(file: Path, declared: str, mistake: str) -> None:
    assert _mistakes(file, file_of("a") + f"  limits: {{rate_per_s: {declared}}}\n") == [
        f"8:24: subscriptions[0].limits.rate_per_s: {mistake}"
    ]
