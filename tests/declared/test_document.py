"""YAML into values that know where they stand; hostile files end in a message."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.declared.document import DEPTH_MAX, FILE_BYTES_MAX, parse_document, read_document
from connector.declared.problem import SHOWN_MAX, Mistakes, Problem, path_text


def _mistake(text: str) -> str:
    with pytest.raises(Mistakes) as caught:
        parse_document(text.encode(), name="f.yaml")
    return str(caught.value)


def test_values_are_plain_and_only_true_false_null_and_decimal_numbers_are_not_text() -> None:
    text = "a: [true, null, ~, 5, -7, 1.5]\nb: [off, yes, 007, 1e3, 0x1f, 12:30, 2026-01-15, '5', \"true\"]"

    values = parse_document(text.encode(), name="f.yaml").values

    assert values == {
        "a": [True, None, None, 5, -7, 1.5],
        "b": ["off", "yes", "007", "1e3", "0x1f", "12:30", "2026-01-15", "5", "true"],
    }


def test_a_key_is_a_word_even_when_it_looks_like_a_number() -> None:
    assert parse_document(b"5: a\ntrue: b", name="f").values == {"5": "a", "true": "b"}


def test_a_value_and_its_key_know_line_and_column() -> None:
    document = parse_document(b"# top\na:\n  b: [x,\n      y]\n", name="f.yaml")

    assert document.place(("a", "b", 1)) == "f.yaml:4:7"
    assert document.place(("a", "b"), of_key=True) == "f.yaml:3:3"
    assert document.place(("a", "b")) == "f.yaml:3:6"


def test_what_is_not_there_is_placed_at_the_nearest_thing_above_it() -> None:
    document = parse_document(b"a:\n  b: 1\n", name="f.yaml")

    assert document.place(("a", "c", "d")) == "f.yaml:2:3"
    assert document.place(("z",)) == "f.yaml:1:1"


def test_an_anchor_is_shared_by_its_aliases() -> None:
    document = parse_document(b"a: &ladder [5s]\nb: *ladder\nc: &word x\nd: *word", name="f.yaml")

    assert document.values == {"a": ["5s"], "b": ["5s"], "c": "x", "d": "x"}
    assert document.place(("b",)) == "f.yaml:2:4"


def test_aliases_of_aliases_cost_no_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, 30)]

    values = parse_document("\n".join(lines).encode(), name="f.yaml").values

    assert isinstance(values, dict)
    assert len(values) == 30


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse_document(b"\xef\xbb\xbfa: 1", name="f").values == {"a": 1}


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null"])
def test_nothing_is_none(text: str) -> None:
    assert parse_document(text.encode(), name="f").values is None


def test_every_duplicate_key_is_named_with_its_first_line() -> None:
    assert _mistake("a: 1\nb: 2\na: 3\nb: 4") == (
        "f.yaml:3:1: the key 'a' stands twice, first in line 1; remove one\n"
        "f.yaml:4:1: the key 'b' stands twice, first in line 2; remove one"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "f.yaml:2:1: is not YAML: did not find expected ',' or ']' "
         "(while parsing a flow sequence)"),
        ("a: b: c", "f.yaml:1:5: is not YAML: mapping values are not allowed in this context"),
        ("a: \x01", "f.yaml:1: is not YAML: control characters are not allowed"),
        ("a: *x", "f.yaml:1:4: *x is not defined above"),
        ("&a [*a]", "f.yaml:1:5: *a is not defined above"),
        ("a: !!binary aGk=", "f.yaml:1:4: the tag tag:yaml.org,2002:binary is not read; remove it, or put "
         "the value in quotes"),
        ("a: !x {}", "f.yaml:1:4: the tag !x is not read; remove it"),
        ("a: {<<: {}}", "f.yaml:1:5: merge keys (<<) are not read; write the members out"),
        ("{[a]: b}", "f.yaml:1:2: a key must be a word"),
        ("a\n---\nb", "f.yaml:2:1: a second document starts here; only one is read, remove the ---"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_its_place(text: str, message: str) -> None:
    assert _mistake(text).rstrip() == message


def test_bytes_that_are_no_utf_8_are_refused_with_their_line() -> None:
    with pytest.raises(Mistakes, match="f:2: is not UTF-8; save the file as UTF-8"):
        parse_document(b"a: 1\nb: \xff", name="f")


def test_nesting_is_bounded_and_100_000_brackets_do_not_crash() -> None:
    assert parse_document(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, name="f").values
    assert _mistake("[" * 100_000) == f"f.yaml:1:{DEPTH_MAX + 1}: nests deeper than {DEPTH_MAX} levels"


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    with file.open("wb") as opened:
        opened.truncate(FILE_BYTES_MAX + 1)

    with pytest.raises(Mistakes, match="is larger than 64 MiB"):
        read_document(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match=r"none\.yaml: cannot be read: No such file or directory"):
        read_document(tmp_path / "none.yaml")


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"\n \t#%@,?<~0"), max_size=60))
def test_any_text_gives_values_or_mistakes(text: str) -> None:
    with suppress(Mistakes):
        assert parse_document(text.encode(), name="f").name == "f"


def test_a_broken_template_does_not_fill_the_screen() -> None:
    problems = [Problem(place=f"f:{n}", text="x") for n in range(SHOWN_MAX + 3)]

    lines = str(Mistakes(problems)).splitlines()

    assert len(lines) == SHOWN_MAX + 1
    assert lines[-1] == "and 3 more"


def test_a_path_reads_like_an_expression() -> None:
    assert path_text(("topics", 2, "type")) == "topics[2].type"
    assert path_text(()) == ""
