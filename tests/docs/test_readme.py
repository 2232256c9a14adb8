"""The README says what is: its receiver code is the code the tests run, its settings are the settings.

``README=write`` puts the parts that are made from elsewhere into the README; without it they are compared.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from connector.core.dialect import DIALECTS
from connector.core.units import format_duration_ms
from connector.declared.annotations import options_of
from connector.settings import Settings
from connector.subscriptions.model import SubscriptionDeclared
from connector.telemetry import declared_metrics
from connector.telemetry.metrics import Metric

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
FATES = ("test_bad_input.py", "test_hostile_endpoints.py", "test_refusals.py")
RECEIVERS = ROOT / "tests" / "golden" / "receivers"


def receivers() -> str:
    blocks = []
    for dialect in DIALECTS:
        files = [RECEIVERS / f"{dialect}.js", RECEIVERS / f"{dialect.replace('-', '_')}.py"]
        languages = {".js": "js", ".py": "python"}
        code = "\n\n".join(f"```{languages[file.suffix]}\n{file.read_text().strip()}\n```" for file in files)
        blocks.append(f"<details><summary><code>{dialect}</code></summary>\n\n{code}\n\n</details>")
    return "\n\n".join(blocks)


def fates() -> str:
    """The tables in the docstrings of the tests that show these fates."""
    return "\n\n".join(_table_of(ROOT / "tests" / "integration" / name) for name in FATES)


def _table_of(module: Path) -> str:
    docstring = ast.get_docstring(ast.parse(module.read_text()))
    assert docstring is not None
    return "\n".join(line for line in docstring.splitlines() if line.startswith("|"))


def settings() -> str:
    return _table("setting", Settings)


def subscription() -> str:
    return _table("key", SubscriptionDeclared)


def metrics() -> str:
    rows = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    found = (each for each in vars(declared_metrics).values() if isinstance(each, Metric))
    for metric in found:
        name = metric.name.removeprefix("webhook_connector_") + ("_total" if metric.kind == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(rows)


def _table(head: str, model: type[BaseModel]) -> str:
    rows = [f"| {head} | default | meaning |", "| --- | --- | --- |"]
    rows += [
        f"| `{name}` | {_default(info)} | {info.description} |".replace("<", "&lt;")
        for name, info in _fields(model)
    ]
    return "\n".join(rows)


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, info in model.model_fields.items():
        if info.description:
            yield prefix + name, info
        for option in options_of(info.annotation):
            is_list = get_origin(option) is tuple
            inner = get_args(option)[0] if is_list else option
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from _fields(inner, f"{prefix}{name}{'[]' if is_list else ''}.")


def _default(info: FieldInfo) -> str:
    value: Any = info.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value in (None, "", (), {}) or isinstance(value, BaseModel) or "SecretStr" in repr(value):
        return "–"
    if isinstance(value, bool):
        return f"`{value}`".lower()
    if isinstance(value, int) and "in ms" in (info.description or ""):
        return f"`{format_duration_ms(value)}`" if value else "`0s`"
    return f"`{value}`"


MADE = {
    "fates": fates,
    "receivers": receivers,
    "settings": settings,
    "subscription": subscription,
    "metrics": metrics,
}


@pytest.mark.parametrize("part", MADE)
def test_a_part_of_the_readme_is_what_the_project_says(part: str) -> None:
    text = README.read_text()
    pattern = re.compile(rf"(<!-- {part} -->\n).*?(\n<!-- end of {part} -->)", re.S)
    fresh = pattern.sub(lambda found: f"{found[1]}{MADE[part]()}{found[2]}", text)
    if os.environ.get("README") == "write":
        README.write_text(fresh)

    assert pattern.search(text)
    assert fresh == text
