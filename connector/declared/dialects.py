"""Dialects as people declare them: one by name, or a variant of one with options that differ.

Settings name variants for everyone; a subscription may carry one of its own. The options and their checks
are :func:`connector.core.derive.derive`'s; here only durations are read as they are everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import orjson

from connector.core.derive import derive
from connector.core.dialect import Dialect
from connector.core.units import parse_duration_ms
from connector.declared.explain import nearest


@dataclass(frozen=True, slots=True)
class DialectChoice:
    """A dialect's name, and what differs from it."""

    base: str
    options: Mapping[str, object] = field(default_factory=dict)


def dialect_choice(declared: object) -> DialectChoice:
    """``networked`` or ``{base: networked, signature: {timestamp: signed}}``. Raises :class:`ValueError`."""
    match declared:
        case DialectChoice():
            return declared
        case str(name):
            return DialectChoice(name)
        case {"base": str(name), **options}:
            return DialectChoice(name, {str(option): value for option, value in options.items()})
    raise ValueError("must be a dialect's name, or {base: NAME} with the options that differ")


def chosen_dialect(choice: DialectChoice, dialects: Mapping[str, Dialect]) -> Dialect:
    """The dialect of a subscription.

    A variant is named after its base and options, so that equal variants are one dialect and different
    ones never share what is remembered by name. Raises :class:`ValueError`.
    """
    if not choice.options:
        return _base(choice, dialects)
    digest = blake2b(orjson.dumps(choice.options, option=orjson.OPT_SORT_KEYS), digest_size=5).hexdigest()
    return named_dialect(f"{choice.base[:50]}-{digest}", choice, dialects)


def named_dialect(name: str, choice: DialectChoice, dialects: Mapping[str, Dialect]) -> Dialect:
    """``choice`` under a name of its own. Raises :class:`ValueError` for an option that will not do."""
    options = dict(choice.options)
    if "name" in options:
        raise ValueError("name: no such option; a dialect is named where it is declared")
    if "ladder" in options:
        options["ladder_ms"] = _durations_ms("ladder", options.pop("ladder"))
    if "timeout" in options:
        options["timeout_ms"] = _duration_ms("timeout", options.pop("timeout"))
    return derive(_base(choice, dialects), name=name, **options)


def _base(choice: DialectChoice, dialects: Mapping[str, Dialect]) -> Dialect:
    base = dialects.get(choice.base)
    if base is None:
        raise ValueError(f"there is no dialect {choice.base!r}{nearest(choice.base, dialects)}")
    return base


def _durations_ms(option: str, declared: object) -> tuple[int, ...]:
    if not isinstance(declared, list):
        raise ValueError(f"{option}: must be a list of durations, such as [30s, 5m]")
    return tuple(_duration_ms(option, each) for each in declared)


def _duration_ms(option: str, declared: object) -> int:
    if not isinstance(declared, str):
        raise ValueError(f"{option}: must be a number with its unit, such as 30s")
    return parse_duration_ms(declared)
