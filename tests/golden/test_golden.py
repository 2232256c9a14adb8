"""What each dialect sends, byte for byte.

``case.json`` in a folder below holds the dialect, its options, the secrets, the attempt's time and the
event; ``headers`` and ``body`` hold what must come of it. After a change that is meant to change them,
run once with GOLDEN=write and read the difference before it is committed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from connector.core.composer import compile_composer
from connector.core.derive import derive
from connector.core.dialect import DIALECTS
from connector.core.event import Event
from connector.core.subscription import Secrets
from connector.webhook import ed25519

_FOLDER = Path(__file__).parent
_CASES = sorted(path.parent for path in _FOLDER.glob("*/*/case.json"))


def _event(fields: dict[str, Any]) -> Event:
    attributes = tuple((name, text.encode()) for name, text in fields.pop("attributes", {}).items())
    return Event(**{**fields, "data": fields["data"].encode(), "attributes": attributes})


@pytest.mark.parametrize("folder", _CASES, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_a_dialect_sends_exactly_its_golden_bytes(folder: Path) -> None:
    case = json.loads((folder / "case.json").read_bytes())
    dialect = derive(DIALECTS[case["dialect"]], **case["options"])
    composer = compile_composer(dialect, Secrets(**case["secrets"]), sign_ed25519=ed25519.sign)

    headers, body = composer.compose(_event(case["event"]), case["now_s"])

    if os.environ.get("GOLDEN") == "write":
        (folder / "headers").write_bytes(headers)
        (folder / "body").write_bytes(body)
    assert composer.content_type == case["content_type"]
    assert headers == (folder / "headers").read_bytes()
    assert body == (folder / "body").read_bytes()


def test_every_dialect_has_golden_files() -> None:
    assert {folder.parent.name for folder in _CASES} >= set(DIALECTS)
