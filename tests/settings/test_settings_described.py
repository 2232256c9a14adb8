"""Every setting says what it is for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from connector.declared.annotations import options_of
from connector.settings import Settings


def _settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, info in model.model_fields.items():
        groups = [
            each
            for each in options_of(info.annotation)
            if isinstance(each, type) and issubclass(each, BaseModel)
        ]
        if not groups:
            yield prefix + name, info
        for group in groups:
            yield from _settings(group, f"{prefix}{name}.")


@pytest.mark.parametrize(("name", "info"), list(_settings(Settings)))
def test_a_setting_is_described_in_a_sentence(name: str, info: FieldInfo) -> None:
    assert info.description, name
    assert info.description.endswith("."), name


@pytest.mark.parametrize(
    ("name", "info"),
    [
        (name, info)
        for name, info in _settings(Settings)
        if type(info.default) is int and not name.endswith("port")
    ],
)
def test_a_number_says_why_it_is_that_number(name: str, info: FieldInfo) -> None:
    assert info.description
    assert len(info.description.split(". ")) > 1, name
