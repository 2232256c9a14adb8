"""Settings from the environment: ``WEBHOOK_CONNECTOR_HTTP__PORT`` is ``http.port``.

A value that begins with ``[`` or ``{`` is a list or group in YAML's flow style (JSON is that, too). A name
under our prefix that means nothing is refused like any other typing mistake, except for what Kubernetes adds
by itself when a Service is called ``webhook-connector``.
"""

from __future__ import annotations

import os
import re
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource
from pydantic_settings import SettingsError as SourceError

from connector.declared.annotations import options_of
from connector.declared.document import parse_document
from connector.declared.explain import nearest
from connector.declared.problem import Mistakes, Path, Problem
from connector.settings.model import ENV_DELIMITER, ENV_PREFIX, Settings

CONFIG_VARIABLE = f"{ENV_PREFIX}CONFIG"
"""Names the settings file; not a setting itself."""

LIKENESS = 0.92
"""How alike names must be to be suggested; all begin with the same 18 characters."""

_SERVICE = re.compile(rf"{ENV_PREFIX}(\w+_)?SERVICE_(HOST|PORT(_\w+)?)")
_LINKED_PORT = re.compile(rf"{ENV_PREFIX}(\w+_)?PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?")
_LINK = re.compile(r"(tcp|udp|sctp)://")


def environment_values() -> dict[str, Any]:  # Any: whatever the variables hold
    """What the environment sets, nested as the settings are. Raises :class:`Mistakes`."""
    _refuse_unknown()
    try:
        return _Source(Settings)()
    except SourceError as error:
        if isinstance(error.__cause__, Mistakes):
            raise error.__cause__ from None
        raise


def variable_of(path: Path) -> str:
    """The variable that sets the setting at ``path``."""
    return ENV_PREFIX + ENV_DELIMITER.join(str(step) for step in path).upper()


def decode_flow(text: str, *, place: str) -> object:
    """A list or group written on one line, or the text itself. Raises :class:`Mistakes`."""
    return parse_document(text.encode(), name=place).values if text.lstrip()[:1] in ("[", "{") else text


class _Source(EnvSettingsSource):
    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # Any: as inherited
        del field
        return decode_flow(value, place=f"environment, {field_name}")


def _refuse_unknown() -> None:
    problems = []
    for name, value in os.environ.items():
        if not name.upper().startswith(ENV_PREFIX) or name.upper() == CONFIG_VARIABLE:
            continue
        first = name[len(ENV_PREFIX) :].lower().split(ENV_DELIMITER)[0]
        if first not in Settings.model_fields and not _is_service_link(name, value):
            text = f"there is no such setting{nearest(name.upper(), _variables(), likeness=LIKENESS)}"
            problems.append(Problem(place=f"environment {name}", text=text))
    if problems:
        raise Mistakes(problems)


def _is_service_link(name: str, value: str) -> bool:
    port = _LINKED_PORT.fullmatch(name)
    is_port = port is not None and (port[2] is not None or _LINK.match(value) is not None)
    return is_port or _SERVICE.fullmatch(name) is not None


def _variables(model: type[BaseModel] = Settings, path: Path = ()) -> list[str]:
    """The variable of every setting."""
    found = []
    for name, info in model.model_fields.items():
        found.append(variable_of((*path, name)))
        for option in options_of(info.annotation):
            if isinstance(option, type) and issubclass(option, BaseModel):
                found += _variables(option, (*path, name))
    return found
