"""The kinds of value that both settings and subscriptions declare, as pydantic annotations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from connector.core.units import parse_duration_ms, parse_size_bytes


class Declared(BaseModel):
    """A group of members a person writes. Unknown members are refused; nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _parsed(parse: Callable[[str], int], example: str) -> BeforeValidator:
    """Text by ``parse``; a bare number is refused, since nothing says its unit."""

    def validate(declared: object) -> int:
        if not isinstance(declared, str):
            raise ValueError(f"must be a number with its unit, such as {example}")
        return parse(declared)

    return BeforeValidator(validate, json_schema_input_type=str)


def _parsed_or_number(parse: Callable[[str], int]) -> BeforeValidator:
    """Text by ``parse``; a bare number is in the unit that ends the setting's name."""

    def validate(declared: object) -> object:
        return parse(declared) if isinstance(declared, str) and not declared.isdecimal() else declared

    return BeforeValidator(validate, json_schema_input_type=int | str)


Duration = Annotated[int, _parsed(parse_duration_ms, "30s")]
"""Milliseconds, declared as ``30s``."""

Size = Annotated[int, _parsed(parse_size_bytes, "1MiB")]
"""Bytes, declared as ``1MiB``."""

Milliseconds = Annotated[int, _parsed_or_number(parse_duration_ms)]
"""Milliseconds, declared as ``5s`` or, for a name that ends in ``_ms``, as ``5000``."""

Bytes = Annotated[int, _parsed_or_number(parse_size_bytes)]
"""Bytes, declared as ``1MiB`` or, for a name that ends in ``_bytes`` or ``_bytes_max``, as ``1048576``."""
