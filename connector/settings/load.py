"""From flags, environment and file to :class:`Settings`, remembering where each value came from.

pydantic-settings reads the environment; merging is done here, because a message that names a setting must
also say who set it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, get_origin

from pydantic import SecretStr, ValidationError

from connector.declared.annotations import annotation_at, options_of
from connector.declared.document import Document, read_document
from connector.declared.explain import explain
from connector.declared.problem import Mistakes, Path, Problem, path_text
from connector.settings.environment import CONFIG_VARIABLE, decode_flow, environment_values, variable_of
from connector.settings.model import Settings


class SettingsError(ValueError):
    """The settings cannot be used. One line per mistake: where it was set, what is wrong, and the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A setting on the command line: ``name`` as typed there, ``path`` as in ``http.port``."""

    name: str
    path: str
    value: str | bool | list[str]


def load_settings(
    flags: Sequence[Flag] = (), *, config_file: FilePath | None = None, needs: Sequence[str] = ()
) -> Settings:
    """All settings: flags before environment before file before defaults.

    Without ``config_file`` the file is the one ``WEBHOOK_CONNECTOR_CONFIG`` names, or none. ``needs`` are
    settings, such as ``"topics"``, that the caller cannot do without. Raises :class:`SettingsError`.
    """
    try:
        return _load(flags, config_file, needs)
    except Mistakes as mistakes:
        raise SettingsError(str(mistakes)) from None


def how_to_set(path: Path) -> str:
    """The cure for a setting that is missing: the three ways to give it."""
    name = path_text(path)
    return f"set it as {name} in the settings file, as {variable_of(path)}, or with --set {name}=…"


def _load(flags: Sequence[Flag], config_file: FilePath | None, needs: Sequence[str]) -> Settings:
    layers = [_flags(flags), _environment(), *_file(config_file)]
    values: dict[str, Any] = {}  # Any: not judged yet, here and below
    for layer in reversed(layers):
        values = _merged(values, layer.values, path=())

    def locate(path: Path, *, of_key: bool) -> str:
        deepest = max(layers, key=lambda layer: layer.depth(path))  # of equals the first: it has precedence
        return deepest.place(path, of_key=of_key) if deepest.depth(path) else "settings"

    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise Mistakes(explain(error, Settings, locate, how_to_set=how_to_set)) from None
    missing = [tuple(name.split(".")) for name in needs if not _value_at(settings, name)]
    if missing:
        raise Mistakes(
            [Problem(place="settings", path=path, text=f"is missing; {how_to_set(path)}") for path in missing]
        )
    return settings


# ── layers ──────────────────────────────────────────────────────────────────────────────────────


class _Layer:
    """The values of one source, nested as the settings are; ``names`` says what set what is at a path."""

    def __init__(self, values: Any, *, names: Callable[[Path], str]) -> None:
        self.values = values
        self._names = names

    def depth(self, path: Path) -> int:
        """How many steps of ``path`` this source has a value for."""
        container = self.values
        for depth, step in enumerate(path):
            try:
                container = container[step]
            except (KeyError, IndexError, TypeError):
                return depth
        return len(path)

    def place(self, path: Path, *, of_key: bool) -> str:
        del of_key  # only a file has keys that stand elsewhere than their values
        return self._names(path)


class _FileLayer(_Layer):
    def __init__(self, document: Document) -> None:
        super().__init__(document.values or {}, names=document.place)
        self._document = document

    def place(self, path: Path, *, of_key: bool) -> str:
        return self._document.place(path, of_key=of_key)


def _flags(flags: Sequence[Flag]) -> _Layer:
    values: dict[str, Any] = {}
    names: dict[Path, str] = {}
    for flag in flags:
        path = _path_of(flag.path)
        value: Any = flag.value
        if isinstance(value, str) and not {str, SecretStr} & set(options_of(annotation_at(Settings, path))):
            value = decode_flow(value, place=f"flag {flag.name}")
        for step in reversed(path):
            value = {step: value}
        values = _merged(values, value, path=())
        names[path] = flag.name

    def name(path: Path) -> str:
        given = [each for each in names if each == path[: len(each)] or path == each[: len(path)]]
        return f"flag {names[given[-1]]}"

    return _Layer(values, names=name)


def _path_of(dotted: str) -> tuple[str, ...]:
    """The steps of ``http.port``. Below a dict the rest is one key: ``kafka.properties.sasl.username``."""
    steps: tuple[str, ...] = ()
    rest = dotted
    while rest:
        is_dict = any(get_origin(option) is dict for option in options_of(annotation_at(Settings, steps)))
        step, _, rest = (rest, "", "") if is_dict else rest.partition(".")
        steps += (step,)
    return steps


def _environment() -> _Layer:
    set_here = {name.upper() for name in os.environ}

    def name(path: Path) -> str:
        for length in range(len(path), 0, -1):
            if (variable := variable_of(path[:length])) in set_here:
                return f"environment {variable}"
        return f"environment {variable_of(path)}…"

    return _Layer(environment_values(), names=name)


def _file(config_file: FilePath | None) -> list[_Layer]:
    named = config_file or os.environ.get(CONFIG_VARIABLE)
    if not named:
        return []
    document = read_document(FilePath(named))
    if not isinstance(document.values, dict | None):
        text = "must hold settings, such as 'prefix: webhooks'"
        raise Mistakes([Problem(place=document.place(()), text=text)])
    return [_FileLayer(document)]


def _merged(below: Any, above: Any, *, path: Path) -> Any:
    """``above`` over ``below``: groups member by member, everything else whole."""
    options = options_of(annotation_at(Settings, path))
    is_group = any(get_origin(option) is dict or hasattr(option, "model_fields") for option in options)
    if not (is_group and isinstance(below, dict) and isinstance(above, dict)):
        return above
    merged = dict(below)
    for key, value in above.items():
        merged[key] = _merged(below[key], value, path=(*path, key)) if key in below else value
    return merged


def _value_at(settings: Settings, name: str) -> Any:
    """``None`` also where a whole group of settings is missing."""
    value: Any = settings
    for step in name.split("."):
        value = None if value is None else getattr(value, step)
    return value
