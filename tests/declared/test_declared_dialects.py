"""Dialects as people declare them."""

from __future__ import annotations

import pytest

from connector.core.dialect import BELLAMY, DIALECTS, NETWORKED, HmacSignature
from connector.declared.dialects import DialectChoice, chosen_dialect, dialect_choice, named_dialect


def test_a_name_is_the_dialect_itself() -> None:
    assert chosen_dialect(dialect_choice("bellamy"), DIALECTS) is BELLAMY


def test_a_variant_differs_in_its_options_and_has_a_name_of_its_own() -> None:
    choice = dialect_choice({"base": "networked", "signature": {"timestamp": "signed"}})

    dialect = chosen_dialect(choice, DIALECTS)

    assert isinstance(dialect.signature, HmacSignature)
    assert dialect.signature.timestamp == "signed"
    assert dialect.name.startswith("networked-")
    assert dialect.name != NETWORKED.name


def test_equal_variants_are_one_dialect_and_different_ones_never_share_a_name() -> None:
    one = chosen_dialect(DialectChoice("networked", {"timestamp": "number"}), DIALECTS)
    same = chosen_dialect(DialectChoice("networked", {"timestamp": "number"}), DIALECTS)
    other = chosen_dialect(DialectChoice("networked", {"timestamp": "seconds"}), DIALECTS)

    assert one == same
    assert one.name != other.name


def test_a_ladder_and_a_timeout_are_durations_as_everywhere() -> None:
    dialect = named_dialect(
        "acme", DialectChoice("notify", {"ladder": ["30s", "5m"], "timeout": "5s"}), DIALECTS
    )

    assert dialect.name == "acme"
    assert dialect.ladder_ms == (30_000, 300_000)
    assert dialect.timeout_ms == 5_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ladder": "30s"}, r"ladder: must be a list of durations"),
        ({"ladder": [30]}, r"ladder: must be a number with its unit"),
        ({"timeout": "soon"}, r"'soon' is not a duration"),
        ({"name": "x"}, r"name: no such option"),
        ({"colour": "red"}, r"colour: no such option"),
    ],
)
def test_an_option_that_will_not_do_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        named_dialect("acme", DialectChoice("notify", options), DIALECTS)


def test_an_unknown_base_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"there is no dialect 'belamy'; did you mean bellamy\?"):
        chosen_dialect(DialectChoice("belamy"), DIALECTS)


@pytest.mark.parametrize("declared", [5, None, {}, {"signature": {}}, {"base": 5}])
def test_what_names_no_base_is_refused(declared: object) -> None:
    with pytest.raises(ValueError, match=r"must be a dialect's name, or \{base: NAME\}"):
        dialect_choice(declared)
