"""Variants of a dialect, and dialects of an operator's own: a base and the options that differ.

The options come as a configuration file gives them, so each is checked for its type and value here,
with its name in the message; how they fit together is judged by :mod:`connector.core.dialect`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

from connector.core.dialect import (
    Accepted,
    Dialect,
    DialectError,
    Encoding,
    HmacSignature,
    MemberKind,
    Mode,
    SignedTime,
    TimeFormat,
)


def derive(base: Dialect, **options: object) -> Dialect:
    """``base`` with these options changed, as they come out of a configuration file.

    ``name``, ``accepted``, ``ladder_ms``, ``timeout_ms`` and ``gone_is_final`` are the dialect's;
    ``members`` (name to kind, in order), ``timestamp`` and ``content_type`` belong to a JSON
    envelope, ``mode`` to a CloudEvents one; ``signature`` holds the options of
    :class:`HmacSignature`. Raises :class:`DialectError` for an option that does not exist, does not
    belong to this base, or has a value that will not do.
    """
    changes = _checked(_OPTIONS, options, "")
    of_envelope = {option: changes.pop(option) for option in _ENVELOPE_OPTIONS if option in changes}
    for option in of_envelope:
        if option not in base.envelope.__slots__:
            raise DialectError(f"{option}: does not belong to a dialect based on {base.name}")
    if "signature" in changes:
        if not isinstance(base.signature, HmacSignature):
            raise DialectError(f"signature: is fixed in a dialect based on {base.name}")
        changes["signature"] = replace(base.signature, **changes["signature"])
    return replace(base, envelope=replace(base.envelope, **of_envelope), **changes)


def _checked(checks: Mapping[str, Check], options: Mapping[str, object], path: str) -> dict[str, Any]:
    for option in options:
        if option not in checks:
            raise DialectError(f"{path}{option}: no such option; there are {', '.join(sorted(checks))}")
    return {option: checks[option](path + option, value) for option, value in options.items()}


Check = Callable[[str, object], Any]  # Any: a checked value, of the type that its option has
"""Takes an option's name and raw value; gives the value as the dialect holds it."""


def _one_of(kind: Any) -> Check:  # Any: a Literal is no type that can be spelled
    choices: tuple[str, ...] = get_args(kind)

    def check(option: str, value: object) -> Any:  # Any: see Check
        # YAML reads an unquoted 200 as a number and a bare off as false.
        text = {"200": "200", "False": "off"}.get(str(value), value)
        if text not in choices:
            raise DialectError(f"{option}: must be one of {', '.join(choices)}, not {value!r}")
        return text

    return check


def _text(option: str, value: object) -> str:
    if not isinstance(value, str):
        raise DialectError(f"{option}: must be text, not {value!r}")
    return value


def _flag(option: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise DialectError(f"{option}: must be true or false, not {value!r}")
    return value


def _whole_number(option: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise DialectError(f"{option}: must be a whole number of milliseconds, not {value!r}")
    return value


def _whole_numbers(option: str, value: object) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)):
        raise DialectError(f"{option}: must be a list of milliseconds, not {value!r}")
    return tuple(_whole_number(option, each) for each in value)


def _members(option: str, value: object) -> tuple[tuple[str, MemberKind], ...]:
    if not isinstance(value, Mapping) or not value:
        raise DialectError(f"{option}: must name each member and what it holds, such as 'event: type'")
    check = _one_of(MemberKind)
    return tuple((_text(option, name), check(f"{option}.{name}", kind)) for name, kind in value.items())


def _signature(option: str, value: object) -> dict[str, Any]:  # Any: see Check
    if not isinstance(value, Mapping):
        raise DialectError(f"{option}: must hold options such as 'header: X-Signature'")
    return _checked(_SIGNATURE_OPTIONS, value, f"{option}.")


_ENVELOPE_OPTIONS: Mapping[str, Check] = {
    "members": _members,
    "timestamp": _one_of(TimeFormat),
    "content_type": _text,
    "mode": _one_of(Mode),
}
_SIGNATURE_OPTIONS: Mapping[str, Check] = {
    "header": _text,
    "prefix": _text,
    "encoding": _one_of(Encoding),
    "timestamp": _one_of(SignedTime),
    "timestamp_header": _text,
    "template": _text,
}
_OPTIONS: Mapping[str, Check] = {
    **_ENVELOPE_OPTIONS,
    "name": _text,
    "signature": _signature,
    "accepted": _one_of(Accepted),
    "ladder_ms": _whole_numbers,
    "timeout_ms": _whole_number,
    "gone_is_final": _flag,
}
