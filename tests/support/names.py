"""Names on a shared cluster that no other test uses."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

_STEM_CHARS_MAX = 40


@dataclass(frozen=True, slots=True)
class Names:
    """``stem`` begins every name: what the test is called, and some chance."""

    stem: str

    @classmethod
    def of(cls, test: str) -> Names:
        readable = re.sub(r"[^a-z0-9]+", "-", test.lower().removeprefix("test_")).strip("-")
        return cls(f"{readable[:_STEM_CHARS_MAX]}-{secrets.token_hex(3)}")

    @property
    def prefix(self) -> str:
        """Prefix of the connector's own topics."""
        return f"{self.stem}.hooks"

    @property
    def group(self) -> str:
        """Consumer group of the source topics."""
        return f"{self.stem}.group"

    def topic(self, event_type: str = "post.created") -> str:
        """A source topic. It lies outside :attr:`prefix`, as source topics must."""
        return f"{self.stem}.{event_type}"
