"""Whether files changed, seen through links and past coarse time stamps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from connector.subscriptions.look import SETTLING_NS, Looks, are_same, look_at

LONG_AFTER_NS = 10**19
"""A time at which every file written by a test has settled."""


def _look(file: Path, before: Looks | None = None, now_ns: int = LONG_AFTER_NS) -> Looks:
    return look_at([file], before or {}, now_ns=now_ns)


def test_a_file_that_nobody_touched_is_the_same_and_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("one")
    before = _look(file)

    after = _look(file, before)

    assert are_same(before, after)
    assert after[file] is before[file]


def test_a_file_with_other_content_changed(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("one")
    before = _look(file)

    file.write_text("two, longer")

    assert not are_same(before, _look(file, before))


def test_a_file_that_was_only_touched_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("one")
    before = _look(file)

    os.utime(file, ns=(1, 1))

    assert are_same(before, _look(file, before))


def test_a_change_that_hides_behind_the_same_status_is_seen_while_the_file_is_young(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("one")
    young_ns = file.stat().st_mtime_ns + SETTLING_NS
    look = _look(file, now_ns=young_ns)[file]

    # The same status with other bytes is what a second write within one tick of the clock looks like.
    file.write_text("two")
    status = _look(file, now_ns=young_ns)[file].status
    before = {file: type(look)(status=status, digest=look.digest, is_settled=look.is_settled)}

    assert not look.is_settled
    assert not are_same(before, _look(file, before, now_ns=young_ns))


def test_a_file_that_goes_and_one_that_comes_are_changes(tmp_path: Path) -> None:
    file = tmp_path / "f"
    nothing = _look(file)
    file.write_text("one")
    something = _look(file, nothing)
    file.unlink()

    assert not are_same(nothing, something)
    assert not are_same(something, _look(file, something))
    assert are_same(nothing, _look(file, something))


def test_the_swap_of_a_config_maps_link_is_a_change(tmp_path: Path) -> None:
    for name, content in (("..2026_01", "one"), ("..2026_02", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(content)
    (tmp_path / "..data").symlink_to("..2026_01")
    file = tmp_path / "f"
    file.symlink_to("..data/f")
    before = _look(file)

    (tmp_path / "..new").symlink_to("..2026_02")
    (tmp_path / "..new").rename(tmp_path / "..data")

    assert not are_same(before, _look(file, before))


def test_a_folder_in_the_place_of_a_file_counts_as_nothing_to_read(tmp_path: Path) -> None:
    assert _look(tmp_path)[tmp_path].digest is None


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]])
def test_other_files_are_not_the_same(tmp_path: Path, names: list[str]) -> None:
    before = look_at([tmp_path / "a", tmp_path / "b"], {}, now_ns=0)

    assert not are_same(before, look_at([tmp_path / name for name in names], before, now_ns=0))
